"""For how many gradients should a server wait?

Sixteen workers with alike data take exponentially distributed times for a gradient. A server that waits for all is held up by the slowest, one
that waits for the first takes noisy steps. DBW chooses the number anew in each round. Seconds are virtual.
"""

import jax
import jax.numpy as jnp
import numpy as np

import dejax as dj

from ._digits import SETUP, curves, problem
from ._page import Claim, Result, Table, finished, number, spread

FLOAT64 = False
N, LR, SECONDS, PAPER = (
    16,
    0.3,
    1.0,
    "Xu, Neglia and Sebastianelli, Dynamic backup workers for parallel machine learning, 2020",
)
m = dj.methods


@dj.struct
class Static:
    """SGD at a server with the mean of the k first gradients."""

    lr: float = dj.number()
    k: int = dj.static(default=1)

    traits = dj.Traits(channel="server")

    def init(self, params, key):
        """The server's model."""
        return m.fedavg(lr=self.lr).init(params, key)

    def step(self, state, round):
        """One step along their mean."""
        starts = jax.tree.map(lambda x: jnp.broadcast_to(x, (round.n, *x.shape)), state.params)
        grads = round.gradient(starts)
        mean = round.average(grads, weights=round.fastest(self.k).astype(jnp.float32))
        return state._replace(params=jax.tree.map(lambda x, g: x - self.lr * g, state.params, mean))


def run(short: bool) -> Result:
    """DBW and every second static k, until equal virtual seconds."""
    seeds, rounds = range(1 if short else 5), 60 if short else 600
    split = problem(dj.data.iid(), N, batch_size=32)
    network = dj.Network(clock=dj.faults.clock(gradient=0.0, exponential=SECONDS))
    ks = (1, 4, 16) if short else (1, 2, 4, 8, 12, 16)
    runs = {"DBW": (m.dbw(lr=LR, choices=N), split, network)} | {
        f"k = {k}": (Static(lr=LR, k=k), split, network) for k in ks
    }
    history = finished(
        dj.compare(
            runs, rounds=rounds, seeds=list(seeds), every=max(1, rounds // 40), metrics=["objective"], progress=False
        )
    )
    series = {k: (history.series("seconds", k)[1], history.series("objective", k)[1][:, 1:]) for k in runs}
    target = 0.3 if not short else 1.5
    when = lambda at, loss: next((t for t, v in zip(at, loss, strict=True) if v <= target), np.inf)
    need = {k: np.array([when(at, loss) for at, loss in zip(*v, strict=True)]) for k, v in series.items()}
    middle = {k: float(np.median(v)) for k, v in need.items()}
    best = min((k for k in runs if k != "DBW"), key=lambda k: middle[k])
    claims = [
        Claim("DBW reaches the target loss within a tenth of the seconds of the best static k.", PAPER, middle["DBW"] <= 1.1 * middle[best], f"{middle['DBW']:.0f} s against {middle[best]:.0f} s ({best})",
              "Later in a run, estimates of the smoothness from single noisy steps often exceed 2 / lr (at round 200 in 7 of 24 runs), so that no k promises a gain, and DBW then waits for all."),
        Claim("It is faster than waiting for all.", PAPER, middle["DBW"] < middle[f"k = {N}"], f"{middle['DBW']:.0f} s against {middle[f'k = {N}']:.0f} s"),
    ]  # fmt: skip
    rows = [
        [
            k,
            spread(need[k]),
            number(float(series[k][0][:, -1].mean() / rounds)),
            number(float(series[k][1][:, -1].mean())),
        ]
        for k in runs
    ]
    table = Table(
        f"Virtual seconds until the loss is {target}",
        ["server waits for", "seconds", "seconds a round", f"loss after {rounds} rounds"],
        rows,
        "median and range over seeds.",
    )
    setup = {
        "rounds": rounds, "data": {"source": "digits", "nodes": N, "partition": "iid", "seed": 0}, **(SETUP | {"batch_size": 32}),
        "network": {"clock": {"gradient": 0.0, "exponential": SECONDS}}, "lr": LR, "k": list(ks),
    }  # fmt: skip
    panel = {k: (v[0].mean(0), v[1]) for k, v in series.items()}
    return Result(
        claims,
        [table],
        setup,
        list(seeds),
        curves({"": panel}, "virtual seconds", "loss", yscale="log"),
        "Means over seeds.",
    )
