"""Choosing a penalty for each feature by neighbors: two levels at once.

Eight nodes on a ring have training rows, validation rows, and noise of their own. The lower level fits a ridge regression with one penalty per feature
to the training rows of all, the upper level moves the penalties (their logarithms) down the validation loss of all. MA-DSBO estimates the gradient
through the lower level by neighbors alone; averaging what each node finds by itself takes means of inverses in place of the inverse of a mean.
"""

import jax
import jax.numpy as jnp
import numpy as np

import dejax as dj

from ._digits import curves
from ._page import Claim, Result, Table, finished, spread

FLOAT64 = True
N, DIM, ROWS, PAPER = (
    8,
    6,
    12,
    "Chen et al., Decentralized stochastic bilevel optimization with improved per-iteration complexity, 2023",
)
m = dj.methods


def rows_of(seed: int) -> dict[str, np.ndarray]:
    """Unequal features and noise at the nodes; half of the features do not matter. Each node's rows stand in one row of arrays."""
    rng = np.random.default_rng(seed)
    true = np.where(np.arange(DIM) < DIM // 2, rng.standard_normal(DIM), 0.0)
    scale = rng.uniform(0.3, 1.5, (N, 1, DIM))
    both = {}
    for part in ("train", "check"):
        x = rng.standard_normal((N, ROWS, DIM)) * scale
        both |= {f"x_{part}": x, f"y_{part}": x @ true + rng.uniform(0.2, 1.5, (N, 1)) * rng.standard_normal((N, ROWS))}
    return both


def error(params, batch, part):
    """Mean squared error of each node's rows."""
    return 0.5 * jnp.mean((jnp.einsum("brd,d->br", batch[f"x_{part}"], params["w"]) - batch[f"y_{part}"]) ** 2, 1)


def upper(params, batch, key):
    """On validation rows."""
    del key
    return error(params, batch, "check")


def lower(params, batch, key):
    """On training rows, with the penalties."""
    del key
    return error(params, batch, "train") + 0.5 * (jnp.exp(params["upper"]["log"]) * params["w"] ** 2).sum()[None]


def init(key):
    """Penalties 1, weights 0."""
    del key
    return {"upper": {"log": jnp.zeros(DIM)}, "w": jnp.zeros(DIM)}


def central(rows: dict[str, np.ndarray], steps: int, lr: float, biased: bool) -> np.ndarray:
    """Gradient descent on the penalties with exact answers: of the mean problem, or (biased) with means of what nodes find alone."""
    flat = {k: jnp.asarray(v) for k, v in rows.items()}

    def solve(log, x, y):
        return jnp.linalg.solve(x.T @ x / len(y) + jnp.diag(jnp.exp(log)), x.T @ y / len(y))

    def loss(log):
        w = solve(log, flat["x_train"].reshape(-1, DIM), flat["y_train"].reshape(-1))
        return 0.5 * jnp.mean((flat["x_check"].reshape(-1, DIM) @ w - flat["y_check"].reshape(-1)) ** 2)

    def alone(log):
        each = jax.vmap(lambda x, y, u, v: 0.5 * jnp.mean((u @ solve(log, x, y) - v) ** 2))
        return each(flat["x_train"], flat["y_train"], flat["x_check"], flat["y_check"]).mean()

    slope = jax.jit(jax.grad(alone if biased else loss))
    log = jnp.zeros(DIM)
    for _ in range(steps):
        log = log - lr * slope(log)
    return np.asarray(log)


def run(short: bool) -> Result:
    """MA-DSBO with few and many inner steps, against exact answers."""
    seeds, rounds, lr = range(1 if short else 3), 100 if short else 4000, 0.05
    methods = {
        "MA-DSBO, T = N = 5": m.ma_dsbo(lr=lr, lower_lr=0.05, solve_lr=0.05, average=0.5, lower_steps=5, solve_steps=5),
        "MA-DSBO, T = N = 10": m.ma_dsbo(
            lr=lr, lower_lr=0.05, solve_lr=0.05, average=0.5, lower_steps=10, solve_steps=10
        ),
    }
    found: dict[str, list] = {k: [] for k in methods}
    bias = []
    for seed in seeds:
        rows = rows_of(seed)
        exact, other = (central(rows, rounds, lr, biased) for biased in (False, True))
        bias.append(float(np.linalg.norm(other - exact) / np.linalg.norm(exact)))
        far = lambda view, exact=exact: {
            "far": float(np.linalg.norm(np.asarray(view.mean["upper"]["log"]) - exact) / np.linalg.norm(exact))
        }
        index = jnp.arange(N, dtype=jnp.int32)[:, None]
        data = dj.data.NodeData({k: jnp.asarray(v) for k, v in rows.items()}, index, jnp.ones((N,), jnp.int32))
        problem = dj.Problem(dj.tasks.from_functions(init, upper, lower=lower), data)
        runs = {k: (method, problem, dj.Network(dj.topology.ring(N))) for k, method in methods.items()}
        history = finished(
            dj.compare(runs, rounds=rounds, seeds=[seed], every=max(1, rounds // 50), metrics=[far], progress=False)
        )
        for k in methods:
            at, got = history.series("far", k)
            found[k].append((at, got[0]))
    end = {k: np.array([got[-1] for _, got in v]) for k, v in found.items()}
    claims = [
        Claim("MA-DSBO comes to the penalties of exact implicit differentiation on the data of all (5 % of their norm).", PAPER, max(v.mean() for v in end.values()) < 0.05,
              ", ".join(f"{k.split(', ')[1]}: {v.mean():.3f}" for k, v in end.items()), "Constant steps and a graph leave a bias of their own."),
        Claim("Means of what nodes find alone end elsewhere (by 20 % of the norm or more).", PAPER, min(bias) >= 0.2, f"{min(bias):.2f} to {max(bias):.2f}"),
    ]  # fmt: skip
    rows_out = [
        *([k, spread(end[k], ".3f")] for k in methods),
        ["means of nodes' own hypergradients, exact", spread(bias, ".3f")],
    ]
    table = Table(
        f"Distance of log penalties to the exact ones after {rounds} rounds, share of their norm",
        ["method", "distance"],
        rows_out,
        "mean and standard deviation over problems.",
    )
    setup = {
        "rounds": rounds, "problem": {"nodes": N, "features": DIM, "rows of training and validation": ROWS}, "network": {"topology": "ring"},
        "methods": {k: str(v) for k, v in methods.items()},
    }  # fmt: skip
    panel = {k: (v[0][0], np.stack([got for _, got in v])) for k, v in found.items()}
    return Result(
        claims,
        [table],
        setup,
        list(seeds),
        curves({"": panel}, "rounds", "distance", yscale="log"),
        "Means over problems.",
    )
