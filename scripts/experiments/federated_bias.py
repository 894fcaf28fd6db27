"""What local steps do to FedAvg, and four ways out.

On unequal data several local steps between averages lead FedAvg beside the optimum; nodes that make unequal numbers of steps lead it to the
optimum of another, reweighted loss. FedProx pulls nodes back, FedNova divides by the work, SCAFFOLD and FedDyn correct the drift. Full
batches, all nodes in every round, float64: what is left is bias. The bias is the distance of the server's model to the optimum.
"""

from typing import Any

import numpy as np

import dejax as dj

from . import _squares as squares
from ._page import Claim, Result, Table, figure, finished, number, spread

FLOAT64 = True
N, DIM, ZETA2, K = 10, 5, 10.0, 10
WORK = np.linspace(0.1, 1.0, N)  # shares of K steps: 1, 2, ..., 10
m = dj.methods


def fedavg_fixed_point(made: Any, lr: float, steps: int) -> float:
    """Bias of x = mean_i y_i after `steps` local steps from x."""
    d = DIM
    b = -made.gradients(np.zeros(d))
    map_sum, add_sum = np.zeros((d, d)), np.zeros(d)
    for h, b_i in zip(squares.hessians(made), b, strict=True):
        one, a, c = np.eye(d) - lr * h, np.eye(d), np.zeros(d)
        for _ in range(steps):
            a, c = one @ a, one @ c + lr * b_i
        map_sum, add_sum = map_sum + a / N, add_sum + c / N
    return float(np.linalg.norm(np.linalg.solve(np.eye(d) - map_sum, add_sum) - made.x_star))


def moreau_optimum(made: Any, mu: float) -> np.ndarray:
    """The minimizer of the mean of min_y f_i(y) + mu/2 |y - x|^2."""
    eye, b = np.eye(DIM), -made.gradients(np.zeros(DIM))
    inverse = [np.linalg.inv(h + mu * eye) for h in squares.hessians(made)]
    left = sum(eye - mu * one for one in inverse)
    return np.linalg.solve(left, sum(one @ b_i for one, b_i in zip(inverse, b, strict=True)))


def reweighted_optimum(made: Any) -> np.ndarray:
    """The minimizer of sum_i WORK_i f_i."""
    total = np.einsum("n,nde->de", WORK, squares.hessians(made))
    return np.linalg.solve(total, -WORK @ made.gradients(np.zeros(DIM)))


