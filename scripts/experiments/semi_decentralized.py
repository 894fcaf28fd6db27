"""A server now and then: back to those it sampled, or to all.

The network is two rings that never meet; every ten rounds a server averages a sample of the nodes and sends the mean back, to those nodes
(S2S) or to all (S2A). Nodes of both rings hold alike digits, or those of the one the digits 0 to 4 and those of the other 5 to 9.
"""

import numpy as np

import dejax as dj

from ._digits import SETUP, compare, curves, percent, problem
from ._page import Claim, Result, Table

FLOAT64 = False
N, EVERY, LR, PAPER = 20, 10, 0.1, "Rodio et al., Unified convergence analysis for semi-decentralized learning, 2025"


def halves(labels, nodes, rng, groups=None):
    """Small digits at the nodes of the first ring, large ones at those of the second."""
    rows = rng.permutation(len(labels))
    small = labels[rows] < 5
    return np.array_split(rows[small], nodes // 2) + np.array_split(rows[~small], nodes - nodes // 2)


def two_rings() -> dj.topology.Topology:
    """Two rings of N / 2 nodes that never meet."""
    ring = dj.topology.ring(N // 2).matrix()
    return dj.topology.from_matrix(np.kron(np.eye(2), ring), allow_disconnected=True, name="two_rings")


def run(short: bool) -> Result:
    """Two splits, two sizes of the sample, two ways back."""
    seeds, rounds = range(2 if short else 5), 40 if short else 300
    network = dj.Network(two_rings())
    splits = {"alike": dj.data.iid(), "classes apart": halves}
    ways = {
        f"{word}, {k} of {N}": {"clients": k, "to": to}
        for k in (4, 16)
        for word, to in (("S2S", "sampled"), ("S2A", "all"))
    }
    runs = {
        f"{split}, {way}": (dj.methods.semi_decentralized(lr=LR, every=EVERY, **given), problem(part, N), network)
        for split, part in splits.items() for way, given in ways.items()
    }  # fmt: skip
    history = compare(runs, rounds, seeds, 2, ["local_models", "mean_model"])
    series = {(k, what): history.series(f"accuracy/{what}", k) for k in runs for what in ("mean_model", "local")}
    tail = {
        k: values[:, at > rounds / 2].mean(1) for k, (at, values) in series.items()
    }  # [seeds]: mean of the second half
    gain = {
        (s, k, what): float(100 * (tail[f"{s}, S2S, {k} of {N}", what] - tail[f"{s}, S2A, {k} of {N}", what]).mean())
        for s in splits for k in (4, 16) for what in ("mean_model", "local")
    }  # fmt: skip
    apart = "classes apart"
    claims = [
        Claim("Where nodes hold alike data S2A is at least as good (S2S ahead by at most 1 point, mean model).", PAPER, gain["alike", 4, "mean_model"] < 1,
              f"S2S {gain['alike', 4, 'mean_model']:+.1f} points"),
        Claim("Where the rings hold other classes S2S is ahead (mean model, by more than 1 point): it keeps the mean of all models, S2A replaces it by that of a sample.", PAPER,
              gain[apart, 4, "mean_model"] > 1, f"{gain[apart, 4, 'mean_model']:+.1f} points",
              "The mean of models of two rings that know other classes is a poor model, though it is their mean; a broadcast starts all from one model, "
              "and what the sample lacks comes back by the next meeting."),
        Claim("So are the nodes' own models.", PAPER, gain[apart, 4, "local"] > 0, f"{gain[apart, 4, 'local']:+.1f} points",
              "Under S2S a ring hears of the other's classes by the few of its nodes that were sampled; judged on all classes its models are poor, while a broadcast "
              "brings all nodes to one model."),
        Claim("A larger sample closes the gap (16 of 20 in place of 4, mean model).", PAPER, abs(gain[apart, 16, "mean_model"]) < abs(gain[apart, 4, "mean_model"]),
              f"{gain[apart, 16, 'mean_model']:+.1f} points in place of {gain[apart, 4, 'mean_model']:+.1f}"),
    ]  # fmt: skip
    rows = [
        [way, *(percent(tail[f"{s}, {way}", what]) for what in ("mean_model", "local") for s in splits)] for way in ways
    ]
    table = Table(
        "Accuracy over the second half, %", ["way back, sample", *(f"{what}: {s}" for what in ("mean model", "local models") for s in splits)], rows,
        "mean and standard deviation over seeds of the mean over all evaluations there, before and after meetings.",
    )  # fmt: skip
    setup = {
        "rounds": rounds, "data": {"source": "digits", "nodes": N, "partition": list(splits), "seed": 0}, **SETUP,
        "network": {"topology": "two rings of 10"}, "method": {"semi_decentralized": {"lr": LR, "every": EVERY}}, "ways": ways,
    }  # fmt: skip
    panels = {s: {w: series[f"{s}, {w}", "mean_model"] for w in ways} for s in splits}
    return Result(
        claims, [table], setup, list(seeds), curves(panels, "rounds", "accuracy of the mean model"), "Means over seeds."
    )
