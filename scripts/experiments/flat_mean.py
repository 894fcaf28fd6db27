"""Where the mean model of D-SGD ends: as flat as the theory of average-direction SAM says?

Sixteen nodes on a ring descend with all of their data in each step (a large batch), side by side with gradient descent on the mean loss (the same
data, one model). D-SGD's mean model then feels a loss smoothed along the differences of the nodes, and should end in a flatter place.
"""

import functools

import dejax as dj

from ._digits import compare, curves, last, percent
from ._page import Claim, Result, Table, spread

FLOAT64 = False
N, LR, PAPER = 16, 0.5, "Zhu et al., Decentralized SGD and average-direction SAM are asymptotically equivalent, 2023"
m = dj.methods


def run(short: bool) -> Result:
    """Two splits; all rows of a node in each step, or a quarter of them."""
    seeds, rounds = range(2 if short else 5), 40 if short else 600
    splits = {"alike": dj.data.iid(), "unequal": dj.data.dirichlet(alpha=0.3)}
    ring, source = dj.Network(dj.topology.ring(N)), dj.data.digits(flat=True)
    trace = functools.partial(dj.metrics.hessian_trace, probes=4 if short else 16)
    runs = {}
    for split, part in splits.items():
        data = source.partition(part, nodes=N, seed=0)
        task = dj.tasks.mlp(hidden=[32])
        runs |= {
            f"D-SGD, {split}": (m.dsgd(lr=LR, order="awc"), dj.Problem(task, data), ring),
            f"D-SGD, {split}, batches of 16": (m.dsgd(lr=LR, order="awc"), dj.Problem(task, data, batch_size=16), ring),
            f"one model, {split}": (m.centralized(lr=LR), dj.Problem(task, data), None),
        }
    history = compare(runs, rounds, seeds, max(1, rounds // 8), ["mean_model", "consensus", "sharpness", trace])
    flat = {k: last(history, "hessian_trace", k) for k in runs}
    right = {k: last(history, "accuracy/mean_model", k) for k in runs}
    apart = {k: last(history, "consensus", k) for k in runs}
    claims = [
        Claim(f"The mean model of D-SGD ends with a smaller Hessian trace than one model ({split} data).", PAPER, flat[f"D-SGD, {split}"].mean() < flat[f"one model, {split}"].mean(),
              f"{flat[f'D-SGD, {split}'].mean():.1f} against {flat[f'one model, {split}'].mean():.1f}",
              "Nodes that hold alike data hardly differ at full batches, so that there is little to smooth along." if split == "alike" else
              "Unequal data slow D-SGD down, and a place that is reached later is not yet flat.")
        for split in splits
    ]  # fmt: skip
    claims += [
        Claim("Its test accuracy is at least as good (unequal data).", PAPER, right["D-SGD, unequal"].mean() >= right["one model, unequal"].mean() - 0.002,
              f"{100 * right['D-SGD, unequal'].mean():.1f} % against {100 * right['one model, unequal'].mean():.1f} %",
              "After equally many rounds the slower descent weighs more than the flatter place."),
        Claim("The differences of nodes do not vanish as batches grow (all rows against 16: at least half of the squared distance, unequal data).", PAPER,
              apart["D-SGD, unequal"].mean() >= apart["D-SGD, unequal, batches of 16"].mean() / 2,
              f"{apart['D-SGD, unequal'].mean():.3f} against {apart['D-SGD, unequal, batches of 16'].mean():.3f}",
              "They do not vanish, but noise of small batches makes more of them than unequal data do here."),
    ]  # fmt: skip
    rows = [
        [
            k,
            spread(flat[k], ".1f"),
            percent(right[k]),
            spread(apart[k], ".3f"),
            spread(last(history, "sharpness", k), ".4f") if "one" not in k else "",
        ]
        for k in runs
    ]
    table = Table(
        f"After {rounds} rounds", ["run", "trace of the Hessian", "accuracy of the mean model, %", "consensus distance, squared", "sharpness along it"], rows,
        "mean and standard deviation over seeds; traces by Hutchinson's probes.",
    )  # fmt: skip
    setup = {
        "rounds": rounds, "data": {"source": "digits", "nodes": N, "partition": ["iid", {"dirichlet": {"alpha": 0.3}}], "seed": 0}, "task": {"mlp": {"hidden": [32]}},
        "network": {"topology": "ring"}, "lr": LR, "order": "awc",
    }  # fmt: skip
    panels = {split: {k: history.series("hessian_trace", k) for k in runs if split in k} for split in splits}
    return Result(
        claims, [table], setup, list(seeds), curves(panels, "rounds", "trace of the Hessian"), "Means over seeds."
    )
