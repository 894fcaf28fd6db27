"""What momentum does to the bias of D-SGD.

Heavy-ball momentum at every node makes D-SGD's bias on unequal data larger; three methods promise better. Full batches on heterogeneous
least squares in float64, so that the bias is all that is left.
"""

import numpy as np
import optax

import dejax as dj

from . import _squares as squares
from ._page import Claim, Result, Table, figure, number, spread

FLOAT64 = True
N, DIM, ZETA2, BETA = 15, 5, 10.0, 0.9
m = dj.methods


def methods(lr: float) -> dict:
    """Label -> method."""
    return {
        "dsgd": m.dsgd(lr=lr),
        "dsgd, heavy ball at the nodes": m.dsgd(optimizer=dj.optimizer(optax.sgd, learning_rate=lr, momentum=BETA)),
        "decentlam": m.decentlam(lr=lr, momentum=BETA),
        "qg_dsgdm": m.qg_dsgdm(lr=lr, beta=BETA, mu=BETA),
        "mt_dsgdm": m.mt_dsgdm(lr=lr, momentum=BETA),
    }


def run(short: bool) -> Result:
    """Five methods, several seeds of the data as one program each."""
    seeds, lr, rounds = range(2 if short else 5), 0.01, 8000
    made = [squares.least_squares(N, DIM, ZETA2, seed) for seed in seeds]
    network = dj.Network(dj.topology.ring(N).astype("float64"))
    curves = {}
    for label, method in methods(lr).items():
        history = squares.over_data(
            lambda method=method: method, network, [p for _, p in made], rounds, every=rounds // 80
        )
        curves[label] = squares.by_data(history, "distance", len(seeds))
    last = {label: values[:, -1] for label, (_, values) in curves.items()}
    plain, heavy = last["dsgd"], last["dsgd, heavy ball at the nodes"]
    same = float(np.abs(last["decentlam"] / plain - 1).max())
    claims = [
        Claim("DecentLaM ends where D-SGD ends: momentum adds no bias (1e-9 of it).", "Yuan et al., DecentLaM, 2021; 7e-15 in NumPy",
              same < 1e-9, f"the distances differ by {number(same, 1)} of themselves"),
        Claim("Heavy ball at the nodes makes the bias larger (at least twice here).", "Yuan et al., DecentLaM, 2021; 5 times in NumPy",
              bool((heavy > 2 * plain).all()), f"{number(float((heavy / plain).min()))} to {number(float((heavy / plain).max()))} times"),
        Claim("Momentum tracking has no bias (1e-12).", "Takezawa et al., Momentum tracking, 2023", last["mt_dsgdm"].max() < 1e-12,
              number(float(last["mt_dsgdm"].max()), 1)),
        Claim("Quasi-global momentum has a smaller bias than heavy ball at the nodes.", "Lin et al., Quasi-global momentum, 2021",
              bool((last["qg_dsgdm"] < heavy).all()), f"{spread(last['qg_dsgdm'])} against {spread(heavy)}"),
    ]  # fmt: skip
    table = Table("Distance to the optimum", ["method", f"after {rounds:,} rounds", "of D-SGD's"],
                  [[f"`{k}`", spread(v), spread(v / plain)] for k, v in last.items()], "median and range over the seeds of the data.")  # fmt: skip
    drawn, ax = figure(width=5.5)
    for label, (at, values) in curves.items():
        ax.semilogy(at, np.maximum(values[0], 1e-16), linewidth=1.2, label=label)
    ax.set(xlabel="rounds", ylabel="distance to the optimum")
    ax.legend(fontsize=7)
    setup = {
        "data": {"least_squares": {"nodes": N, "dim": DIM, "L": squares.L, "mu": squares.MU, "zeta2": ZETA2, "seed": list(seeds)}},
        "batch_size": "all local samples", "dtype": "float64", "network": {"topology": {"ring": {"n": N}}}, "rounds": rounds,
        "methods": {label: str(method) for label, method in methods(lr).items()},
    }  # fmt: skip
    return Result(claims, [table], setup, list(seeds), drawn, "First seed of the data.")
