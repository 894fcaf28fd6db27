"""Networks that fall apart: nodes vanish from a Barabasi-Albert graph.

A fifth of 50 nodes vanishes for good at round 20: the ten hubs, or as many leaves, as in `configs/disrupted.yaml`. Hubs vanish with their
data, or as mere relays whose data the others hold. What costs more, connections or data? All numbers are of the nodes that are left.
"""

from pathlib import Path
from typing import Any

import jax
import networkx as nx
import numpy as np
import yaml

import dejax as dj

from ._page import Claim, Result, Table, figure, finished, spread

FLOAT64 = False
CONFIG = Path(__file__).resolve().parents[2] / "configs" / "disrupted.yaml"
PAPER = "Palmieri et al., Exploring the impact of disrupted peer-to-peer communications, 2023"


class Without:
    """A partition that gives some nodes one sample each, and splits the rest among the others.

    split: of the others. poor: ids.
    """

    def __init__(self, split: Any, poor: list[int]):
        self.split, self.poor = split, poor

    def __call__(
        self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Any = None
    ) -> list[np.ndarray]:
        """Rows of every node."""
        order = rng.permutation(len(labels))
        single, rest = order[: len(self.poor)], np.sort(order[len(self.poor) :])
        parts = self.split(labels[rest], nodes - len(self.poor), rng, None)
        rows, others = [np.empty(0)] * nodes, iter(parts)
        for i in range(nodes):
            rows[i] = single[[self.poor.index(i)]] if i in self.poor else rest[next(others)]
        return rows


def parts_without(graph: Any, gone: list[int]) -> list[np.ndarray]:
    """The connected parts of what is left, the largest first."""
    whole = nx.from_edgelist(graph.edges().tolist())
    whole.remove_nodes_from(gone)
    return sorted((np.array(sorted(part)) for part in nx.connected_components(whole)), key=len, reverse=True)


def by_part(parts: list[np.ndarray]) -> Any:
    """A metric: accuracy on the test set in the largest part, and in the others."""

    def measure(view: dj.metrics.View) -> dict[str, float]:
        right = np.asarray(_accuracies(view.task, view.params, view.data.test))
        rest = np.concatenate(parts[1:]) if len(parts) > 1 else parts[0]
        return {"accuracy/largest": float(right[parts[0]].mean()), "accuracy/others": float(right[rest].mean())}

    return measure


def _accuracies(task: Any, params: Any, test: Any) -> jax.Array:
    """[n]"""
    return jax.vmap(lambda p: task.metrics(p, test)["accuracy"].mean())(params)


