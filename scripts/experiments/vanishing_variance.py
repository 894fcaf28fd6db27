"""Averages of models that do not know each other lose variance, and time.

Sixteen nodes start from models drawn apart. A plain average of them has the variance of one over their number, and learns nothing for a
while. Rescaling every tensor to the variance of those that were averaged brings it back. From one common start there is nothing to correct.
"""

import jax
import numpy as np

import dejax as dj

from ._digits import SETUP, compare, curves, problem
from ._page import Claim, Result, Table, spread

FLOAT64 = False
N, LR, PAPER = 16, 0.1, "Tian et al., Vanishing variance problem in fully decentralized neural-network systems, 2024"
m = dj.methods


def deviation(view: dj.metrics.View) -> dict[str, float]:
    """Metric: standard deviation of the numbers of the first matrix, mean over nodes."""
    first = max(jax.tree.leaves(view.params), key=lambda x: x.size)
    return {"deviation": float(np.asarray(first).reshape(len(first), -1).std(1).mean())}


def run(short: bool) -> Result:
    """Plain and corrected averages, drawn apart and from one start, on two graphs."""
    seeds, rounds = range(2 if short else 5), 40 if short else 200
    apart, common = (problem(dj.data.iid(), N, starts=starts) for starts in ("independent", "equal"))
    graphs = {"complete": dj.Network(dj.topology.complete(N)), "ring": dj.Network(dj.topology.ring(N))}
    plain, fixed = m.local_sgd(lr=LR, local_steps=1), m.variance_corrected(lr=LR, own=0.5, eps=1e-6)
    runs = {}
    for graph, network in graphs.items():
        runs |= {
            f"plain, apart, {graph}": (plain, apart, network),
            f"corrected, apart, {graph}": (fixed, apart, network),
        }
        runs |= {
            f"plain, one start, {graph}": (plain, common, network),
            f"corrected, one start, {graph}": (fixed, common, network),
        }
    history = compare(runs, rounds, seeds, 1 if short else 2, ["local_models", deviation])
    at, _ = history.series("accuracy/local", next(iter(runs)))
    accuracy = {k: history.series("accuracy/local", k)[1] for k in runs}
    dev = {k: history.series("deviation", k)[1] for k in runs}
    need = {
        k: np.array([next((t for t, a in zip(at, row, strict=True) if a >= 0.5), np.inf) for row in accuracy[k]])
        for k in runs
    }
    shrunk = float((dev["plain, apart, complete"][:, 1] / dev["plain, apart, complete"][:, 0]).mean())
    kept = float((dev["corrected, apart, complete"][:, 1] / dev["corrected, apart, complete"][:, 0]).mean())
    middle = {k: float(np.median(v)) for k, v in need.items()}
    claims = [
        Claim("The first average of all models divides the deviation of weights by the root of their number, 4 (within 10 %).", PAPER, abs(shrunk * 4 - 1) < 0.1,
              f"{shrunk:.3f} of it is left after {at[1]:.0f} rounds"),
        Claim("Corrected averages keep it (within 10 %).", PAPER, abs(kept - 1) < 0.1, f"{kept:.3f}"),
        Claim("Models drawn apart need longer for 50 % than from one start where averages are plain (a quarter longer or more).", PAPER,
              middle["plain, apart, complete"] >= 1.25 * middle["plain, one start, complete"],
              f"{middle['plain, apart, complete']:.0f} and {middle['plain, one start, complete']:.0f} rounds on the complete graph"),
        Claim("The plateau is longer on the denser graph.", PAPER, middle["plain, apart, complete"] > middle["plain, apart, ring"],
              f"{middle['plain, apart, complete']:.0f} rounds against {middle['plain, apart, ring']:.0f} on the ring",
              "A ring keeps models apart for longer, so that their average is of unlike models for longer, too."),
        Claim("With the correction the plateau is gone: as fast as from one start (within a tenth).", PAPER,
              middle["corrected, apart, complete"] <= 1.1 * middle["plain, one start, complete"],
              f"{middle['corrected, apart, complete']:.0f} rounds against {middle['plain, one start, complete']:.0f}"),
    ]  # fmt: skip
    rows = [
        [
            k,
            spread(need[k]),
            f"{dev[k][:, 0].mean():.3f}",
            f"{dev[k][:, 1].mean():.3f}",
            spread(100 * accuracy[k][:, -1], ".1f"),
        ]
        for k in runs
    ]
    table = Table(
        "Rounds until local models know half of the digits", ["averages, start, graph", "rounds", "deviation at first", f"after {at[1]:.0f}", f"accuracy after {rounds}, %"], rows,
        "median and range, or mean and standard deviation, over seeds.",
    )  # fmt: skip
    setup = {
        "rounds": rounds, "data": {"source": "digits", "nodes": N, "partition": "iid", "seed": 0}, **SETUP, "starts": ["independent", "equal"],
        "network": {"topology": list(graphs)}, "methods": {"plain": str(plain), "corrected": str(fixed)},
    }  # fmt: skip
    panels = {g: {k.replace(f", {g}", ""): (at, accuracy[k]) for k in runs if k.endswith(g)} for g in graphs}
    return Result(
        claims, [table], setup, list(seeds), curves(panels, "rounds", "accuracy of local models"), "Means over seeds."
    )
