"""Two groups that do not know of each other, found by Network Lasso.

Sixteen nodes have few samples of one of two linear models; edges within a group are more than those between. Each edge has a price on the
distance of its ends: at price zero every node learns alone, at a high price all learn one model, and in between the nodes of a group become equal.
"""

import numpy as np

import dejax as dj

from ._digits import curves
from ._page import Claim, Result, Table, finished, spread

FLOAT64 = True
N, DIM, ROWS, PAPER = 16, 10, 6, "Zhu et al., Decentralised traffic incident detection via network lasso, 2024"
PRICES = [0.0, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 3.0, 30.0]


def groups(seed: int) -> tuple[dj.Problem, np.ndarray, dj.topology.Topology]:
    """y = x . w_c + 0.5 noise at the nodes of group c; true models [n, d], and a graph with few edges between groups."""
    rng = np.random.default_rng(seed)
    true = rng.standard_normal((2, DIM))[np.repeat([0, 1], N // 2)]
    x = rng.standard_normal((N, ROWS, DIM))
    y = np.einsum("nrd,nd->nr", x, true) + 0.5 * rng.standard_normal((N, ROWS))
    task = dj.tasks.from_functions(
        lambda key: {"x": np.zeros(DIM)},
        lambda params, batch, key: 0.5 * (batch["x"] @ params["x"] - batch["y"]) ** 2,
        lambda params, batch: {},
    )
    problem = dj.Problem(task, dj.data.from_clients([(x[i], y[i]) for i in range(N)]))
    half = N // 2
    inside = [
        (i + a * half, j + a * half)
        for a in (0, 1)
        for i in range(half)
        for j in range(i)
        if (i - j) % half in (1, 2, half - 1, half - 2)
    ]
    between = [(int(rng.integers(half)), int(half + rng.integers(half))) for _ in range(2)]
    return problem, true, dj.topology.from_edges(inside + between, n=N)


def run(short: bool) -> Result:
    """All prices as one program for each problem."""
    seeds, rounds = range(1 if short else 5), 3000
    error, spans, curve = {k: [] for k in PRICES}, {k: [] for k in PRICES}, {k: [] for k in PRICES}
    for seed in seeds:
        problem, true, graph = groups(seed)

        def near(view, true=true):
            """Mean squared error of predictions on new samples, and how far apart the models of a group are."""
            x = np.atleast_2d(np.asarray(view.params["x"]))
            parts = x[: N // 2], x[N // 2 :]
            span = max(float(np.linalg.norm(part - part.mean(0), axis=1).max()) for part in parts)
            return {
                "error": float(((x - true) ** 2).sum(1).mean()),
                "span": span,
                "gap": float(np.linalg.norm(parts[0].mean(0) - parts[1].mean(0))),
            }

        build = lambda lam, problem=problem, graph=graph: (
            dj.methods.network_lasso(lr=0.05, lam=lam, penalty=0.5, local_steps=10),
            problem,
            dj.Network(graph),
        )
        history = finished(
            dj.sweep(build, {"lam": PRICES}, rounds, every=max(1, rounds // 40), metrics=[near], progress=False)
        )
        for lam in PRICES:
            at, got = history.series("error", f"lam={lam}")
            curve[lam].append((at, got[0]))
            error[lam].append(float(got[0, -1]))
            spans[lam].append([history.last(name, f"lam={lam}") for name in ("span", "gap")])
    mean = {lam: float(np.mean(v)) for lam, v in error.items()}
    best = min(PRICES, key=lambda lam: mean[lam])
    exact = next(
        (lam for lam in PRICES if max(span for span, _ in spans[lam]) < 1e-6 < min(gap for _, gap in spans[lam])), None
    )
    claims = [
        Claim("A price in between is better than learning alone and than one model for all (error at most half of each).", PAPER,
              mean[best] < mean[0.0] / 2 and mean[best] < mean[PRICES[-1]] / 2,
              f"{mean[best]:.2f} at price {best:g}; {mean[0.0]:.2f} alone, {mean[PRICES[-1]]:.2f} at price {PRICES[-1]:g}"),
        Claim("There is a price at which the nodes of a group are equal (to 1e-6), the groups are not, and the error is within a fifth of the best.", PAPER,
              exact is not None and mean[exact] <= 1.2 * mean[best], "none" if exact is None else f"price {exact:g}: error {mean[exact]:.3f}, best {mean[best]:.3f} at {best:g}",
              "The best price for prediction is a little below the one that makes all nodes of a group exactly equal."),
        Claim("At the highest price all nodes are equal (means of the groups to 0.05).", "Hallac, Leskovec and Boyd, Network Lasso, 2015",
              max(gap for _, gap in spans[PRICES[-1]]) < 0.05, f"groups {max(gap for _, gap in spans[PRICES[-1]]):.1e} apart",
              "Duals grow by a little in each round, and a price that all edges must bear takes longer than this run to be paid."),
    ]  # fmt: skip
    rows = [
        [
            f"{lam:g}",
            spread(error[lam], ".2f"),
            spread([s for s, _ in spans[lam]]),
            spread([g for _, g in spans[lam]], ".2f"),
        ]
        for lam in PRICES
    ]
    table = Table(
        "Squared distance to the true model, mean over nodes", ["price", "error", "largest distance within a group", "distance of the groups"], rows,
        "mean and deviation, or median and range, over problems.",
    )  # fmt: skip
    setup = {
        "rounds": rounds, "problem": {"nodes": N, "dim": DIM, "rows": ROWS, "noise": 0.5}, "network": {"topology": "4 neighbors within a group, 2 edges between"},
        "method": {"network_lasso": {"lr": 0.05, "penalty": 0.5, "local_steps": 10}}, "lam": PRICES,
    }  # fmt: skip
    panel = {f"price {lam:g}": (v[0][0], np.stack([got for _, got in v])) for lam, v in curve.items()}
    return Result(
        claims,
        [table],
        setup,
        list(seeds),
        curves({"": panel}, "rounds", "error", yscale="log"),
        "Means over problems.",
    )