def run(short: bool) -> Result:
    """Five cases on two splits, seeds of starts and draws as one program each."""
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    rounds, seeds = 40 if short else config["rounds"], range(2 if short else 5)
    gone = {k: config["methods"][f"{k} vanish"]["network"]["faults"]["vanish"] for k in ("hubs", "leaves")}
    n, at, method = config["data"]["nodes"], gone["hubs"]["at"], dj.methods.dsgd(lr=config["method"]["dsgd"]["lr"])
    graph = dj.topology.barabasi_albert(n, **config["network"]["topology"]["barabasi_albert"])
    vanish = lambda who: dj.faults.vanish(at=at, nodes=gone[who]["nodes"])
    cases = {  # label: (who vanishes, who holds next to no data)
        "all stay": (None, None),
        "leaves vanish, with their data": ("leaves", None),
        "leaves vanish, relays": ("leaves", "leaves"),
        "hubs vanish, with their data": ("hubs", None),
        "hubs vanish, relays": ("hubs", "hubs"),
    }
    splits = {"IID": dj.data.iid(), "Dirichlet 0.5": dj.data.dirichlet(alpha=0.5)}
    splits = dict(list(splits.items())[:1]) if short else splits
    names = ("local", "local_worst", "local_std", "largest", "others")
    got, curves = {}, {}
    for split, partition in splits.items():
        for label, (who, poor) in cases.items():
            dealt = partition if poor is None else Without(partition, gone[poor]["nodes"])
            data = dj.data.digits(flat=True).partition(dealt, nodes=n, seed=0)
            problem = dj.Problem(dj.tasks.mlp(hidden=[32]), data, batch_size=config["batch_size"])
            network = dj.Network(graph, faults=() if who is None else vanish(who))
            left = parts_without(graph, [] if who is None else gone[who]["nodes"])
            history = finished(dj.simulate(
                method, problem, network, rounds, seeds=list(seeds), every=10, progress=False,
                metrics=["local_models", "consensus", by_part(left)],
            ))  # fmt: skip
            got[split, label] = {name: 100 * history.series(f"accuracy/{name}")[1][:, -1] for name in names}
            curves[split, label] = (
                history.series("accuracy/local")[0],
                100 * history.series("accuracy/local")[1].mean(0),
            )
    lost = {
        key: float(got[key[0], "all stay"]["local"].mean() - numbers["local"].mean()) for key, numbers in got.items()
    }
    left = {who: parts_without(graph, gone[who]["nodes"]) for who in gone}
    hubs, relays, leaves = "hubs vanish, with their data", "hubs vanish, relays", "leaves vanish, with their data"
    points = lambda label: "; ".join(f"{s}: {lost[s, label]:.1f} points" for s in splits)
    alone = sum(len(part) == 1 for part in left["hubs"])
    claims = [
        Claim("Without the ten hubs the graph falls into 20 parts, most of them single nodes; without the ten leaves it stays whole.", "docs/time.md",
              len(left["hubs"]) == 20 and alone > 10 and len(left["leaves"]) == 1,
              f"{len(left['hubs'])} parts, {alone} of them single nodes, the largest of {len(left['hubs'][0])}; {len(left['leaves'])} part"),
        Claim("Losing connections hurts more than losing data: hubs without data cost more than leaves with theirs.", PAPER,
              all(lost[s, relays] > lost[s, leaves] for s in splits), f"hubs as relays {points(relays)}; leaves with data {points(leaves)}"),
        Claim("Nodes of small parts do worse than those of the largest.", "expectation for disrupted networks",
              all(got[s, hubs]["largest"].mean() > got[s, hubs]["others"].mean() for s in splits),
              "; ".join(f"{s}: {got[s, hubs]['others'].mean():.1f} against {got[s, hubs]['largest'].mean():.1f} %" for s in splits)),
        Claim("Survivors differ more where hubs vanish than where leaves do.", "expectation for disrupted networks",
              all(got[s, hubs]["local_std"].mean() > got[s, leaves]["local_std"].mean() for s in splits),
              "; ".join(f"{s}: standard deviation {got[s, hubs]['local_std'].mean():.1f} against {got[s, leaves]['local_std'].mean():.1f} points"
                        for s in splits)),
        Claim("The network is robust to the loss of a fifth that leaves it whole (at most 2 points).", PAPER,
              all(lost[s, leaves] <= 2 for s in splits), points(leaves)),
    ]  # fmt: skip
    table = Table(
        f"Accuracy of survivors after {rounds} rounds, %",
        ["split", "case", "mean", "worst node", "spread between nodes", "largest part", "other parts"],
        [[s, label, *(spread(numbers[k], ".1f") for k in names[:4]), spread(numbers["others"], ".1f") if "hubs" in label else ""]
         for (s, label), numbers in got.items()],
        "mean and standard deviation over seeds of starts and draws. Spread: standard deviation over nodes.",
    )  # fmt: skip
    drawn, axes = figure(panels=len(splits))
    for ax, split in zip(axes if len(splits) > 1 else [axes], splits, strict=True):
        for label in cases:
            ax.plot(*curves[split, label], linewidth=1.2, label=label)
        ax.axvline(at, color="k", linewidth=0.6, linestyle=":")
        ax.set(xlabel="rounds", ylabel="accuracy of survivors, %", title=split)
        ax.legend(fontsize=6)
    setup = {k: config[k] for k in ("data", "task", "network", "method", "batch_size")} | {
        "rounds": rounds,
        "vanish": gone,
        "splits": list(splits),
    }
    return Result(claims, [table], setup, list(seeds), drawn, f"Means over seeds; nodes vanish at round {at}.")