def run(short: bool) -> Result:
    """Rates and local steps of FedAvg; mu of FedProx; rates of FedNova; SCAFFOLD and FedDyn."""
    seeds = range(2 if short else 5)
    made = [squares.least_squares(N, DIM, ZETA2, seed) for seed in seeds]
    problems = [problem for _, problem in made]

    def ends(make: Any, rounds: int, target: Any = None, **over: Any) -> np.ndarray:
        """[values of `over`, seeds]: distance to the optimum, or to `target(made)`, at the end; one program."""
        key, values = next(iter(over.items())) if over else (None, [None])
        found = []
        near = squares.distance_to(
            [target(one) for one, _ in made] if target else [one.x_star for one, _ in made], problems
        )
        build = lambda data, **kw: (make(**kw), problems[data], None)
        history = finished(
            dj.sweep(build, {**over, "data": range(len(problems))}, rounds, every=rounds, metrics=near, progress=False)
        )
        for value in values:
            prefix = "" if key is None else f"{key}={value}, "
            found.append(squares.by_data(history, "distance", len(seeds), prefix)[1][:, -1])
        return np.stack(found)

    length = lambda lr, steps: int(40 / (squares.MU * lr * steps)) + 20
    rates = [0.1, 0.05, 0.025, 0.0125]
    drift = {
        k: ends(lambda lr, k=k: m.fedavg(lr=lr, local_steps=k), length(rates[-1], k), lr=rates) for k in (1, 2, 3, 5, 9)
    }
    theory = {k: np.array([[fedavg_fixed_point(one, lr, k) for one, _ in made] for lr in rates]) for k in drift}
    off = max(float(np.abs(drift[k] / theory[k] - 1).max()) for k in drift if k > 1)
    slope = float(np.log(drift[5][2] / drift[5][3]).mean() / np.log(2))
    alike = np.stack([drift[2][0], drift[3][1], drift[5][2], drift[9][3]])  # lr (K - 1) = 0.1
    alike_off = float((alike.max(0) / alike.min(0)).max())

    mus = [0.0, 0.1, 1.0, 3.0]
    prox = ends(lambda mu: m.fedprox(lr=0.1, mu=mu, local_steps=K), 4000, mu=mus)
    full = ends(lambda: m.fedprox(lr=0.2, mu=1.0, local_steps=200), 400, lambda one: moreau_optimum(one, 1.0))[0]

    small = [0.1, 0.03, 0.01, 0.003]
    rounds = length(small[-1], 5)
    plain = ends(lambda lr: m.fedprox(lr=lr, mu=0.0, work=WORK, local_steps=K), rounds, lr=small)
    other = ends(lambda lr: m.fedprox(lr=lr, mu=0.0, work=WORK, local_steps=K), rounds, reweighted_optimum, lr=small)
    nova = ends(lambda lr: m.fednova(lr=lr, work=WORK, local_steps=K), rounds, lr=small)
    nova_slope = float(np.log(nova[-2] / nova[-1]).mean() / np.log(small[-2] / small[-1]))
    other_slope = float(np.log(other[-2] / other[-1]).mean() / np.log(small[-2] / small[-1]))

    exact = {
        "scaffold": ends(lambda: m.scaffold(lr=0.05, local_steps=K), 800)[0],
        "feddyn": ends(lambda: m.feddyn(lr=0.05, alpha=0.3, local_steps=K), 800)[0],
    }
    claims = [
        Claim("FedAvg ends at the fixed point that the equations say, to 1e-6 of its bias.", "McMahan et al., 2017; a linear system", off < 1e-6,
              f"furthest: {number(off, 1)}"),
        Claim("One local step with all nodes has no bias: it is gradient descent (1e-12).", "McMahan et al., 2017", drift[1].max() < 1e-12,
              number(float(drift[1].max()), 1)),
        Claim("The drift is of order lr (K - 1): slope 1 in lr (within 0.1), and equal products give equal biases (within 15 %).",
              "expectation for `local_sgd`", abs(slope - 1) < 0.1 and alike_off < 1.15,
              f"slope {slope:.3f} at K = 5; lr (K - 1) = 0.1 by K = 2, 3, 5, 9: at most {100 * (alike_off - 1):.1f} % apart"),
        Claim("FedProx has less drift the larger mu is.", "Li et al., 2020", bool((np.diff(prox, axis=0) < 0).all()),
              ", ".join(f"mu = {mu:g}: {number(float(p.mean()))}" for mu, p in zip(mus, prox, strict=True))),
        Claim("With many local steps it ends at the optimum of the mean Moreau envelope, not at that of the mean loss (1e-9).", "expectation for `fedprox`",
              full.max() < 1e-9, number(float(full.max()), 1)),
        Claim("Where nodes make 1 to 10 steps, plain averages end at the optimum reweighted by the steps, up to order lr.",
              "Wang et al., FedNova, 2020", abs(other_slope - 1) < 0.15 and bool((other[-1] < plain[-1] / 10).all()),
              f"at lr = {small[-1]:g}: {spread(other[-1])} from it, {spread(plain[-1])} from the optimum; slope {other_slope:.3f}"),
        Claim("FedNova ends at the true optimum up to order lr.", "Wang et al., FedNova, 2020", abs(nova_slope - 1) < 0.15
              and bool((nova[-1] < plain[-1] / 10).all()), f"at lr = {small[-1]:g}: {spread(nova[-1])}; slope {nova_slope:.3f}"),
        Claim(f"SCAFFOLD and FedDyn have no bias with {K} local steps (1e-12).", "Karimireddy et al., 2020; Acar et al., 2021",
              max(v.max() for v in exact.values()) < 1e-12, ", ".join(f"{k}: {number(float(v.max()), 1)}" for k, v in exact.items())),
    ]  # fmt: skip
    tables = [
        Table("FedAvg: bias by rate and local steps", ["lr", *(f"K = {k}" for k in drift)],
              [[f"{lr:g}", *(spread(drift[k][i]) for k in drift)] for i, lr in enumerate(rates)], "median and range over the seeds of the data."),
        Table(f"Unequal work: 1 to {K} steps", ["lr", "plain averages", "plain averages, to the reweighted optimum", "fednova"],
              [[f"{lr:g}", spread(plain[i]), spread(other[i]), spread(nova[i])] for i, lr in enumerate(small)]),
        Table(f"Equal work, K = {K}", ["method", "bias"],
              [*([f"`fedprox(lr=0.1, mu={mu:g})`", spread(p)] for mu, p in zip(mus, prox, strict=True)),
               *([f"`{k}(lr=0.05)`", spread(v)] for k, v in exact.items())]),
    ]  # fmt: skip
    drawn, axes = figure(panels=2)
    for k in (2, 3, 5, 9):
        axes[0].loglog(
            [lr * (k - 1) for lr in rates], drift[k].mean(1), "o-", linewidth=1, markersize=3, label=f"K = {k}"
        )
    axes[0].set(xlabel="lr (K - 1)", ylabel="bias", title="fedavg, equal work")
    for label, values in {
        "plain averages": plain,
        "the same, to the reweighted optimum": other,
        "fednova": nova,
    }.items():
        axes[1].loglog(small, values.mean(1), "o-", linewidth=1, markersize=3, label=label)
    axes[1].set(xlabel="lr", ylabel="bias", title="unequal work")
    for ax in axes:
        ax.legend(fontsize=7)
    setup = {
        "data": {"least_squares": {"nodes": N, "dim": DIM, "L": squares.L, "mu": squares.MU, "zeta2": ZETA2, "seed": list(seeds)}},
        "batch_size": "all local samples", "clients": "all", "dtype": "float64", "work": [round(float(w), 2) for w in WORK],
        "methods": ["fedavg", "fedprox", "fednova", "scaffold", "feddyn"],
    }  # fmt: skip
    return Result(claims, tables, setup, list(seeds), drawn, "Means over the seeds of the data.")
