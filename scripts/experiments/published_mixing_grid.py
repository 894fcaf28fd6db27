"""Published: how fast a grid of 64 nodes with a cut mixes under four rules for its weights.

The second example of the same talk: a grid of 8 by 8 nodes of which 17 edges are taken out, so that 95 are left. Rules and
tolerance are those of the [example of 8 nodes](published_mixing_small.md): half a unit of the last printed digit.
"""

from ._mixing import GRAPHS, result
from ._page import Result

FLOAT64 = True


def run(short: bool) -> Result:
    """All rules; they take about a second."""
    del short
    return result(GRAPHS["grid"])
