"""Local steps with a common diagonal scaling, on a badly scaled problem.

Least squares whose coordinates differ in curvature by a factor of 1,000. All nodes scale their local steps by one diagonal matrix, which is
refreshed once a round (SAVIC); or each keeps a scaling of its own (Adam at the nodes). Rates are the best of several for each method.
"""

from collections.abc import Callable

import numpy as np
import optax

import dejax as dj

from ._digits import curves
from ._page import Claim, Result, Table, finished, spread

FLOAT64 = True
N, DIM, STEPS, CONDITION, PAPER = 10, 20, 10, 1e3, "Chezhegov et al., Local methods with adaptivity via scaling, 2024"
RATES = [3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0]
m = dj.methods
METHODS = {
    "local SGD": lambda lr: m.fedavg(lr=lr, local_steps=STEPS),
    "SAVIC, squares of gradients": lambda lr: m.savic(lr=lr, scaling="rmsprop", local_steps=STEPS),
    "SAVIC, Adam's": lambda lr: m.savic(lr=lr, scaling="adam", local_steps=STEPS),
    "SAVIC, Hessian (OASIS)": lambda lr: m.savic(lr=lr, scaling="oasis", local_steps=STEPS),
    "Adam at each node": lambda lr: m.fedavg(optimizer=dj.optimizer(optax.adam, learning_rate=lr), local_steps=STEPS),
}


def scaled(seed: int) -> tuple[dj.Problem, np.ndarray]:
    """Rows a = D z, D from 1 to sqrt(1 / CONDITION), and the least squares solution; nodes disagree on it."""
    rng = np.random.default_rng(seed)
    scale = np.geomspace(1, CONDITION**-0.5, DIM)
    x = rng.standard_normal((N, 40, DIM)) * scale
    own = rng.standard_normal(DIM) + 0.3 * rng.standard_normal((N, DIM))
    y = np.einsum("nrd,nd->nr", x, own) + 0.01 * rng.standard_normal((N, 40))
    best = np.linalg.lstsq(x.reshape(-1, DIM), y.reshape(-1), rcond=None)[0]
    task = dj.tasks.from_functions(
        lambda key: {"x": np.zeros(DIM)},
        lambda params, batch, key: 0.5 * (batch["x"] @ params["x"] - batch["y"]) ** 2,
        lambda params, batch: {},
    )
    return dj.Problem(task, dj.data.from_clients([(x[i], y[i]) for i in range(N)])), best


def gap_of(problem: dj.Problem, best: np.ndarray) -> Callable[[dj.metrics.View], dict[str, float]]:
    """A metric: f(mean model) - f*, on all rows."""
    x, y = (np.asarray(problem.data.arrays[k]) for k in "xy")
    loss = lambda w: float(0.5 * np.mean((x @ w - y) ** 2))
    return lambda view: {"gap": loss(np.atleast_2d(np.asarray(view.params["x"])).mean(0)) - loss(best)}


def run(short: bool) -> Result:
    """Each method at each rate; the best by the gap at the end."""
    seeds, rounds = range(1 if short else 3), 400
    rates = RATES
    found: dict[str, list] = {k: [] for k in METHODS}
    for seed in seeds:
        problem, best = scaled(seed)
        for label, make in METHODS.items():
            build = lambda lr, make=make, problem=problem: (make(lr), problem, dj.Network())
            metrics = [gap_of(problem, best)]
            history = finished(
                dj.sweep(build, {"lr": rates}, rounds, every=rounds // 40, metrics=metrics, progress=False)
            )
            runs = {lr: history.series("gap", f"lr={lr}") for lr in rates}
            runs = {lr: (at, got[0]) for lr, (at, got) in runs.items() if got.size and np.isfinite(got).all()}
            lr = min(runs, key=lambda lr: runs[lr][1][-1])
            found[label].append((lr, *runs[lr]))
    end = {k: np.array([curve[-1] for _, _, curve in v]) for k, v in found.items()}
    first = lambda at, got, target: next((t for t, g in zip(at, got, strict=True) if g <= target), np.inf)
    need = {
        k: np.array([first(at, got, target) for (_, at, got), target in zip(v, end["local SGD"], strict=True)])
        for k, v in found.items()
    }
    common = [k for k in METHODS if k.startswith("SAVIC")]
    quick, low = (min(common, key=lambda k: np.median(values[k])) for values in (need, end))
    claims = [
        Claim("A common scaling is at the gap where local SGD ends in a third of its rounds or less.", PAPER, np.median(need[quick]) <= rounds / 3,
              f"{np.median(need[quick]):.0f} of {rounds} rounds ({quick})",
              "A scaling is refreshed once a round by a running mean with weight 0.99, and a good part of the run goes by until it has seen the curvature."),
        Claim("Its gap at the end is a tenth or less.", PAPER, np.median(end[low]) <= np.median(end["local SGD"]) / 10,
              f"{np.median(end[low]):.1e} ({low}) against {np.median(end['local SGD']):.1e}"),
        Claim("Scalings that nodes keep to themselves end at a larger gap than the best common one, because nodes disagree.", PAPER,
              np.median(end["Adam at each node"]) > np.median(end[low]), f"{np.median(end['Adam at each node']):.1e} against {np.median(end[low]):.1e}"),
    ]  # fmt: skip
    rows = [
        [
            k,
            ", ".join(sorted({f"{lr:g}" for lr, _, _ in found[k]})),
            spread(end[k]),
            spread(need[k], infinite="never"),
        ]
        for k in METHODS
    ]
    table = Table(
        "Gap f(mean model) - f*, and rounds until it is where local SGD ends", ["method", "best rates", f"gap after {rounds} rounds", "rounds"], rows,
        "median and range over problems.",
    )  # fmt: skip
    setup = {
        "rounds": rounds, "problem": {"nodes": N, "dim": DIM, "rows": 40, "condition": CONDITION, "optima": "a common normal vector plus 0.3 of one's own"},
        "local_steps": STEPS, "lr": RATES, "methods": {k: str(make(0.1)) for k, make in METHODS.items()},
    }  # fmt: skip
    panel = {k: (found[k][0][1], np.stack([curve for _, _, curve in v])) for k, v in found.items()}
    return Result(
        claims,
        [table],
        setup,
        list(seeds),
        curves({"": panel}, "rounds of 10 steps", "gap", yscale="log"),
        "Means over problems.",
    )
