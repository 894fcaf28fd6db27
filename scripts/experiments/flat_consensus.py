"""Sharpness-aware local steps in gossip, and several averages a round.

Sixteen nodes on a ring with unequal digits (Dirichlet 0.3) take ten local steps a round: plain (DFedAvg), sharpness-aware (DFedSAM), and
sharpness-aware with four averages a round (DFedSAM-MGS). Each has the best of several rates.
"""

import dejax as dj

from ._digits import SETUP, best_rate, curves, percent, problem
from ._page import Claim, Result, Table

FLOAT64 = False
N, ALPHA, STEPS, RATES, PAPER = (
    16,
    0.3,
    10,
    [0.03, 0.1, 0.3],
    "Shi et al., Improving the model consistency of decentralized federated learning, 2023",
)
m = dj.methods
METHODS = {
    "DFedAvg": (lambda lr: m.local_sgd(lr=lr, local_steps=STEPS), 1, 1),
    "DFedAvg, 4 averages": (lambda lr: m.dfedsam(lr=lr, rho=0.0, local_steps=STEPS, gossips=4), 1, 4),
    "DFedSAM": (lambda lr: m.dfedsam(lr=lr, rho=0.05, local_steps=STEPS), 2, 1),
    "DFedSAM-MGS": (lambda lr: m.dfedsam(lr=lr, rho=0.05, local_steps=STEPS, gossips=4), 2, 4),
}


def run(short: bool) -> Result:
    """Rates and seeds of a method are one program."""
    seeds, rounds = range(2 if short else 5), 20 if short else 150
    of = problem(dj.data.dirichlet(alpha=ALPHA), N), dj.Network(dj.topology.ring(N))
    rates = RATES[:2] if short else RATES
    best = {
        k: best_rate(make, rates, of, rounds, seeds, "accuracy/local", max(1, rounds // 25))
        for k, (make, *_) in METHODS.items()
    }
    end = {k: 100 * float(v[2][:, -1].mean()) for k, v in best.items()}
    gain = lambda a, b: end[a] - end[b]
    claims = [
        Claim("Local models of DFedSAM are better than those of DFedAvg (by 1 to 3 points).", PAPER, gain("DFedSAM", "DFedAvg") >= 1, f"{gain('DFedSAM', 'DFedAvg'):+.1f} points",
              "The gain that the paper sees is of convolutional networks on images, whose minima are sharper than those of a perceptron with 32 units on digits."),
        Claim("Those of DFedSAM-MGS are better still (by 1 point or more).", PAPER, gain("DFedSAM-MGS", "DFedSAM") >= 1, f"{gain('DFedSAM-MGS', 'DFedSAM'):+.1f} points",
              "Four averages a round bring more agreement than these models need."),
        Claim("What MGS gains it owes to the averages: DFedAvg with four of them gains as much (within 1 point).", "what one would ask next",
              abs(gain("DFedSAM-MGS", "DFedSAM") - gain("DFedAvg, 4 averages", "DFedAvg")) < 1,
              f"{gain('DFedAvg, 4 averages', 'DFedAvg'):+.1f} without sharpness-aware steps, {gain('DFedSAM-MGS', 'DFedSAM'):+.1f} with them"),
    ]  # fmt: skip
    rows = [[k, percent(best[k][2][:, -1]), f"{best[k][0]:g}", str(METHODS[k][1]), str(METHODS[k][2])] for k in METHODS]
    table = Table(
        f"Accuracy of local models after {rounds} rounds, %", ["method", "accuracy", "best lr", "gradients a step", "messages a round"], rows,
        "mean and standard deviation over seeds.",
    )  # fmt: skip
    setup = {
        "rounds": rounds, "data": {"source": "digits", "nodes": N, "partition": {"dirichlet": {"alpha": ALPHA}}, "seed": 0}, **SETUP,
        "network": {"topology": "ring"}, "lr": RATES, "methods": {k: str(make(0.1)) for k, (make, *_) in METHODS.items()},
    }  # fmt: skip
    panel = {k: (at, got) for k, (_, at, got) in best.items()}
    return Result(
        claims,
        [table],
        setup,
        list(seeds),
        curves({"": panel}, "rounds of 10 steps", "accuracy of local models"),
        "The best rate of each method; means over seeds.",
    )
