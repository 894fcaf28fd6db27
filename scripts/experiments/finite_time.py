"""Graphs that average exactly in a finite number of steps.

Gossip alone, from independent Gaussian starts: every node should hold the exact mean after the number of steps that the graph states, and
not one step before. Two ways: the product of the weights in float64, and runs of D-SGD with a rate of 0, which go through the kernels.
The error of step t is the distance of the models to their mean over that at the start.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import numpy as np

import dejax as dj

from ._page import Claim, Result, Table, figure, finished, number

FLOAT64 = True
SEEDS, DIM, ZERO = range(5), 16, 1e-13
EXPONENTIAL = "Ying et al., Exponential graph is provably efficient, 2021"
BASE = "Takezawa et al., Beyond exponential graph, 2023"
DEGREES = (1, 2, 3, 4)


def product_error(graph: dj.topology.Topology, steps: int) -> float:
    """Largest entry of W_(steps-1) ... W_0 - 11'/n, in float64."""
    product = np.eye(graph.n)
    for t in range(steps):
        product = graph.host(t).matrix() @ product
    return float(np.abs(product - 1 / graph.n).max())


def setting(graph: dj.topology.Topology) -> tuple[dj.methods.dsgd, dj.Problem, dj.Network]:
    """Gossip alone on this graph."""
    made = dj.data.consensus(nodes=graph.n, dim=DIM, dtype="float64")
    return dj.methods.dsgd(lr=0.0), dj.Problem(made.task, made.data, starts="independent"), dj.Network(graph)


def run_error(graph: dj.topology.Topology) -> float:
    """Error of a run after one period, the largest over seeds, which are one program."""
    starts = np.random.default_rng(0).standard_normal((len(SEEDS), graph.n, DIM))

    def final(seed: jax.Array, start: jax.Array) -> jax.Array:
        return dj.rollout(*setting(graph), jax.random.key(seed), graph.period, params={"x": start})[0].params["x"]

    away = lambda x: np.sqrt(((x - x.mean(1, keepdims=True)) ** 2).sum((1, 2)))
    return float((away(np.asarray(jax.vmap(final)(np.arange(len(SEEDS)), starts))) / away(starts)).max())


def curve(graph: dj.topology.Topology, steps: int) -> np.ndarray:
    """[steps + 1]: error after 0, 1, ... steps, geometric mean of the seeds, which are one program."""
    history = finished(dj.simulate(*setting(graph), steps, seeds=SEEDS, every=1, metrics="consensus", progress=False))
    squares = history.series("consensus")[1]
    return np.exp(np.log(np.sqrt(squares / squares[:, :1]) + 1e-18).mean(0))


def row(name: str, sizes: list[int], make: Callable[[int], dj.topology.Topology], runs: list[int]) -> dict:
    """What one kind of graph does at all sizes; those of `runs` go through the kernels, too."""
    graphs = {n: make(n) for n in sizes}
    return {
        "name": name,
        "sizes": sizes,
        "periods": {n: graph.period for n, graph in graphs.items()},
        "after": max(product_error(graph, graph.period) for graph in graphs.values()),
        "before": min(product_error(graph, graph.period - 1) for graph in graphs.values()),
        "runs": [n for n in sizes if n in runs],
        "run": max((run_error(graph.astype("float64")) for n, graph in graphs.items() if n in runs), default=0.0),
    }


