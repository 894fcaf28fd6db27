"""The bias of D-SGD against its rate and the graph.

With a constant rate D-SGD on unequal data ends beside the optimum. Full batches and float64 leave nothing but that bias. On least squares
its fixed point is the solution of a linear system, which is solved here in NumPy for the same data and weights. The bias is the root mean
squared distance of the nodes' models to the optimum of the mean loss.
"""

from typing import Any

import numpy as np

import dejax as dj

from . import _squares as squares
from ._page import Claim, Result, Table, figure, number, spread

FLOAT64 = True
N, DIM, ZETA2 = 16, 5, 10.0
top, dsgd = dj.topology, dj.methods.dsgd


def fixed_point(made: Any, weights: np.ndarray, lr: float, order: str) -> float:
    """Bias of the solution of x = W (x - lr grad(x)) (atc) or x = W x - lr grad(x) (awc)."""
    n, d = len(weights), len(made.x_star)
    hessian, mix = squares.hessians(made), np.kron(weights, np.eye(d))
    blocks = np.zeros((n * d, n * d))
    for i in range(n):
        blocks[i * d : (i + 1) * d, i * d : (i + 1) * d] = hessian[i]
    after = mix if order == "atc" else np.eye(n * d)
    b = -made.gradients(np.zeros(d)).reshape(-1)
    x = np.linalg.solve(np.eye(n * d) - mix + lr * after @ blocks, lr * after @ b).reshape(n, d)
    return float(np.sqrt(((x - made.x_star) ** 2).sum(1).mean()))


def graphs() -> dict[str, Any]:
    """Label -> topology, the best connected first."""
    lazy = lambda share: top.ring(N, weights=top.lazy(top.metropolis(), share))
    return {
        "complete": top.complete(N), "hypercube": top.hypercube(N), "torus": top.torus(N), "ring": top.ring(N), "chain": top.chain(N),
        "ring, lazy 1/2": lazy(0.5), "ring, lazy 1/4": lazy(0.25),
    }  # fmt: skip


