"""Random peers in each round against one regular graph.

Sixty-four nodes with unequal digits (Dirichlet 0.1) send to s others in each round: always the same ones (a random regular graph), the
neighbors of a fresh regular graph (EL-Oracle), or s that each node draws for itself (EL-Local). All send equally many bytes.
"""

import dejax as dj

from ._digits import SETUP, compare, curves, last, percent, problem
from ._page import Claim, Result, Table

FLOAT64 = False
N, ALPHA, LR, PAPER = 64, 0.1, 0.3, "de Vos et al., Epidemic learning, 2023"


def run(short: bool) -> Result:
    """Three graphs and three s; seeds of each are one program."""
    seeds, rounds = range(2 if short else 5), 30 if short else 200
    split, method = problem(dj.data.dirichlet(alpha=ALPHA), N, batch_size=8), dj.methods.dsgd(lr=LR)
    sizes = (3,) if short else (3, 5, 7)
    t = dj.topology
    graphs = {
        "static": lambda s: t.random_regular(N, degree=s + s % 2 if N * s % 2 else s, seed=0),
        "EL-Oracle": lambda s: t.fresh_regular(N, degree=s),
        "EL-Local": lambda s: t.random_peers(N, peers=s),
    }
    runs = {f"{k}, s = {s}": (method, split, dj.Network(make(s))) for s in sizes for k, make in graphs.items()}
    history = compare(runs, rounds, seeds, max(1, rounds // 25), ["local_models", "mean_model", "consensus"])
    local = {k: last(history, "accuracy/local", k) for k in runs}
    gain = {
        (k, s): float(100 * (local[f"{k}, s = {s}"] - local[f"static, s = {s}"]).mean())
        for s in sizes
        for k in ("EL-Oracle", "EL-Local")
    }
    apart = {k: last(history, "consensus", k) for k in runs}
    ratio = {s: float((apart[f"EL-Oracle, s = {s}"] / apart[f"static, s = {s}"]).mean()) for s in sizes}
    claims = [
        Claim("EL-Oracle is better than one static graph with as many bytes, at every s.", PAPER, all(gain["EL-Oracle", s] > 0 for s in sizes),
              ", ".join(f"s = {s}: {gain['EL-Oracle', s]:+.1f} points" for s in sizes)),
        Claim("So is EL-Local.", PAPER, all(gain["EL-Local", s] > 0 for s in sizes), ", ".join(f"s = {s}: {gain['EL-Local', s]:+.1f} points" for s in sizes),
              "Of a node that few others chose in a round, the model is little averaged in it: row-stochastic weights cost what randomness gains."),
        Claim("Models are closer to each other under EL-Oracle than on a static graph.", PAPER, all(r < 1 for r in ratio.values()),
              ", ".join(f"s = {s}: {r:.2f} of the squared distance" for s, r in ratio.items())),
    ]  # fmt: skip
    rows = [
        [
            k,
            percent(local[k]),
            percent(last(history, "accuracy/mean_model", k)),
            f"{apart[k].mean():.3g}",
            f"{last(history, 'bytes/node', k).mean() / 1e6:.2f}",
        ]
        for k in runs
    ]
    table = Table(
        f"After {rounds} rounds", ["graph", "local models, %", "mean model, %", "consensus distance, squared", "MB a node"], rows, "mean and standard deviation over seeds."
    )  # fmt: skip
    setup = {
        "rounds": rounds, "data": {"source": "digits", "nodes": N, "partition": {"dirichlet": {"alpha": ALPHA}}, "seed": 0}, **(SETUP | {"batch_size": 8}),
        "method": {"dsgd": {"lr": LR}}, "s": list(sizes), "graphs": ["random_regular", "fresh_regular", "random_peers"],
    }  # fmt: skip
    panels = {
        f"s = {s}": {k: history.series("accuracy/local", f"{k}, s = {s}") for k in graphs}
        for s in (sizes[0], sizes[-1])
    }
    return Result(
        claims, [table], setup, list(seeds), curves(panels, "rounds", "accuracy of local models"), "Means over seeds."
    )
