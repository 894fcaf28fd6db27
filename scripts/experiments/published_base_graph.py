"""Published: how many phases Base-(k+1) graphs take to average exactly.

The authors' notebook draws the graphs of 5 and 6 nodes for k = 1, 2, 3, phase by phase; a picture of L phases is 4 L - 1 units wide, so the
printed widths (1368, 1080, 792, 504, 792 and 504 points, 72 to a unit) say L. Their test asks of every n below 100 and k = 1 to 4 that the
product of all phases is the mean, and that L is at most 2 log_(k+1)(n) + 2.

Tolerance: none for the numbers of phases; 1e-12 for entries of the product, which are sums of at most 100 products of float64.
"""

import math

import numpy as np

import dejax as dj

from ._page import Claim, Result, Table
from ._published import Entry, claim, table

FLOAT64 = True
PAPER = "Takezawa et al., Beyond exponential graph, 2023; "
WIDTHS = {(5, 1): 1368, (6, 1): 1080, (5, 2): 792, (6, 2): 504, (5, 3): 792, (6, 3): 504}  # (n, k): points


def run(short: bool) -> Result:
    """The drawn graphs, and all n below 100; short: every ninth n."""
    phases = lambda n, k: dj.topology.base_graph(n, degree=k).period
    drawn = [Entry([str(n), str(k)], str((w // 72 + 1) // 4), [phases(n, k)]) for (n, k), w in WIDTHS.items()]
    rows, exact, within = [], True, True
    for k in (1, 2, 3, 4):
        graphs = [dj.topology.base_graph(n, degree=k) for n in range(k + 1, 100, 9 if short else 1)]
        away = max(float(np.abs(dj.topology.period_matrix(g) - 1 / g.n).max()) for g in graphs)
        slack = min(2 * math.log(g.n, k + 1) + 2 - g.period for g in graphs)
        most = max(g.period for g in graphs)
        exact, within = exact and away <= 1e-12, within and slack >= -1e-9
        rows.append([str(k), str(len(graphs)), f"{away:.1e}", str(most), f"{slack:.2f}"])
    return Result(
        [claim("The graphs of 5 and 6 nodes take as many phases as the notebook draws.",
               PAPER + "numbers: yukiTakezawa/BaseGraph, notebook/visualization.ipynb", drawn),
         Claim("For every n below 100 and k = 1 to 4 the phases average exactly, and are at most 2 log_(k+1)(n) + 2.",
               PAPER + "asked by yukiTakezawa/BaseGraph, test/base_graph_test.py", exact and within,
               f"{sum(int(row[1]) for row in rows)} graphs, largest entry of the product minus 1/n {max(float(row[2]) for row in rows):.0e}, "
               f"closest to the bound {min(float(row[4]) for row in rows):.2f} phases below")],
        [table("Phases", ["n", "k"], drawn),
         Table("All n below 100", ["k", "graphs", "largest entry of the product minus 1/n", "most phases", "least distance to the bound"], rows)],
        {"topology": {"base_graph": {"n": "k + 1 to 99", "degree": "1 to 4"}}},
        [],
    )  # fmt: skip
