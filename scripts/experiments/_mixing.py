"""Two graphs of a talk of 2006, and what its pages print of four rules for their weights."""

import math
from dataclasses import dataclass

import numpy as np

import dejax as dj

from ._page import Result
from ._published import Entry, claim, table

SOURCE = (
    "Boyd, Convex optimization of graph Laplacian eigenvalues, 2006; numbers: cvxr/CVX, examples/graph_laplacian/html/"
)
SIDE = 8


@dataclass(frozen=True)
class Talk:
    """A graph, and (rho, tau) of each rule as printed."""

    page: str
    words: str
    n: int
    edges: list[tuple[int, int]]
    printed: dict[str, tuple[str, str]]


def _cut_grid() -> list[tuple[int, int]]:
    """Edges of the grid without those that the example takes out. Node s + 8 r stands in column s of row r."""
    right = [(i, i + 1) for i in range(SIDE**2) if i % SIDE < SIDE - 1]
    down = [(i, i + SIDE) for i in range(SIDE * (SIDE - 1))]
    out = {(i, i + SIDE) for i in (4, 5, 6, 7, 12, 13, 14, 15, 40, 41, 42, 43, 44, 45)} | {
        (24 + 8 * k, 25 + 8 * k) for k in (0, 1, 2)
    }
    return [edge for edge in right + down if edge not in out]


GRAPHS = {
    "small": Talk(
        "small_example.html",
        "the example of 8 nodes and 13 edges",
        8,
        [(0, 1), (0, 4), (1, 2), (1, 3), (1, 6), (1, 7), (2, 3), (2, 6), (3, 7), (4, 5), (4, 6), (5, 6), (6, 7)],
        {"FMMC": ("0.6810", "2.6025"), "Metropolis-Hastings": ("0.7743", "3.9094"), "max degree": ("0.7793", "4.0093"),
         "best constant": ("0.7119", "2.9422")},
    ),
    "grid": Talk(
        "cut_grid_example.html",
        "an 8 x 8 grid without 17 edges",
        SIDE**2,
        _cut_grid(),
        {"FMMC": ("0.9888", "88.9938"), "Metropolis-Hastings": ("0.9917", "120.2442"), "max degree": ("0.9927", "136.7523"),
         "best constant": ("0.9921", "126.3450")},
    ),
}  # fmt: skip


def graphs(talk: Talk) -> dict[str, dj.topology.Topology]:
    """The graph under each rule."""
    top = dj.topology
    degree = np.bincount(np.asarray(talk.edges).ravel(), minlength=talk.n)
    hastings = np.zeros((talk.n, talk.n))
    for i, j in talk.edges:
        hastings[i, j] = hastings[j, i] = 1 / max(degree[i], degree[j])
    hastings[np.diag_indices(talk.n)] = 1 - hastings.sum(1)
    rules = {"FMMC": top.fmmc(), "max degree": top.constant(1 / degree.max()), "best constant": top.best_constant()}
    found = {name: top.from_edges(talk.edges, n=talk.n, weights=rule) for name, rule in rules.items()}
    return found | {"Metropolis-Hastings": top.from_matrix(hastings)}


def result(talk: Talk) -> Result:
    """The printed numbers beside rho of `dejax.topology`."""
    made, entries = graphs(talk), []
    for rule, (rho, tau) in talk.printed.items():
        value = dj.topology.rho(made[rule])
        entries += [Entry([rule, "rho"], rho, [value]), Entry([rule, "tau"], tau, [1 / math.log(1 / value)])]
    source = SOURCE + talk.page
    ours = {"metropolis()": dj.topology.from_edges(talk.edges, n=talk.n), "max_degree()": dj.topology.from_edges(
        talk.edges, n=talk.n, weights=dj.topology.max_degree())}  # fmt: skip
    read = "dejax's own " + " and ".join(
        f"`{name}` has rho {dj.topology.rho(graph):.4f}" for name, graph in ours.items()
    )
    return Result(
        [
            claim(
                f"rho and tau of four rules on {talk.n} nodes and {len(talk.edges)} edges are as printed.",
                source,
                entries,
            )
        ],
        [
            table(
                "As printed",
                ["weights", "number"],
                entries,
                read + ": one edge weight is 1 / (1 + d) there, 1 / d in the talk.",
            )
        ],
        {
            "topology": {"from_edges": talk.words},
            "nodes": talk.n,
            "edges": len(talk.edges),
            "weights": list(talk.printed),
        },
        [],
    )
