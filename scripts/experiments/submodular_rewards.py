"""Online maximization of rewards with diminishing returns, by neighbors.

Sixteen nodes see rewards of their own, monotone and DR-submodular on a box with a budget, and play against the mean of all. Methods with boosted
gradients (DOBGA) or Frank-Wolfe blocks (Mono-DMFW) promise (1 - 1/e) of the best choice in hindsight; plain gradient ascent promises half.
"""

import math

import numpy as np

import dejax as dj

from ._digits import curves
from ._page import Claim, Result, Table, finished, spread

FLOAT64 = True
N, DIM, BLOCK, BUDGET, PAPER = (
    16,
    10,
    10,
    3.0,
    "Zhang et al., Communication-efficient decentralized online continuous DR-submodular maximization, 2023",
)
m = dj.methods


def run(short: bool) -> Result:
    """Four players on three graphs; reward of what is played, as a share of the best that was found."""
    seeds, rounds = range(1 if short else 3), 600
    prox, graphs = dj.proximal.budget(BUDGET), {"complete": dj.topology.complete(N), "ring": dj.topology.ring(N)}
    methods = {
        "DOBGA": m.dobga(lr=0.05, prox=prox),
        "Mono-DMFW": m.mono_dmfw(lr=0.1, block=BLOCK, prox=prox),
        "gradient ascent": m.dproxsgt(lr=0.05, prox=prox),
    }
    found = {(k, g): [] for k in methods for g in graphs}
    regret: dict = {k: [] for k in found}
    for seed in seeds:
        made = dj.data.diminishing(nodes=N, dim=DIM, rows=20, seed=seed, dtype="float64")
        problem = dj.Problem(made.task, made.data, batch_size=1)
        reward = lambda x, made=made: -float(np.mean(made.losses(x)))
        best = max(reward(choice) for choice in _candidates(made, BUDGET))
        share = lambda view, reward=reward, best=best: {
            "share": float(np.mean([reward(x) for x in np.asarray(view.params["x"])]) / best)
        }
        runs = {
            f"{k}, {g}": (method, problem, dj.Network(graph))
            for k, method in methods.items()
            for g, graph in graphs.items()
        }
        history = finished(
            dj.compare(runs, rounds=rounds, seeds=[seed], every=max(1, rounds // 60), metrics=[share], progress=False)
        )
        for k, g in found:
            at, got = history.series("share", f"{k}, {g}")
            found[k, g].append((at, got[0]))
            regret[k, g].append(np.cumsum(np.maximum(1 - 1 / math.e - got[0], 0)) / np.arange(1, len(at) + 1))
    tail = {k: np.array([got[len(got) // 2 :].mean() for _, got in v]) for k, v in found.items()}
    claims = [
        Claim("(1 - 1/e)-regret per round falls with time (DOBGA, ring: at the end a tenth of that of the first play, or none).", PAPER,
              all(r[-1] <= max(r[0] / 10, 1e-9) for r in regret["DOBGA", "ring"]), f"from {np.mean([r[0] for r in regret['DOBGA', 'ring']]):.3f} to {np.mean([r[-1] for r in regret['DOBGA', 'ring']]):.3f}"),
        Claim("So of Mono-DMFW.", PAPER, all(r[-1] <= max(r[0] / 10, 1e-9) for r in regret["Mono-DMFW", "ring"]),
              f"from {np.mean([r[0] for r in regret['Mono-DMFW', 'ring']]):.3f} to {np.mean([r[-1] for r in regret['Mono-DMFW', 'ring']]):.3f}"),
        Claim("DOBGA's plays are worth more than those of Mono-DMFW.", PAPER, tail["DOBGA", "ring"].mean() > tail["Mono-DMFW", "ring"].mean(),
              f"{tail['DOBGA', 'ring'].mean():.3f} and {tail['Mono-DMFW', 'ring'].mean():.3f} of the best"),
        Claim("Both are worth more than (1 - 1/e) of the best found, on both graphs.", PAPER, min(tail[k, g].mean() for k in ("DOBGA", "Mono-DMFW") for g in graphs) > 1 - 1 / math.e,
              f"least {min(tail[k, g].mean() for k in ('DOBGA', 'Mono-DMFW') for g in graphs):.3f}"),
    ]  # fmt: skip
    rows = [[k, g, spread(tail[k, g], ".3f"), f"{np.mean([r[-1] for r in regret[k, g]]):.4f}"] for k, g in found]
    table = Table(
        "Reward of plays as a share of the best found, second half",
        ["method", "graph", "share", "(1 - 1/e)-regret a round"],
        rows,
        "mean and standard deviation over problems.",
    )
    setup = {
        "rounds": rounds, "problem": {"diminishing": {"nodes": N, "dim": DIM, "rows": 20}}, "budget": BUDGET, "batch_size": 1, "network": {"topology": list(graphs)},
        "methods": {k: str(v) for k, v in methods.items()},
    }  # fmt: skip
    panel = {f"{k}, {g}": (v[0][0], np.stack([got for _, got in v])) for (k, g), v in found.items()}
    return Result(
        claims,
        [table],
        setup,
        list(seeds),
        curves({"": panel}, "rounds", "share of the best found"),
        "Means over problems.",
    )


def _candidates(made, budget: float) -> list[np.ndarray]:
    """Choices within the budget: greedy by the slope at each step, and projected ascent from the middle."""
    x = np.zeros(DIM)
    for _ in range(2000):  # continuous greedy
        slope = -made.gradients(x).mean(0)
        v = np.zeros(DIM)
        v[np.argsort(-slope)[: int(budget)]] = 1.0
        x = x + v * (slope > 0) / 2000
    return [
        x,
        *(
            np.where(np.isin(np.arange(DIM), np.random.default_rng(k).permutation(DIM)[: int(budget)]), 1.0, 0.0)
            for k in range(200)
        ),
    ]