def run(short: bool) -> Result:
    """All sizes by products, all by runs at degree 1, some by runs at higher degrees."""
    top, most = dj.topology, 16 if short else 64
    every, powers = list(range(2, most + 1)), [2**k for k in range(1, most.bit_length())]
    some = [5, 12] if short else [5, 12, 25, 37, 64]
    rows = [row(name, powers, getattr(top, name), powers) for name in ("one_peer_exponential", "one_peer_hypercube")]
    for degree in DEGREES:
        sizes = [n for n in every if n > degree]
        make = partial(top.base_graph, degree=degree)
        rows.append(
            row(f"base_graph(degree={degree})", sizes, make, sizes[:: 5 if short else 1] if degree == 1 else some)
        )
    exact = [r["after"] < ZERO and r["run"] < ZERO and r["before"] > 1e-3 for r in rows]
    log2 = all(n == 2**p for r in rows[:2] for n, p in r["periods"].items())
    bounds = [
        max(p - (2 * math.log(n, k + 1) + 2) for n, p in r["periods"].items())
        for k, r in zip(DEGREES, rows[2:], strict=True)
    ]
    between = [n for n in every if n not in powers]
    one_peer = min(product_error(top.one_peer_exponential(n), (n - 1).bit_length()) for n in between)
    periods = [top.base_graph(25, degree=k).period for k in DEGREES] + [top.base_graph(n).period for n in (5, 6, 7, 8)]
    worst = lambda part: number(max(max(r["after"], r["run"]) for r in part), 1)
    claims = [
        Claim(f"One-peer exponential and hypercube graphs hold the exact mean after log2(n) steps, not before, n = 2 to {most}.",
              EXPONENTIAL, all(exact[:2]) and log2, f"error at most {worst(rows[:2])} at the end"),
        Claim(f"Base-(k+1) graphs do so after one period, not before, for every n from 2 to {most} and k = 1 to 4.",
              BASE, all(exact[2:]), f"error at most {worst(rows[2:])} at the end, at least {number(min(r['before'] for r in rows[2:]), 1)} "
              "one step before"),
        Claim("Their period is at most 2 log_(k+1)(n) + 2.", BASE, max(bounds) <= 1e-9, f"closest to the bound: {-max(bounds):.2f} steps below"),
        Claim("For n = 25 the periods are 9, 6, 5, 2 at k = 1 to 4; for n = 5, 6, 7, 8 and k = 1 they are 5, 4, 5, 3.",
              "the authors' code, as described", periods == [9, 6, 5, 2, 5, 4, 5, 3], ", ".join(map(str, periods))),
        Claim("Where n is no power of two the one-peer exponential graph is not exact after its period.", EXPONENTIAL,
              one_peer > 1e-3, f"largest entry of W - 11'/n at least {number(one_peer)}"),
    ]  # fmt: skip
    table = Table(
        "Errors",
        ["graph", "n", "steps", "product of weights", "run, float64", "sizes that were run", "product one step before"],
        [
            [f"`{r['name']}`", f"{r['sizes'][0]} to {r['sizes'][-1]}" + (", powers of two" if r["sizes"] == powers else ""),
             f"{min(r['periods'].values())} to {max(r['periods'].values())}", number(r["after"], 1), number(r["run"], 1),
             "all" if r["runs"] == r["sizes"] else ", ".join(map(str, r["runs"])), number(r["before"], 1)]
            for r in rows
        ],
        "the largest error over all n at the end, the smallest one step before; 5 seeds.",
    )  # fmt: skip
    drawn, ax = figure()
    steps = 12 if short else 40
    for label, graph in {
        "ring": top.ring(25), "exponential": top.exponential(25), "one-peer exponential": top.one_peer_exponential(25),
        "base graph, k = 1": top.base_graph(25), "base graph, k = 2": top.base_graph(25, degree=2),
        "base graph, k = 4": top.base_graph(25, degree=4),
    }.items():  # fmt: skip
        ax.semilogy(np.maximum(curve(graph.astype("float64"), steps), 1e-17), label=label)
    ax.set(xlabel="steps", ylabel="error", ylim=(1e-17, 2))
    ax.legend(fontsize=7)
    setup = {
        "data": {"consensus": {"nodes": f"2 to {most}", "dim": DIM}}, "method": {"dsgd": {"lr": 0.0}}, "starts": "independent",
        "network": {"topology": [r["name"] for r in rows]}, "dtype": "float64",
    }  # fmt: skip
    return Result(
        claims,
        [table],
        setup,
        SEEDS,
        drawn,
        "Error of gossip on 25 nodes: base graphs end at rounding, the others decay.",
    )
