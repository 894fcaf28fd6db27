"""Published: steps to 1e-6 on a star of 32 nodes, by heterogeneity.

Figure 8 of RelaySGD's appendix, as [figure 7](published_relay_ring.md) on a star, where RelaySGD needs two steps to hear from all
nodes and gossip mixes slowly. Problem, rates and looks as there; steps must be equal.
"""

import dejax as dj

from ._page import Result
from ._published import Entry, claim, table
from ._relay import SOURCE, quadratics, steps

FLOAT64 = True
NODES, LOOKS = 32, 10_000
ZETA2 = (0.0, 0.01, 0.1)
PRINTED = {  # steps and rate at each zeta^2
    "D2": [("65", 0.078125), ("65", 0.078125), ("65", 0.078125)],
    "gradient tracking": [("9", 0.72265625), ("280", 0.01781463623046875), ("295", 0.017242431640625)],
    "RelaySGD": [("8", 0.78125), ("8", 0.78125), ("8", 0.78125)],
}


def run(short: bool) -> Result:
    """All methods at all zeta^2; short: where they take fewer than 100 steps."""
    methods = {"D2": dj.methods.d2, "gradient tracking": dj.methods.gradient_tracking, "RelaySGD": dj.methods.relaysgd}
    star, entries = dj.topology.star(NODES), []
    for name, printed in PRINTED.items():
        for zeta2, (published, rate) in zip(ZETA2, printed, strict=True):
            if not short or int(published) < 100:
                found = steps(methods[name](lr=2 * rate), star, quadratics(NODES, zeta2, 1.0, 0), LOOKS)
                entries.append(Entry([name, f"{zeta2:g}", f"{rate:.6g}"], published, [found]))
    return Result(
        [claim("The steps of D2, gradient tracking and RelaySGD on a star are those printed.",
               SOURCE + "appendix_figure_8_relaysgd_vs_d2_on_star.ipynb", entries)],
        [table("Steps to an excess loss of 1e-6", ["method", "zeta^2", "printed rate"], entries)],
        {"nodes": NODES, "dim": 10, "mu": 0.25, "L": 1.0, "zeta2": list(ZETA2), "distance": 1.0, "rates": "twice those printed"},
        [0],
    )  # fmt: skip
