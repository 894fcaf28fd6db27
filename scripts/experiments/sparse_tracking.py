"""Sparse models on sorted digits: tracked proximal steps, plain and compressed.

Eight nodes on a ring hold about one or two digits each (shards). All want a perceptron that is sparse, by a penalty strength |x|_1. D-PSGD
with a proximal step stands beside DProxSGT, its compressed form, and one model on all data. Sparsity is the share of numbers of the mean model above 1e-4.
"""

import jax
import numpy as np

import dejax as dj

from ._digits import SETUP, compare, curves, last, percent, problem
from ._page import Claim, Result, Table, spread

FLOAT64 = False
N, LR, STRENGTH, PAPER = 8, 0.1, 3e-3, "Yan et al., Compressed decentralized proximal stochastic gradient method, 2023"
m, l1 = dj.methods, dj.proximal.l1


def nonzero(view: dj.metrics.View) -> dict[str, float]:
    """Metric: share of the numbers of the mean model above 1e-4."""
    leaves = [np.abs(np.asarray(x)).ravel() for x in jax.tree.leaves(view.mean)]
    return {"nonzero": float((np.concatenate(leaves) > 1e-4).mean())}


def run(short: bool) -> Result:
    """Four methods; seeds of each are one program."""
    seeds, rounds = range(2 if short else 5), 50 if short else 600
    split = problem(dj.data.shards(per_node=2), N)
    ring, top = dj.Network(dj.topology.ring(N)), dj.compression.top_k(ratio=0.3)
    everything = dj.Network(dj.topology.complete(N))
    runs = {
        "DProxSGT": (m.dproxsgt(lr=LR, prox=l1(STRENGTH)), split, ring),
        "CDProxSGT, top 30 %": (m.cdproxsgt(lr=LR, gamma=0.5, compressor=top, prox=l1(STRENGTH)), split, ring),
        "DProxSGT, complete graph": (m.dproxsgt(lr=LR, prox=l1(STRENGTH)), split, everything),
        "DProxSGT without a penalty": (m.dproxsgt(lr=LR), split, ring),
        "D-PSGD without a penalty": (m.dsgd(lr=LR), split, ring),
    }
    history = compare(runs, rounds, seeds, max(1, rounds // 30), ["local_models", "mean_model", nonzero])
    local = {k: last(history, "accuracy/local", k) for k in runs}
    share = {k: last(history, "nonzero", k) for k in runs}
    sent = {k: float(last(history, "bytes/node", k).mean()) for k in runs}
    gap = lambda a, b: float(100 * (local[a] - local[b]).mean())
    plain, small, whole = "DProxSGT", "CDProxSGT, top 30 %", "DProxSGT, complete graph"
    claims = [
        Claim("On a ring DProxSGT is as good as with averages of all nodes (within 1 point).", PAPER, gap(plain, whole) > -1, f"{gap(plain, whole):+.1f} points",
              "Batches of 16 make trackers noisy, and a ring of 8 takes several rounds to average what they carry."),
        Claim("The mean of its models is as sparse (within 5 points of the share).", PAPER, abs(share[plain].mean() - share[whole].mean()) < 0.05,
              f"{100 * share[plain].mean():.0f} % and {100 * share[whole].mean():.0f} % of the numbers",
              "Where the nodes of a ring are not equal, a number that is zero at most of them is not zero in their mean."),
        Claim("It is much sparser than without a penalty (less than half of the numbers).", PAPER,
              share[plain].mean() < share["DProxSGT without a penalty"].mean() / 2, f"{100 * share[plain].mean():.0f} % against {100 * share['DProxSGT without a penalty'].mean():.0f} %",
              "Means of sparse models after the last gossip count; numbers that are noise keep many of them just above the threshold."),
        Claim("Compressed messages reach the same accuracy (within 1 point) at half of the bytes or less.", PAPER,
              gap(small, plain) > -1 and sent[small] <= sent[plain] / 2, f"{gap(small, plain):+.1f} points at {sent[small] / sent[plain]:.2f} of the bytes"),
    ]  # fmt: skip
    rows = [
        [
            k,
            percent(local[k]),
            percent(last(history, "accuracy/mean_model", k)),
            spread(100 * share[k], ".0f"),
            f"{sent[k] / 1000:,.0f}",
        ]
        for k in runs
    ]
    table = Table(
        f"After {rounds} rounds",
        ["method", "local models, %", "mean model, %", "numbers above 1e-4, %", "kB a node"],
        rows,
        "mean and standard deviation over seeds.",
    )
    setup = {
        "rounds": rounds, "data": {"source": "digits", "nodes": N, "partition": {"shards": {"per_node": 2}}, "seed": 0}, **SETUP,
        "network": {"topology": "ring"}, "lr": LR, "strength": STRENGTH, "methods": {k: str(v[0]) for k, v in runs.items()},
    }  # fmt: skip
    series = lambda name: {k: history.series(name, k) for k in runs}
    panels = {"accuracy": series("accuracy/local"), "share of numbers above 1e-4": series("nonzero")}
    return Result(claims, [table], setup, list(seeds), curves(panels, "rounds", ""), "Means over seeds.")
