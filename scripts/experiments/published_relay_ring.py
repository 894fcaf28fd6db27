"""Published: steps to 1e-6 on a ring or chain of 32 nodes, by heterogeneity.

Figure 7 of RelaySGD's appendix compares methods on random quadratics, each with the rate that gets it to an excess loss of 1e-6 soonest;
the notebook prints steps and rate. Here the same problem (the same numbers: `Draws`) is run with the same rate. Their search for the
rate halves it before it notes it, so the rate of the printed steps is twice the printed one; and it looks at 1,000 steps up to
10,000, evenly in the logarithm, so steps beyond 100 are those of the next look.

Tolerance: none. Nothing is random but the problem, whose numbers are theirs: steps must be equal.
D2 runs on the ring with 1e-4 of the identity mixed into W: at the published weights the least eigenvalue is exactly -1/3, which dejax refuses.
"""

import dejax as dj

from ._page import Result
from ._published import Entry, claim, table
from ._relay import SOURCE, quadratics, ring, steps

FLOAT64 = True
NODES, LOOKS = 32, 10_000
ZETA2 = (0.0, 0.1, 10.0)
PRINTED = {  # steps and rate at each zeta^2
    "D2, ring": [("18", 0.394287109375), ("34", 0.1953125), ("54", 0.15625)],
    "gradient tracking, ring": [("10", 0.4345703125), ("301", 0.019330978393554688), ("641", 0.0095367431640625)],
    "RelaySGD, chain": [("51", 0.869140625), ("51", 0.869140625), ("54", 0.8984375)],
}


def run(short: bool) -> Result:
    """All methods at all zeta^2; short: where they take fewer than 100 steps."""
    methods = {
        "D2, ring": (dj.methods.d2, ring(NODES)),
        "gradient tracking, ring": (dj.methods.gradient_tracking, dj.topology.ring(NODES)),
        "RelaySGD, chain": (dj.methods.relaysgd, dj.topology.chain(NODES)),
    }
    entries = []
    for name, printed in PRINTED.items():
        make, graph = methods[name]
        for zeta2, (published, rate) in zip(ZETA2, printed, strict=True):
            if not short or int(published) < 100:
                found = steps(make(lr=2 * rate), graph, quadratics(NODES, zeta2, 1.0, 0), LOOKS)
                entries.append(Entry([name, f"{zeta2:g}", f"{rate:.6g}"], published, [found]))
    return Result(
        [claim("The steps of D2, gradient tracking and RelaySGD are those printed.", SOURCE + "appendix_figure_7_heterogeneity.ipynb", entries)],
        [table("Steps to an excess loss of 1e-6", ["method", "zeta^2", "printed rate"], entries)],
        {"nodes": NODES, "dim": 10, "mu": 0.25, "L": 1.0, "zeta2": list(ZETA2), "distance": 1.0, "rates": "twice those printed"},
        [0],
    )  # fmt: skip
