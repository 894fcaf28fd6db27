"""Residuals of exact methods on unequal data, and their rates.

Methods that correct for unequal data promise the optimum of the mean loss with a constant step, at a linear rate. On heterogeneous least
squares the rate is known: a round is a linear map, and its spectral radius is computed from the equations of the papers, in NumPy, for the
same Hessians and weights. The residual is the root mean squared distance of the nodes' models to the optimum.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np

import dejax as dj

from . import _linear as linear, _squares as squares
from ._page import Claim, Result, Table, figure, number, spread

FLOAT64 = True
N, DIM, ZETA2, EXACT = 15, 5, 10.0, 1e-12
m, top = dj.methods, dj.topology


@dataclass(frozen=True)
class Case:
    """One method: how it is made, where it runs, and the linear map that it should be.

    Attributes:
      theory: (maps, seed) -> (map, parts of its state), or None where coins are tossed.
      rounds: of the run; None: as many as the theory says that 16 digits take.
    """

    method: Any
    graph: Any = None
    theory: Callable[[linear.Maps], tuple[linear.Map, int]] | None = None
    rounds: int | None = None

    @property
    def name(self) -> str:
        """Its factory."""
        return type(self.method).__name__


def cases() -> dict[str, Case]:
    """Label -> case. All on a ring, but RelaySGD on a tree and those of a server."""
    ring, tree = top.ring(N), top.binary_tree(N)
    unequal = 0.1 * np.linspace(0.5, 1.5, N)
    edges = nx.from_edgelist(tree.edges().tolist())
    hops = nx.floyd_warshall_numpy(edges, nodelist=range(N)).astype(int)
    ages = int(hops.max())
    return {
        "gradient_tracking": Case(m.gradient_tracking(lr=0.1), ring, lambda a: (a.gradient_tracking(0.1), 2)),
        "augdgm, unequal rates": Case(m.augdgm(lr=unequal), ring, lambda a: (a.augdgm(unequal), 2)),
        "kgt, K = 5": Case(m.kgt(lr=0.02, local_steps=5), ring, lambda a: (a.kgt(0.02, 5), 2)),
        "mt_dsgdm": Case(m.mt_dsgdm(lr=0.02, momentum=0.8), ring, lambda a: (a.mt_dsgdm(0.02, 0.8), 3)),
        "d2": Case(m.d2(lr=0.1), ring, lambda a: (a.d2(0.1), 2)),
        "exact_diffusion": Case(m.exact_diffusion(lr=0.1), ring, lambda a: (a.d2(0.1, lazy=True), 2)),
        "nids, lr = 1": Case(m.nids(lr=1.0), ring, lambda a: (a.d2(1.0, lazy=True), 2)),
        "extra": Case(m.extra(lr=0.1), ring, lambda a: (a.extra(0.1), 2)),
        "led, K = 5": Case(m.led(lr=0.05, local_steps=5), ring, lambda a: (a.led(0.05, 5), 2)),
        "proxskip, p = 0.5": Case(m.proxskip(lr=0.1, p=0.5), ring, None, 1500),
        "dlm": Case(m.dlm(lr=0.1, penalty=0.5), ring, lambda a: (a.dadmm(0.1, 0.5), 2)),
        "dadmm, K = 5": Case(m.dadmm(lr=0.1, penalty=0.5, local_steps=5), ring, lambda a: (a.dadmm(0.1, 0.5, 5), 2)),
        "relaysgd, binary tree": Case(m.relaysgd(lr=0.1), tree, lambda a: (a.relaysgd(0.1, hops), ages)),
        "scaffold, K = 5": Case(m.scaffold(lr=0.05, local_steps=5), None, lambda a: (a.scaffold(0.05, 5), 2)),
        "feddyn, K = 5": Case(m.feddyn(lr=0.05, alpha=0.3, local_steps=5), None, lambda a: (a.feddyn(0.05, 0.3, 5), 2)),
        "scaffnew, p = 0.5, lr = 1": Case(m.scaffnew(lr=1.0, p=0.5), None, None, 400),
    }


def biased() -> dict[str, Case]:
    """Those that no constant step makes exact."""
    return {
        "dsgd": Case(m.dsgd(lr=0.1), top.ring(N), None, 800),
        "local_sgd, K = 5": Case(m.local_sgd(lr=0.02, local_steps=5), top.ring(N), None, 800),
        "fedavg, K = 5": Case(m.fedavg(lr=0.05, local_steps=5), None, None, 800),
    }


def measure(case: Case, seeds: range) -> dict[str, Any]:
    """Residuals over rounds, the rate that was seen, and that of the theory, for each seed of the data."""
    made = [squares.least_squares(N, DIM, ZETA2, seed) for seed in seeds]
    expected = []
    if case.theory is not None:
        weights = np.eye(N) if case.graph is None else case.graph.host(0).matrix()
        for one, _ in made:
            step, parts = case.theory(linear.Maps(squares.hessians(one), weights))
            expected.append(linear.rate(step, parts, N, DIM))
    rounds = case.rounds or 10 * math.ceil(-45 / math.log(max(expected)) / 10)
    network = None if case.graph is None else dj.Network(case.graph.astype("float64"))
    problems = [problem for _, problem in made]
    at, residual = squares.by_data(
        squares.over_data(lambda: case.method, network, problems, rounds, every=10 if rounds > 300 else 5),
        "distance",
        len(problems),
    )
    seen = [linear.fitted_rate(at, one) for one in residual]
    return {"rounds": rounds, "at": at, "residual": residual, "seen": seen, "expected": expected}


def run(short: bool) -> Result:
    """Every exact method, and three that are not."""
    seeds = range(2 if short else 5)
    chosen = cases()
    if short:
        chosen = {
            k: chosen[k]
            for k in ("gradient_tracking", "exact_diffusion", "scaffold, K = 5", "scaffnew, p = 0.5, lr = 1")
        }
    found = {label: measure(case, seeds) for label, case in chosen.items()}
    others = {label: measure(case, seeds) for label, case in biased().items() if not short or label == "dsgd"}
    last = {label: got["residual"][:, -1] for label, got in (found | others).items()}
    gaps = {  # by how much the logarithm of the factor that was seen lies below that of the theory: > 0 is faster
        label: [math.log(a) / math.log(b) - 1 for a, b in zip(got["seen"], got["expected"], strict=True)]
        for label, got in found.items()
        if got["expected"]
    }
    worst, slowest = max(found, key=lambda k: last[k].max()), max(gaps, key=lambda k: max(map(abs, gaps[k])))
    bound = math.sqrt(1 - min(1.0 * squares.MU, 0.5**2))
    coin = found["scaffnew, p = 0.5, lr = 1"]["seen"]
    stalls = min(others, key=lambda k: last[k].min())
    claims = [
        Claim(f"All {len(found)} exact methods reach the optimum of the mean loss to 1e-12 with a constant step.", "the papers of each", all(last[k].max() < EXACT for k in found),
              f"furthest: {worst} at {number(last[worst].max(), 1)}"),
        Claim("None is slower than the spectral radius of its round says (by more than 2 % of its logarithm).",
              "linear algebra on the papers' equations", min(map(min, gaps.values())) > -0.02, f"slowest: {100 * min(map(min, gaps.values())):+.1f} %"),
        Claim("On all data they are at that radius, to 5 % of its logarithm.", "linear algebra on the papers' equations",
              max(abs(g) for gap in gaps.values() for g in gap) < 0.05,
              f"furthest: {slowest} at {100 * max(gaps[slowest], key=abs):+.1f} %, by its median {100 * sorted(gaps[slowest])[len(seeds) // 2]:+.1f} %",
              "A radius is of the slowest mode. Where a start holds little of it, faster modes lead down to 1e-12, and the run is faster than the radius."),
        Claim("Scaffnew falls at least as fast as (1 - min(lr mu, p^2))^(1/2) a round.", "Mishchenko et al., ProxSkip, 2022",
              max(coin) <= bound, f"{spread(coin)} against {number(bound, 3)}"),
        Claim("D-SGD, local SGD and FedAvg with constant steps stall.", "Lian et al., 2017; Karimireddy et al., 2020",
              last[stalls].min() > 1e-2, f"the nearest: {stalls} at {number(last[stalls].min())}"),
    ]  # fmt: skip
    rows = []
    for label, got in (found | others).items():
        rates = (
            [spread(got["seen"]), spread(got["expected"]) if got["expected"] else ""] if label in found else ["", ""]
        )
        rows.append([f"`{label}`", f"{got['rounds']:,}", spread(last[label]), *rates])
    table = Table(
        "Residuals and rates",
        ["method", "rounds", "residual at the end", "factor a round, seen", "factor a round, theory"],
        rows,
        "median and range over the seeds of the data. The factor that was seen is a line through the logarithms of the residual, from "
        "1e-5 of its start to 1e-12. Proxskip and Scaffnew toss coins, so that no one matrix says their rate.",
    )
    drawn, axes = figure(panels=2, height=3.6)
    shown = ("gradient_tracking", "d2", "exact_diffusion", "extra", "relaysgd, binary tree", "dlm")
    for ax, labels in (
        (axes[0], [*shown, "dsgd"]),
        (axes[1], [k for k in [*found, *others] if k not in [*shown, "dsgd"]]),
    ):
        for label in labels:
            if label in (found | others):
                got = (found | others)[label]
                points = slice(None, None, max(1, len(got["at"]) // 25))
                ax.semilogy(got["at"][points], np.maximum(got["residual"][0][points], 1e-16), linewidth=1, label=label)
        ax.set(
            xlabel="rounds", ylabel="residual", ylim=(1e-16, 30), xlim=(0, 1500), yticks=[1e-16, 1e-12, 1e-8, 1e-4, 1]
        )
        ax.legend(fontsize=5.5, loc="lower right" if ax is axes[1] else "upper right")
    setup = {
        "data": {"least_squares": {"nodes": N, "dim": DIM, "L": squares.L, "mu": squares.MU, "zeta2": ZETA2, "seed": list(seeds)}},
        "batch_size": "all local samples", "starts": "zero", "dtype": "float64",
        "network": {"topology": {"ring": {"n": N}}, "relaysgd": {"binary_tree": {"n": N}}, "scaffold, feddyn, scaffnew, fedavg": "a server"},
        "methods": {label: str(case.method) for label, case in (chosen | biased()).items()},
    }  # fmt: skip
    return Result(
        claims,
        [table],
        setup,
        list(seeds),
        drawn,
        "Residual over rounds, first seed; dsgd, local_sgd and fedavg stall.",
    )
