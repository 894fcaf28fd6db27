"""Gradients and meetings at times of their own.

DADAO takes gradients by the clocks of nodes and lets pairs meet by the clocks of edges. Full batches on heterogeneous least squares in
float64: what a graph costs should be meetings, not gradients, and edges should not all be used alike.
"""

from typing import Any

import networkx as nx
import numpy as np

import dejax as dj

from . import _squares as squares
from ._page import Claim, Result, Table, figure, finished, number

FLOAT64 = True
N, DIM, ZETA2, NEAR = 12, 5, 4.0, 1e-6
t = dj.topology


def graphs() -> dict[str, Any]:
    """Label -> graph of N nodes."""
    barbell = t.from_networkx(nx.barbell_graph(N // 2, 0), weights=t.metropolis())
    return {"complete": t.complete(N), "ring": t.ring(N), "star": t.star(N), "chain": t.chain(N), "barbell": barbell}


def curve(graph: Any, shares: str, problem: dj.Problem, rounds: int, seed: int) -> np.ndarray:
    """[points, 3]: gradients a node, meetings a node, distance to the optimum."""
    rates = t.edge_rates(graph, **({"steps": 0} if shares == "equal" else {}))
    method = dj.methods.dadao(smoothness=squares.L, convexity=squares.MU, chi=rates.connectivity)
    network = dj.Network(graph.astype("float64"), events=dj.events.decoupled(shares=shares, width=1, seed=seed))
    history = finished(
        dj.simulate(method, problem, network, rounds, metrics=[squares.distance], every=rounds // 200, progress=False)
    )
    share = N / (N + rates.rates.sum())  # of gradients in the events, one a round
    at = np.array([r["round"] for r in history.records])
    return np.stack([at * share / N, at * (1 - share) / N, [r["distance"] for r in history.records]], 1)


def run(short: bool) -> Result:
    """Five graphs, edges used in the best shares and alike."""
    seeds = range(1 if short else 2)
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for label, graph in graphs().items():
        for shares in ("best", "equal"):
            meetings = t.edge_rates(graph, **({"steps": 0} if shares == "equal" else {})).rates.sum()
            rounds = int(200 * (800 * (N + meetings) // 200))  # 800 seconds
            found[label, shares] = [
                curve(graph, shares, squares.least_squares(N, DIM, ZETA2, s)[1], rounds, s) for s in seeds
            ]
    cost = {key: np.mean([c[np.argmax(c[:, 2] < NEAR), :2] for c in curves], 0) for key, curves in found.items()}
    last = max(c[-1, 2] for curves in found.values() for c in curves)
    gradients = [cost[label, "best"][0] for label in graphs()]
    saved = cost["barbell", "best"][1] / cost["barbell", "equal"][1]
    claims = [
        Claim("Gradients until an accuracy do not depend on the graph (a factor of 1.5).", "Nabli and Oyallon, DADAO, 2023",
              max(gradients) < 1.5 * min(gradients), f"{number(min(gradients))} to {number(max(gradients))} a node until {NEAR:g}"),
        Claim("A constant step leads to the optimum (1e-9 in 800 seconds).", "Nabli and Oyallon, DADAO, 2023", last < 1e-9, number(last, 1),
              "800 seconds are too few: the tests of `dadao` go on to 1e-11."),
        Claim("The best shares of the edges save meetings where a bridge is narrow.", "rates by chi_1 chi_2", saved < 0.8,
              f"{number(100 * saved)} % of those of equal shares on the barbell"),
    ]  # fmt: skip
    rows = [
        [label, shares, number(t.edge_rates(graph, **({"steps": 0} if shares == "equal" else {})).rates.sum() / N), *map(number, cost[label, shares])]
        for label, graph in graphs().items() for shares in ("best", "equal")
    ]  # fmt: skip
    table = Table(f"Until the distance is {NEAR:g}", ["graph", "shares", "meetings a second and node", "gradients a node", "meetings a node"], rows,
                  "means over the seeds of data and clocks.")  # fmt: skip
    drawn, ax = figure(width=5.5)
    for label in graphs():
        at = found[label, "best"][0]
        ax.semilogy(at[:, 1], np.maximum(at[:, 2], 1e-16), linewidth=1.2, label=label)
    ax.set(xlabel="meetings a node", ylabel="distance to the optimum")
    ax.legend(fontsize=7)
    setup = {
        "data": {"least_squares": {"nodes": N, "dim": DIM, "L": squares.L, "mu": squares.MU, "zeta2": ZETA2, "seed": list(seeds)}},
        "batch_size": "all local samples", "dtype": "float64", "events": {"decoupled": {"rate": 1.0, "shares": ["best", "equal"], "width": 1}},
        "method": {"dadao": {"smoothness": squares.L, "convexity": squares.MU, "chi": "of the graph"}}, "seconds": 800,
    }  # fmt: skip
    return Result(claims, [table], setup, list(seeds), drawn, "Best shares, first seed.")
