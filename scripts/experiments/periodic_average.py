"""An exact average now and then, on a large sparse ring.

Sixty-four nodes on a ring descend on unequal least squares with noisy gradients and falling rates. Gossip alone agrees slowly; an average of all nodes every 16
rounds cuts that short (Gossip-PGA), with and without gossip between (local SGD). Errors are those of the nodes' models to the optimum.
"""

import numpy as np

import dejax as dj

from ._digits import curves
from ._page import Claim, Result, Table, finished, spread
from ._squares import distance

FLOAT64 = True
N, DIM, EVERY, PAPER = 64, 10, 16, "Chen et al., Accelerating gossip SGD with periodic global averaging, 2021"
m = dj.methods


def falling(t):
    """0.1, falling like 1 / t from round 200 on, as theory wants it."""
    return 0.1 / (1 + t / 200)


def run(short: bool) -> Result:
    """Gossip, gossip with averages, averages alone, and averages in every round; one row of data a step."""
    seeds, rounds = range(1 if short else 5), 4000
    ring = dj.Network(dj.topology.ring(N))
    methods = {
        "gossip": m.dsgd(lr=falling),
        "Gossip-PGA": m.gossip_pga(lr=falling, every=EVERY),
        "local SGD": m.scheduled_sgd(lr=falling, local_steps=1, talk=[[EVERY - 1, None, EVERY, "server"]]),
        "average in every round": m.scheduled_sgd(lr=falling, local_steps=1, talk=[[0, None, 1, "server"]]),
    }
    found = {k: [] for k in methods}
    for seed in seeds:
        made = dj.data.least_squares(
            nodes=N, dim=DIM, L=1.0, mu=0.3, zeta2=4.0, noise=1.0, samples=4 * DIM, seed=seed, dtype="float64"
        )
        problem = dj.Problem(made.task, made.data, batch_size=1)
        runs = {k: (method, problem, ring) for k, method in methods.items()}
        history = finished(
            dj.compare(runs, rounds=rounds, seeds=[seed], every=EVERY // 2, metrics=[distance], progress=False)
        )
        for k in methods:
            found[k].append(history.series("distance", k))
    at = found["gossip"][0][0]
    values = {k: np.concatenate([got for _, got in v]) for k, v in found.items()}
    tail = {k: np.sqrt((v[:, at > rounds / 2] ** 2).mean(1)) for k, v in values.items()}
    best = values["average in every round"].mean(0)

    def transient(k: str) -> float:
        """Rounds until the error, and all after it, are within twice that of averages in every round."""
        away = np.flatnonzero(values[k].mean(0) > 2 * best)
        return float("inf") if len(away) and away[-1] == len(at) - 1 else float(at[away[-1] + 1]) if len(away) else 0.0

    level = {k: float(v.mean()) for k, v in tail.items()}
    claims = [
        Claim("Gossip-PGA ends closer to the optimum than gossip on the same ring.", PAPER, level["Gossip-PGA"] < level["gossip"], f"{level['Gossip-PGA']:.3f} against {level['gossip']:.3f}"),
        Claim("It ends closer than local SGD, which averages as often.", PAPER, level["Gossip-PGA"] < level["local SGD"], f"{level['Gossip-PGA']:.3f} against {level['local SGD']:.3f}"),
        Claim("Its transient (until within twice the error of averages in every round) is shorter than those of both.", PAPER,
              transient("Gossip-PGA") < min(transient("gossip"), transient("local SGD")), ", ".join(f"{k} {transient(k):.0f}" for k in methods if k != "average in every round"),
              "Where disagreement falls no faster than the noise that all average away, an error stays above twice the best."),
    ]  # fmt: skip
    rows = [[k, spread(tail[k], ".3f"), f"{transient(k):.0f}"] for k in methods]
    table = Table(
        "Root mean squared error over the second half, and the transient",
        ["method", "error", "rounds"],
        rows,
        "mean and standard deviation over problems; inf: never.",
    )
    setup = {
        "rounds": rounds, "problem": {"least_squares": {"nodes": N, "dim": DIM, "L": 1.0, "mu": 0.3, "zeta2": 4.0, "noise": 1.0, "samples": 4 * DIM}}, "batch_size": 1, "lr": "0.1 / (1 + t / 200)",
        "network": {"topology": "ring"}, "methods": {k: str(v) for k, v in methods.items()},
    }  # fmt: skip
    panel = {k: (at[::4], v[:, ::4]) for k, v in values.items()}
    return Result(
        claims,
        [table],
        setup,
        list(seeds),
        curves({"": panel}, "rounds", "error", yscale="log"),
        "Means over problems.",
    )
