"""Quasi-global momentum on unequal digits.

Momentum at every node follows that node's own classes. Quasi-global momentum follows the moves of mixed models. Each method has the best
of several rates, chosen for each split by its mean over seeds.
"""

import numpy as np
import optax

import dejax as dj

from ._page import Claim, Result, Table, figure, finished, spread

FLOAT64 = False
N, RATES, PAPER = 16, [0.01, 0.03, 0.1, 0.3], "Lin et al., Quasi-global momentum, 2021"
m = dj.methods
heavy = lambda lr: m.dsgd(optimizer=dj.optimizer(optax.sgd, learning_rate=lr, momentum=0.9, nesterov=True))
METHODS = {
    "dsgd": lambda lr: m.dsgd(lr=lr),
    "dsgd, Nesterov at the nodes": heavy,
    "qg_dsgdm": lambda lr: m.qg_dsgdm(lr=lr),
    "decentlam": lambda lr: m.decentlam(lr=lr),
    "mt_dsgdm": lambda lr: m.mt_dsgdm(lr=lr, momentum=0.9),
}


def run(short: bool) -> Result:
    """Methods, rates and splits; rates, splits and seeds of a method are one program."""
    seeds, rounds = range(2 if short else 5), 60 if short else 400
    source = dj.data.digits(flat=True)
    splits = {"Dirichlet 0.1": dj.data.dirichlet(alpha=0.1), "IID": dj.data.iid()}
    problems = {
        name: dj.Problem(dj.tasks.mlp(hidden=[32]), source.partition(split, nodes=N, seed=0), batch_size=16)
        for name, split in splits.items()
    }
    network = dj.Network(dj.topology.ring(N))
    best, curve = {}, {}
    for label, make in METHODS.items():
        build = lambda lr, split, make=make: (make(lr), problems[split], network)
        over = {"lr": RATES[1:3] if short else RATES, "split": list(splits)}
        history = finished(
            dj.sweep(build, over, rounds, seeds=list(seeds), every=rounds // 20, metrics="local_models", progress=False)
        )
        for split in splits:
            last = {lr: history.series("accuracy/local", f"lr={lr:g}, split={split}") for lr in over["lr"]}
            last = {lr: (at, 100 * got) for lr, (at, got) in last.items() if np.isfinite(got[:, -1]).all()}
            lr = max(last, key=lambda lr: last[lr][1][:, -1].mean())
            best[label, split], curve[label, split] = (lr, last[lr][1][:, -1]), last[lr]
    gain = {s: float((best["qg_dsgdm", s][1] - best["dsgd, Nesterov at the nodes", s][1]).mean()) for s in splits}
    claims = [
        Claim("On unequal data quasi-global momentum is better than momentum at the nodes by several points (more than 2).", PAPER,
              gain["Dirichlet 0.1"] > 2, f"{gain['Dirichlet 0.1']:+.1f} points",
              "With a rate of its own for each method D-SGD with momentum takes a smaller one and loses less."),
        Claim("On IID data the two are alike (within 1 point).", PAPER, abs(gain["IID"]) < 1, f"{gain['IID']:+.1f} points"),
    ]  # fmt: skip
    table = Table(
        f"Accuracy of local models after {rounds} rounds, %", ["method", *(f"{s} (best lr)" for s in splits)],
        [[f"`{k}`", *(f"{spread(best[k, s][1], '.1f')} ({best[k, s][0]:g})" for s in splits)] for k in METHODS],
        "mean and standard deviation over seeds.",
    )  # fmt: skip
    drawn, axes = figure(panels=2)
    for ax, split in zip(axes, splits, strict=True):
        for label in METHODS:
            at, values = curve[label, split]
            ax.plot(at, values.mean(0), linewidth=1.1, label=label)
        ax.set(xlabel="rounds", ylabel="accuracy of local models, %", title=split)
    axes[0].legend(fontsize=6)
    setup = {
        "rounds": rounds, "data": {"source": "digits", "nodes": N, "partition": list(splits), "seed": 0}, "task": {"mlp": {"hidden": [32]}},
        "batch_size": 16, "network": {"topology": "ring"}, "lr": RATES, "methods": {k: str(make(0.1)) for k, make in METHODS.items()},
    }  # fmt: skip
    return Result(claims, [table], setup, list(seeds), drawn, "The best rate of each method; means over seeds.")
