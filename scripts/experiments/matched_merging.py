"""Averaging models that were trained alone from different starts, with and without matching their hidden units.

Eight nodes train a perceptron each on its own digits (Dirichlet 1), from starts of their own, and merge for the first time after many steps;
then they merge in every round. Plain averages mix hidden units that mean different things; matched ones put them in one order first.
"""

import dejax as dj

from ._digits import SETUP, compare, curves, last, percent, problem
from ._page import Claim, Result, Table

FLOAT64 = False
N, ALPHA, ALONE, PAPER = 8, 1.0, 300, "Saadati et al., DIMAT: decentralized iterative merging-and-training, 2024"
m = dj.methods


def run(short: bool) -> Result:
    """One round of many steps alone, then rounds of a few; three ways to average."""
    seeds, cycles, alone = range(2 if short else 5), 3 if short else 20, 60 if short else ALONE
    split = problem(dj.data.dirichlet(alpha=ALPHA), N, starts="independent")
    ring = dj.Network(dj.topology.complete(N))
    make = {
        "plain": lambda k: m.local_sgd(lr=0.1, local_steps=k),
        "matched by activations (DIMAT)": lambda k: m.dimat(lr=0.1, local_steps=k),
        "matched by weights": lambda k: m.weight_matching(lr=0.1, local_steps=k),
    }
    before = compare({"alone": (m.local_only(lr=0.1), split, None)}, alone, seeds, alone, ["local_models"])
    own = last(before, "accuracy/local", "alone")
    first = compare({k: (of(alone), split, ring) for k, of in make.items()}, 1, seeds, 1, ["local_models"])
    merged = {k: last(first, "accuracy/local", k) for k in make}
    cycle = compare({k: (of(10), split, ring) for k, of in make.items()}, cycles, seeds, 1, ["local_models"])
    series = {k: cycle.series("accuracy/local", k) for k in make}
    mean = {k: 100 * float(v.mean()) for k, v in merged.items()}
    early = {k: 100 * float(v[1][:, 1 : 1 + max(1, cycles // 4)].mean()) for k, v in series.items()}
    end = {k: 100 * float(v[1][:, -1].mean()) for k, v in series.items()}
    dimat, alone_mean = "matched by activations (DIMAT)", 100 * float(own.mean())
    claims = [
        Claim("Plain averages of models trained apart lose most of what they had (half of the points above chance or more).", PAPER,
              mean["plain"] - 10 <= (alone_mean - 10) / 2, f"from {alone_mean:.1f} % alone to {mean['plain']:.1f} %",
              "Perceptrons of 32 units on digits are nearly linear in what they learn, and their average still knows much of it."),
        Claim("Averages matched by activations keep more (5 points or more).", PAPER, mean[dimat] >= mean["plain"] + 5, f"{mean[dimat]:.1f} % against {mean['plain']:.1f} %"),
        Claim("With merges in every round, matching is ahead early.", PAPER, early[dimat] > early["plain"], f"{early[dimat]:.1f} % against {early['plain']:.1f} %, mean of the first quarter",
              "On the complete graph one plain average makes all models equal, and what follows is FedAvg; matched models keep orders of their own, and are "
              "matched anew on 16 rows at each merge, with errors."),
        Claim("In the end both come to the same (within 2 points).", PAPER, abs(end[dimat] - end["plain"]) < 2, f"{end[dimat]:.1f} % and {end['plain']:.1f} %",
              "As above."),
    ]  # fmt: skip
    rows = [
        ["alone, before any merge", percent(own), "", ""],
        *([k, percent(merged[k]), f"{early[k]:.1f}", percent(series[k][1][:, -1])] for k in make),
    ]
    table = Table(
        "Accuracy of local models, %", ["averages", f"one merge after {alone} steps alone", "merges every 10 steps: first quarter", f"after {cycles} merges"], rows,
        "mean and standard deviation over seeds.",
    )  # fmt: skip
    setup = {
        "steps alone": alone, "merges": cycles, "data": {"source": "digits", "nodes": N, "partition": {"dirichlet": {"alpha": ALPHA}}, "seed": 0}, **SETUP,
        "starts": "independent", "network": {"topology": "complete"}, "methods": {k: str(of(10)) for k, of in make.items()},
    }  # fmt: skip
    return Result(
        claims,
        [table],
        setup,
        list(seeds),
        curves({"": series}, "rounds of 10 steps", "accuracy of local models"),
        "Merges in every round; means over seeds.",
    )
