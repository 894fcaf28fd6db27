"""Ten methods on Fashion-MNIST at three degrees of inequality: what the experiments with MLPs and with LeNets share."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import dejax as dj

from ._page import Claim, Result, Table, figure, finished, spread

ALPHAS = ("0.1", "1", "inf")
m, top = dj.methods, dj.topology
CLOCK = {"gradient": 0.02, "exponential": 0.02, "latency": 0.005, "bandwidth": 1e8, "server_bandwidth": 1e9}


def clothes(train: int, test: int) -> tuple[Any, str]:
    """The first rows of Fashion-MNIST, or embedded digits where its files are not there; and what they are."""
    try:
        all_rows = dj.data.fashion_mnist()
    except FileNotFoundError:
        return dj.data.digits(), "digits, since the files of Fashion-MNIST are not on this machine"
    part = lambda rows, count: (rows["x"][:count], rows["y"][:count])
    x, y = part(all_rows.train, train)
    what = f"Fashion-MNIST, the first {train:,} of 60,000 training and {test:,} of 10,000 test images"
    test_rows = part(all_rows.test, test)
    return dj.data.from_arrays(x, y, test=test_rows, num_classes=10, name="fashion_mnist", pixels=True), what


def methods(n: int, lr: float, steps: int) -> dict[str, tuple[Any, Any]]:
    """Label -> (method, graph); a server's have no graph."""
    torus, quarter = top.torus(n), {"clients": n // 4, "local_steps": steps}
    return {
        "dsgd, torus": (m.dsgd(lr=lr), torus),
        "dsgd, one-peer exponential": (m.dsgd(lr=lr), top.one_peer_exponential(n)),
        "local_sgd": (m.local_sgd(lr=lr / 2, local_steps=steps), torus),
        "qg_dsgdm": (m.qg_dsgdm(lr=lr / 4), torus),
        "gossip_pga, H = 10": (m.gossip_pga(lr=lr, every=10), torus),
        "gradient_tracking": (m.gradient_tracking(lr=lr / 2), torus),
        "exact_diffusion": (m.exact_diffusion(lr=lr), torus),
        "choco, top 10 %": (m.choco(lr=lr, gamma=0.4, compressor=dj.compression.top_k(ratio=0.1)), torus),
        "fedavg": (m.fedavg(lr=lr / 2, **quarter), None),
        "scaffold": (m.scaffold(lr=lr / 2, **quarter), None),
    }


def at(history: dj.History, run: str, by: str, x: float) -> float:
    """Accuracy in % where the run had sent, or taken, x; between two evaluations along a line."""
    where, values = history.series("accuracy/local", run, by=by)
    return 100 * float(np.interp(x, where, values.mean(0)))


def compare(
    short: bool, *, n: int, task: Any, made: str, rounds: int, lr: float, seeds: range, rows: tuple[int, int], nodes: int
) -> Result:  # fmt: skip
    """Run all of them; splits and seeds of a method are one program.

    made: the call that makes the task. rows: (train, test). nodes: how many models are evaluated on the way; all at the end.
    """
    source, what = clothes(*rows)
    deal = lambda alpha: dj.data.iid() if alpha == "inf" else dj.data.dirichlet(alpha=float(alpha))
    problems = {
        alpha: dj.Problem(task, source.partition(deal(alpha), nodes=n, seed=0), batch_size=16) for alpha in ALPHAS
    }
    clock, steps, chosen = dj.faults.clock(**CLOCK), 5, methods(n, lr, 5)
    chosen = {k: chosen[k] for k in ("dsgd, torus", "fedavg")} if short else chosen
    history = dj.History()
    for label, (method, graph) in chosen.items():
        network = dj.Network(clock=clock) if graph is None else dj.Network(graph, clock=clock)
        build = lambda method, alpha, network=network: (chosen[method][0], problems[alpha], network)
        over = {"method": [label], "alpha": list(ALPHAS)}
        history += finished(dj.sweep(
            build, over, rounds, seeds=list(seeds), every=max(1, rounds // 10), nodes=nodes, metrics=["local_models", "consensus"],
            progress=False,
        ))  # fmt: skip
    name = lambda label, alpha: f"method={label}, alpha={alpha}"
    end = {(k, a): 100 * history.series("accuracy/local", name(k, a))[1][:, -1] for k in chosen for a in ALPHAS}
    mean = {key: float(values.mean()) for key, values in end.items()}
    total = {
        by: {k: history.series(by, name(k, "0.1"))[1][:, -1].mean() for k in chosen} for by in ("bytes", "seconds")
    }
    least = {by: min(values.values()) for by, values in total.items()}
    equal = {(k, by): at(history, name(k, "0.1"), by, least[by]) for k in chosen for by in total}
    return Result(
        claims(end, equal, short),
        [
            Table(f"Accuracy of local models after {rounds} rounds, %", ["method", *(f"alpha = {a}" for a in ALPHAS)],
                  [[k, *(spread(end[k, a], ".1f") for a in ALPHAS)] for k in chosen],
                  "mean and standard deviation over seeds." if len(seeds) > 1 else "one seed, so that no spread is known."),
            Table("At alpha = 0.1: rounds, bytes, virtual seconds",
                  ["method", f"after {rounds} rounds", "MB sent by all", "virtual seconds", f"at {least['bytes'] / 1e6:,.0f} MB",
                   f"at {least['seconds']:.2f} s"],
                  [[k, f"{mean[k, '0.1']:.1f} %", f"{total['bytes'][k] / 1e6:,.0f}", f"{total['seconds'][k]:.2f}", f"{equal[k, 'bytes']:.1f} %",
                    f"{equal[k, 'seconds']:.1f} %"] for k in chosen],
                  at_equal_cost(mean, equal, nodes, n)),
        ],
        {
            "rounds": rounds, "data": {"source": what, "nodes": n, "partition": "dirichlet(alpha), iid() for inf", "seed": 0}, "task": made,
            "batch_size": 16, "clock": CLOCK, "local_steps": steps, "clients": n // 4,
            "methods": {k: f"{method} on {'a server' if graph is None else graph.name}" for k, (method, graph) in chosen.items()},
            "rates": "set by hand, not tuned for each method",
        },
        list(seeds),
        picture(history, {k: name(k, "0.1") for k in chosen}),
        f"alpha = 0.1. {'Means over seeds' if len(seeds) > 1 else 'One seed'}; {nodes} of {n} models on the way, all at the end.",
    )  # fmt: skip


def at_equal_cost(
    mean: Mapping[tuple[str, str], float], equal: Mapping[tuple[str, str], float], nodes: int, n: int
) -> str:
    """What the last two columns are, and where a number in them is above that of the end."""
    above = dict.fromkeys(k for (k, _), percent in equal.items() if round(percent, 1) > round(mean[k, "0.1"], 1))
    found = f"; {', '.join(above)} {'has' if len(above) == 1 else 'have'} more there than at the end" if above else ""
    columns = (
        "the last two columns are where the most frugal and the quickest method ended; between evaluations along a line"
    )
    return f"{columns}. Numbers on the way are of {nodes} of {n} models, those of the end of all{found}."


def claims(
    end: Mapping[tuple[str, str], np.ndarray], equal: Mapping[tuple[str, str], float], short: bool
) -> list[Claim]:
    """What the papers promise of these ten; better is by more than 1 point, and more than both standard deviations together.

    end: (method, alpha) -> accuracy of each seed, %. equal: (method, "bytes" or "seconds") -> mean over seeds at equal cost, %.
    """
    labels = list(dict.fromkeys(k for k, _ in end))
    fall = {k: float(end[k, "inf"].mean() - end[k, "0.1"].mean()) for k in labels}
    found = [
        Claim("Every method loses accuracy from IID data to alpha = 0.1.", "Hsu et al., 2019", all(f > 0 for f in fall.values()),
              f"by {min(fall.values()):.1f} to {max(fall.values()):.1f} points"),
    ]  # fmt: skip
    if short:
        return found

    def better(says: str, source: str, a: str, b: str, why: str) -> Claim:
        high, low = end[a, "0.1"], end[b, "0.1"]
        held = high.mean() - low.mean() > max(1, high.std() + low.std())
        return Claim(says, source, bool(held), f"{spread(high, '.1f')} % against {spread(low, '.1f')} %", why)

    plain, frugal = "dsgd, torus", max(labels, key=lambda k: equal[k, "bytes"])
    untuned = "Rates were set by hand and the run is short: the bias that these methods take away is that of the end of a long run."
    old = "A quarter of the nodes is in a round, so that controls are old when they are used; and the run is short."
    both = ", and by more than both standard deviations together" if len(end[plain, "0.1"]) > 1 else "; one seed"
    choco, dsgd = equal["choco, top 10 %", "bytes"], equal[plain, "bytes"]
    return [
        *found,
        better(f"At alpha = 0.1 gradient tracking is better than D-SGD after as many rounds (better: by more than 1 point{both}).",
               "Pu and Nedic, 2021", "gradient_tracking", plain, untuned),
        better("So is exact diffusion, at half the bytes of tracking.", "Yuan et al., 2019", "exact_diffusion", plain, untuned),
        better("So is quasi-global momentum.", "Lin et al., 2021", "qg_dsgdm", plain, untuned),
        better("Gossip-PGA is better than D-SGD on the same graph.", "Chen et al., 2021", "gossip_pga, H = 10", plain, untuned),
        better("SCAFFOLD is better than FedAvg at alpha = 0.1.", "Karimireddy et al., 2020", "scaffold", "fedavg", old),
        Claim("At equal bytes CHOCO is better than D-SGD on the same graph (by more than 1 point alone).",
              "Koloskova et al., 2019", choco - dsgd > 1, f"{choco:.1f} % against {dsgd:.1f} %; the best of all: {frugal}"),
    ]  # fmt: skip


def picture(history: dj.History, runs: Mapping[str, str]) -> Any:
    """Accuracy over rounds, bytes and virtual seconds."""
    drawn, axes = figure(width=9, panels=3, height=3.4)
    for ax, by, unit in zip(axes, ("round", "bytes", "seconds"), (1, 1e6, 1), strict=True):
        for i, (label, run) in enumerate(runs.items()):
            where, values = history.series("accuracy/local", run, by=by)
            ax.plot(where / unit, 100 * values.mean(0), linewidth=1, color=f"C{i}", label=label)
        ax.set(xlabel={"round": "rounds", "bytes": "MB sent by all", "seconds": "virtual seconds"}[by])
    axes[1].set_xscale("symlog", linthresh=10)
    axes[2].set_xscale("symlog", linthresh=0.5)
    axes[0].set_ylabel("accuracy of local models, %")
    axes[0].legend(fontsize=5.5)
    return drawn
