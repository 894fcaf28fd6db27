"""Federated averaging without a server: samples of nodes that all agree on.

A hundred nodes with digits of two classes each. Plexus samples ten nodes a round, whom all can name, and the model moves from sample to sample;
FedAvg does so by a server, D-PSGD lets all nodes gossip. Halfway four fifths of the nodes vanish.
"""

import dejax as dj

from ._digits import SETUP, compare, curves, last, percent, problem
from ._page import Claim, Result, Table

FLOAT64 = False
N, SAMPLE, STEPS, LR, PAPER = 100, 10, 5, 0.1, "de Vos et al., MoDeST, 2023"
m = dj.methods


def run(short: bool) -> Result:
    """Four ways to train; the same with nodes that vanish."""
    seeds, rounds = range(2 if short else 5), 40 if short else 300
    split = problem(dj.data.shards(per_node=2), N, batch_size=8)
    vanish = dj.faults.vanish(at=rounds // 2, share=0.8)
    runs = {
        "Plexus": (m.plexus(lr=LR, clients=SAMPLE, local_steps=STEPS), split, dj.Network()),
        "FedAvg": (m.fedavg(lr=LR, clients=SAMPLE, local_steps=STEPS), split, dj.Network()),
        "D-PSGD, ring": (m.local_sgd(lr=LR, local_steps=STEPS), split, dj.Network(dj.topology.ring(N))),
        "D-PSGD, one-peer exponential": (
            m.local_sgd(lr=LR, local_steps=STEPS),
            split,
            dj.Network(dj.topology.one_peer_exponential(N)),
        ),
        "Plexus, 80 % vanish": (m.plexus(lr=LR, clients=SAMPLE, local_steps=STEPS), split, dj.Network(faults=vanish)),
    }
    history = compare(runs, rounds, seeds, max(1, rounds // 30), ["local_models"])
    local = {k: last(history, "accuracy/local", k) for k in runs}
    end = {k: 100 * float(v.mean()) for k, v in local.items()}
    sent = {k: float(last(history, "bytes", k).mean()) for k in runs}
    at, killed = history.series("accuracy/local", "Plexus, 80 % vanish")
    then = 100 * float(killed[:, (at <= rounds // 2).nonzero()[0][-1]].mean())
    claims = [
        Claim("Plexus is as good as FedAvg, round for round (within 2 points).", PAPER, abs(end["Plexus"] - end["FedAvg"]) < 2, f"{end['Plexus']:.1f} % and {end['FedAvg']:.1f} %"),
        Claim("It is better than gossip of all nodes on a ring and on the one-peer exponential graph.", PAPER,
              end["Plexus"] > max(end["D-PSGD, ring"], end["D-PSGD, one-peer exponential"]), f"{end['Plexus']:.1f} % against {end['D-PSGD, ring']:.1f} % and {end['D-PSGD, one-peer exponential']:.1f} %",
              "Gossip computes on all hundred nodes in each round, ten times as much."),
        Claim("It sends a fraction of their bytes (a third or less).", PAPER, sent["Plexus"] <= min(sent["D-PSGD, ring"], sent["D-PSGD, one-peer exponential"]) / 3,
              f"{sent['Plexus'] / sent['D-PSGD, ring']:.2f} of the ring's, {sent['Plexus'] / sent['D-PSGD, one-peer exponential']:.2f} of the one-peer graph's"),
        Claim("When 80 % of the nodes vanish, rounds go on and accuracy does not fall (by more than 2 points).", PAPER, end["Plexus, 80 % vanish"] >= then - 2,
              f"{then:.1f} % when they vanish, {end['Plexus, 80 % vanish']:.1f} % at the end"),
    ]  # fmt: skip
    rows = [[k, percent(local[k]), f"{sent[k] / 1e6:,.1f}"] for k in runs]
    table = Table(
        f"After {rounds} rounds",
        ["method", "accuracy of local models, %", "MB in all"],
        rows,
        "mean and standard deviation over seeds.",
    )
    setup = {
        "rounds": rounds, "data": {"source": "digits", "nodes": N, "partition": {"shards": {"per_node": 2}}, "seed": 0}, **(SETUP | {"batch_size": 8}),
        "vanish": {"at": rounds // 2, "share": 0.8}, "methods": {k: str(v[0]) for k, v in runs.items()},
    }  # fmt: skip
    panel = {k: history.series("accuracy/local", k) for k in runs}
    return Result(
        claims,
        [table],
        setup,
        list(seeds),
        curves({"": panel}, "rounds", "accuracy of local models"),
        "Means over seeds.",
    )
