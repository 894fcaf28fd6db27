"""Decentralized Adam at small batches: moments of means over several steps.

Sixteen nodes take gradients of four samples each. Adam's moments see noise at such batches; AccumAdam's see the mean of the last s gradients.
Graphs: the complete one, and the one-peer exponential graph, which sends one message a node and round. Each has the best of several rates.
"""

import numpy as np

import dejax as dj

from ._digits import SETUP, best_rate, curves, problem
from ._page import Claim, Result, Table, spread

FLOAT64 = False
N, BATCH, RATES, PAPER = 16, 4, [1e-3, 3e-3, 0.01, 0.03], "Wang et al., From promise to practice, 2025"


def run(short: bool) -> Result:
    """Two graphs, s = 1, 4, 16; rates and seeds of each are one program."""
    seeds, rounds = range(2 if short else 5), 40 if short else 400
    split = problem(dj.data.iid(), N, batch_size=BATCH)
    graphs = {"complete": dj.topology.complete(N), "one-peer exponential": dj.topology.one_peer_exponential(N)}
    found = {}
    for graph, topology in graphs.items():
        for s in (1, 4, 16):
            make = lambda lr, s=s: dj.methods.decent_adam(lr=lr, accumulate=s)
            of = split, dj.Network(topology)
            found[s, graph] = best_rate(
                make, RATES[1:3] if short else RATES, of, rounds, seeds, "accuracy/mean_model", max(1, rounds // 25)
            )
    end = {k: 100 * v[2][:, -1] for k, v in found.items()}
    mean = {k: float(np.mean(v)) for k, v in end.items()}
    peer, whole = "one-peer exponential", "complete"
    claims = [
        Claim("Accumulating over 4 steps ends better than plain Adam (mean model, one-peer exponential graph).", PAPER, mean[4, peer] > mean[1, peer], f"{mean[4, peer] - mean[1, peer]:+.2f} points",
              "With a rate of its own plain Adam takes a smaller step, and digits with 32 hidden units leave little to gain."),
        Claim("So on the complete graph.", PAPER, mean[4, whole] > mean[1, whole], f"{mean[4, whole] - mean[1, whole]:+.2f} points",
              "As above."),
        Claim("The one-peer exponential graph is about as good as the complete one (within 1 point), at a fifteenth of the messages.", PAPER, abs(mean[1, peer] - mean[1, whole]) < 1,
              f"{mean[1, peer] - mean[1, whole]:+.2f} points"),
    ]  # fmt: skip
    rows = [[graph, str(s), spread(end[s, graph], ".2f"), f"{found[s, graph][0]:g}"] for s, graph in found]
    table = Table(
        f"Accuracy of the mean model after {rounds} rounds, %",
        ["graph", "s", "accuracy", "best lr"],
        rows,
        "mean and standard deviation over seeds.",
    )
    setup = {
        "rounds": rounds, "data": {"source": "digits", "nodes": N, "partition": "iid", "seed": 0}, **(SETUP | {"batch_size": BATCH}), "lr": RATES,
        "network": {"topology": list(graphs)}, "method": "decent_adam(lr, accumulate=s)",
    }  # fmt: skip
    panels = {graph: {f"s = {s}": found[s, graph][1:] for s in (1, 4, 16)} for graph in graphs}
    return Result(
        claims,
        [table],
        setup,
        list(seeds),
        curves(panels, "rounds", "accuracy of the mean model"),
        "The best rate of each; means over seeds.",
    )
