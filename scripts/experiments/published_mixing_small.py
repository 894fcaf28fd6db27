"""Published: how fast a graph of 8 nodes mixes under four rules for its weights.

The example of 8 nodes and 13 edges of the talk on graph Laplacian eigenvalues, whose page prints rho (the spectral norm of W - 11'/n) and
tau = 1 / log(1 / rho) for several rules. Its rules give 1 / d where `max_degree()` and `metropolis()` give 1 / (1 + d), so those two are
spelled out here. FDLA weights, which may be negative, are no rule of dejax, and left out.

Tolerance: half a unit of the last printed digit, as nothing here is random.
"""

from ._mixing import GRAPHS, result
from ._page import Result

FLOAT64 = True


def run(short: bool) -> Result:
    """All rules; they take less than a second."""
    del short
    return result(GRAPHS["small"])
