"""Anchors and miners: who refreshes the direction, and who follows it.

A hundred nodes with digits of two classes each, of which a server samples twenty a round. FedAMD makes some of them anchors, which send a gradient of
a large batch, and the others miners, which take local steps along the mean of what all nodes sent last. How many rounds does it take to a target?
"""

import numpy as np

import dejax as dj

from ._digits import SETUP, curves, problem
from ._page import Claim, Result, Table, finished, spread

FLOAT64 = False
N, SAMPLE, STEPS, RATES, TARGET, PAPER = (
    100,
    20,
    10,
    [0.03, 0.1, 0.3],
    0.85,
    "Wu et al., Anchor sampling for federated learning with partial client participation, 2023",
)
SHARES = (0.02, 0.1, 0.2, 0.5, 0.8)
m = dj.methods


def run(short: bool) -> Result:
    """FedAMD at several shares of anchors beside FedAvg and SCAFFOLD; the best of three rates for each."""
    seeds, rounds, target = range(1 if short else 3), 30 if short else 250, 0.5 if short else TARGET
    split = problem(dj.data.shards(per_node=2), N, batch_size=8)
    make = {
        "FedAvg": lambda lr: m.fedavg(lr=lr, clients=SAMPLE, local_steps=STEPS),
        "SCAFFOLD": lambda lr: m.scaffold(lr=lr, clients=SAMPLE, local_steps=STEPS),
    } | {
        f"FedAMD, p = {p:g}": lambda lr, p=p: m.fedamd(lr=lr, p=p, clients=SAMPLE, local_steps=STEPS, anchor_batches=2)
        for p in (SHARES[1:3] if short else SHARES)
    }
    need, curve, rate = {}, {}, {}
    for label, method in make.items():
        build = lambda lr, method=method: (method(lr), split, dj.Network())
        history = finished(
            dj.sweep(
                build,
                {"lr": RATES},
                rounds,
                seeds=list(seeds),
                every=max(1, rounds // 50),
                metrics=["mean_model"],
                progress=False,
            )
        )
        runs = {lr: history.series("accuracy/mean_model", f"lr={lr}") for lr in RATES}
        when = {
            lr: np.array([next((t for t, v in zip(at, row, strict=True) if v >= target), np.inf) for row in got])
            for lr, (at, got) in runs.items()
        }
        rate[label] = min(RATES, key=lambda lr: (np.median(when[lr]), -np.nan_to_num(runs[lr][1][:, -1]).mean()))
        need[label], curve[label] = when[rate[label]], runs[rate[label]]
    middle = {k: float(np.median(v)) for k, v in need.items()}
    amd = {k: v for k, v in middle.items() if k.startswith("FedAMD")}
    best = min(amd, key=lambda k: amd[k])
    few = next(iter(amd))
    claims = [
        Claim("FedAMD reaches the target in fewer rounds than FedAvg.", PAPER, amd[best] < middle["FedAvg"], f"{amd[best]:.0f} ({best}) against {middle['FedAvg']:.0f} rounds",
              "Digits and 32 hidden units are easy, and FedAvg with its own best rate is done before directions are worth their price."),
        Claim("And than SCAFFOLD.", PAPER, amd[best] < middle["SCAFFOLD"], f"{amd[best]:.0f} against {middle['SCAFFOLD']:.0f} rounds", "As above."),
        Claim("The best constant share of anchors is between 0.1 and 0.5.", PAPER, 0.1 <= float(best.split()[-1]) <= 0.5, f"{best}", "Where caches are refreshed often enough, more miners move the model more."),
        Claim("Very few anchors leave old directions and take longer.", PAPER, amd[few] > amd[best], f"{few}: {amd[few]:.0f} rounds, {best}: {amd[best]:.0f}"),
    ]  # fmt: skip
    rows = [
        [k, f"{rate[k]:g}", spread(need[k], infinite="never"), spread(100 * curve[k][1][:, -1], ".1f")] for k in make
    ]
    table = Table(
        f"Rounds until the model is right on {100 * target:.0f} %",
        ["method", "best lr", "rounds", f"accuracy after {rounds}, %"],
        rows,
        "median and range, or mean and standard deviation, over seeds.",
    )
    setup = {
        "rounds": rounds, "data": {"source": "digits", "nodes": N, "partition": {"shards": {"per_node": 2}}, "seed": 0}, **(SETUP | {"batch_size": 8}), "lr": RATES,
        "clients": SAMPLE, "local_steps": STEPS, "anchor_batches": 2, "p": list(SHARES),
    }  # fmt: skip
    return Result(
        claims,
        [table],
        setup,
        list(seeds),
        curves({"": curve}, "rounds", "accuracy of the server's model"),
        "The best rate of each; means over seeds.",
    )