def biases(graph: Any, order: str, rates: list[float], seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """Bias of runs and of fixed points, [rates, seeds]; all rates and data are one program."""
    made = [squares.least_squares(graph.n, DIM, ZETA2, seed) for seed in seeds]
    rounds = int(30 / (squares.MU * min(rates)))
    network = dj.Network(graph.astype("float64"))
    history = squares.over_data(
        lambda lr: dsgd(lr=lr, order=order), network, [p for _, p in made], rounds, every=rounds, lr=rates
    )
    seen = np.stack([squares.by_data(history, "distance", len(seeds), f"lr={lr:g}, ")[1][:, -1] for lr in rates])
    weights = graph.host(0).matrix()
    return seen, np.array([[fixed_point(one, weights, lr, order) for one, _ in made] for lr in rates])


def run(short: bool) -> Result:
    """Rates on a ring in two orders; then graphs at one rate."""
    seeds = range(2 if short else 5)
    rates = [0.3, 0.1, 0.03] if short else [0.3, 0.1, 0.03, 0.01, 0.003]
    ring, fixed = top.ring(N), 0.03
    by_rate = {order: biases(ring, order, rates, seeds) for order in ("atc", "awc")}
    by_graph = {
        label: biases(graph, "awc", [fixed], seeds) for label, graph in graphs().items() if not short or "ring" in label
    }
    half = biases(top.ring(N, weights=top.lazy(top.metropolis(), 0.5)), "awc", [fixed / 2], seeds)[0]
    pairs = [*by_rate.values(), *by_graph.values()]
    off = max(float(np.abs(a / b - 1).max()) for a, b in pairs)
    slope = {
        o: float(np.log(seen[-2] / seen[-1]).mean() / np.log(rates[-2] / rates[-1])) for o, (seen, _) in by_rate.items()
    }
    tenth = {o: biases(top.ring(8), o, [0.1, 0.01], seeds)[0] for o in by_rate}
    cut = {o: float((seen[0] / seen[1]).mean()) for o, seen in tenth.items()}
    rho = {label: float(top.rho(graph)) for label, graph in graphs().items() if label in by_graph}
    made = [squares.least_squares(N, DIM, ZETA2, seed)[0] for seed in seeds]
    zeta = np.array([np.sqrt(one.zeta2) for one in made])
    limit = {label: fixed * zeta * (1 + squares.L / squares.MU) / (1 - rho[label]) for label in by_graph}
    share = {label: float((by_graph[label][0][0] / limit[label]).max()) for label in by_graph}
    order = sorted(by_graph, key=lambda k: rho[k])
    grows = all(by_graph[a][0].mean() <= by_graph[b][0].mean() * (1 + 1e-9) for a, b in zip(order, order[1:]))
    same = float(np.abs(half[0] / by_graph["ring"][0][0] - 1).max())
    claims = [
        Claim("A run ends at the fixed point that the equations say, to 1e-6 of the bias.", "Lian et al., 2017; a linear system",
              off < 1e-6, f"furthest: {number(off, 1)}"),
        Claim("The bias is of order lr: for small rates the slope of their logarithms is 1 (within 0.1).", "Yuan, Ling and Yin, 2016",
              short or all(abs(s - 1) < 0.1 for s in slope.values()),
              ", ".join(f"{o}: {s:.3f} between lr = {rates[-2]:g} and {rates[-1]:g}" for o, s in slope.items())),
        Claim("On a ring of 8 a tenth of the rate cuts the bias by about 6 to 7 times (5 to 8 here, lr 0.1 to 0.01).", "expectation for `dsgd`",
              all(5 <= c <= 8 for c in cut.values()), ", ".join(f"{o}: {c:.1f} times" for o, c in cut.items()),
              "The expectation does not say its rates or its data, and the factor depends on where they lie: it tends to 10 for small ones, where the bias is of order lr, and is less for large ones."),
        Claim("ATC has a smaller bias than AWC at every rate.", "expectation for `dsgd`", bool((by_rate["atc"][0] < by_rate["awc"][0]).all()),
              f"by {number(float((by_rate['awc'][0] / by_rate['atc'][0]).min()), 2)} to "
              f"{number(float((by_rate['awc'][0] / by_rate['atc'][0]).max()), 2)} times"),
        Claim("The bias grows with rho from graph to graph.", "Koloskova et al., A unified theory, 2020", grows,
              ", ".join(f"{k} {rho[k]:.3f}: {number(float(by_graph[k][0].mean()))}" for k in order)),
        Claim("It is at most lr zeta (1 + L/mu) / (1 - rho).", "derived from the fixed point, for small lr", max(share.values()) <= 1,
              f"{number(min(share.values()))} to {number(max(share.values()))} of it"),
        Claim("AWC knows lr / (1 - rho) alone: half the gap (lazy weights) and half the rate end at the same models.", "(I - W) x = -lr grad(x)",
              same < 1e-6, f"the two biases differ by {number(same, 1)}"),
    ]  # fmt: skip
    tables = [
        Table("Against the rate", ["lr", "atc, run", "atc, fixed point", "awc, run", "awc, fixed point"],
              [[f"{lr:g}", *(spread(x[i]) for o in ("atc", "awc") for x in by_rate[o])] for i, lr in enumerate(rates)],
              "median and range over the seeds of the data; ring of 16."),
        Table("Against the graph", ["graph", "rho", "1 / (1 - rho)", "bias, run", "of lr zeta (1 + L/mu) / (1 - rho)"],
              [[k, f"{rho[k]:.3f}", number(1 / (1 - rho[k])), spread(by_graph[k][0][0]), number(share[k])] for k in order],
              f"awc at lr {fixed:g}. The bound knows rho alone; the bias depends on all eigenvalues of W, and on which node has which data."),
    ]  # fmt: skip
    drawn, axes = figure(panels=2)
    for o, (seen, theory) in by_rate.items():
        (line,) = axes[0].loglog(rates, theory.mean(1), linewidth=1)
        axes[0].loglog(rates, seen.mean(1), "o", color=line.get_color(), label=o)
    axes[0].loglog(
        rates, by_rate["awc"][0].mean(1)[-1] * np.array(rates) / rates[-1], "k:", linewidth=0.8, label="order lr"
    )
    axes[0].set(xlabel="lr", ylabel="bias")
    axes[0].legend()
    for k in order:
        axes[1].loglog(1 / (1 - rho[k]), by_graph[k][0].mean(), "o")
        axes[1].annotate(
            k, (1 / (1 - rho[k]), by_graph[k][0].mean()), fontsize=6, xytext=(4, -2), textcoords="offset points"
        )
    axes[1].set(xlabel="1 / (1 - rho)", ylabel="bias")
    setup = {
        "data": {"least_squares": {"nodes": N, "dim": DIM, "L": squares.L, "mu": squares.MU, "zeta2": ZETA2, "seed": list(seeds)}},
        "batch_size": "all local samples", "starts": "zero", "dtype": "float64", "method": {"dsgd": {"lr": rates, "order": ["atc", "awc"]}},
        "network": {"topology": list(by_graph)}, "rounds": "30 / (mu lr) of the smallest rate",
    }  # fmt: skip
    return Result(
        claims, tables, setup, list(seeds), drawn, "Dots: runs; lines: fixed points. Left a ring of 16, right lr 0.03."
    )
