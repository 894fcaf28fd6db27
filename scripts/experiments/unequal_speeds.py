"""Fast and slow nodes that want different things.

Half of the nodes step eight times as often as the others, and their losses have another optimum. A server that takes what comes learns what
the fast ones want. FAVANO weighs progress by speed; FedAvg waits for the slow. Distances are to the optimum of the mean of all losses, as a
share of the distance between the optima of the two halves.
"""

import numpy as np

import dejax as dj

from ._digits import curves
from ._page import Claim, Result, Table, finished, spread

FLOAT64 = True
N, DIM, STEPS, FAST, SLOW, PAPER = 20, 10, 8, 0.8, 0.1, "Leconte et al., FAVANO, 2023"
SPEED = np.where(np.arange(N) < N // 2, FAST, SLOW)
m = dj.methods


@dj.struct
class AsItComes(m.favano):
    """Progress counts as it is, whatever the speed: QuAFL without quantization."""

    def start(self, state, round):
        """No weights are found: all stay 1."""
        return state


def halves(seed: int) -> tuple[dj.Problem, np.ndarray, float]:
    """Losses |x - c_i|^2 / 2 with noise, c_i around one point for fast nodes and another for slow ones; the optimum, and how far apart these are."""
    rng = np.random.default_rng(seed)
    ends = rng.standard_normal((2, DIM))
    centers = ends[(SPEED == SLOW).astype(int)] + 0.1 * rng.standard_normal((N, DIM))
    rows = [(centers[i] + 0.3 * rng.standard_normal((40, DIM)), np.zeros(40)) for i in range(N)]
    task = dj.tasks.from_functions(
        lambda key: {"x": np.zeros(DIM)},
        lambda params, batch, key: 0.5 * ((params["x"][None] - batch["x"]) ** 2).sum(-1),
        lambda params, batch: {},
    )
    problem = dj.Problem(task, dj.data.from_clients(rows), batch_size=4)
    halves_of = [np.mean([rows[i][0].mean(0) for i in part], 0) for part in (range(N // 2), range(N // 2, N))]
    return problem, np.mean(halves_of, 0), float(np.linalg.norm(halves_of[0] - halves_of[1]))


def run(short: bool) -> Result:
    """FAVANO with both weights and without, and a server that waits."""
    seeds, rounds = range(1 if short else 5), 1500
    methods = {
        "FAVANO, stochastic": m.favano(
            lr=0.02, clients=5, local_steps=STEPS, speed=SPEED, interval=4, alpha="stochastic"
        ),
        "FAVANO, deterministic": m.favano(
            lr=0.02, clients=5, local_steps=STEPS, speed=SPEED, interval=4, alpha="deterministic"
        ),
        "progress as it comes (QuAFL)": AsItComes(
            lr=0.02, clients=5, local_steps=STEPS, speed=SPEED, interval=4, alpha="deterministic"
        ),
        "FedAvg, which waits": m.fedavg(lr=0.02, clients=5, local_steps=STEPS),
    }
    found = {k: [] for k in methods}
    for seed in seeds:
        problem, best, apart = halves(seed)
        far = lambda view, best=best, apart=apart: {
            "far": float(np.linalg.norm(np.atleast_2d(np.asarray(view.mean["x"]))[0] - best) / apart)
        }
        runs = {k: (method, problem, dj.Network()) for k, method in methods.items()}
        history = finished(
            dj.compare(runs, rounds=rounds, seeds=[seed], every=max(1, rounds // 50), metrics=[far], progress=False)
        )
        for k in methods:
            found[k].append(history.series("far", k))
    tail = {k: np.array([got[0, len(at) // 2 :].mean() for at, got in v]) for k, v in found.items()}
    wait = (
        STEPS / SLOW / 4
    )  # rounds of FAVANO that a round of FedAvg takes: 4 ticks, and a slow node steps with probability SLOW in each
    claims = [
        Claim("A server that takes progress as it comes ends near the optimum of the fast (0.25 or more of the way from the mean; 0.5 is all of it).", PAPER,
              tail["progress as it comes (QuAFL)"].mean() >= 0.25, f"{tail['progress as it comes (QuAFL)'].mean():.3f}"),
        Claim("FAVANO ends near the optimum of the mean (at most a third of that bias).", PAPER,
              min(tail[k].mean() for k in methods if k.startswith("FAVANO")) <= tail["progress as it comes (QuAFL)"].mean() / 3,
              ", ".join(f"{k.split()[1]} {tail[k].mean():.3f}" for k in methods if k.startswith("FAVANO"))),
        Claim("FedAvg has no such bias either (below 0.1), but each of its rounds lasts as long as many of FAVANO.", PAPER, tail["FedAvg, which waits"].mean() < 0.1,
              f"{tail['FedAvg, which waits'].mean():.3f}; a round lasts as long as {wait:.0f} or more"),
    ]  # fmt: skip
    table = Table(
        "Distance of the server's model to the optimum of the mean, mean of the second half", ["method", "distance"], [[k, spread(tail[k], ".3f")] for k in methods],
        "0.5 is the optimum of one half of the nodes alone; mean and standard deviation over problems.",
    )  # fmt: skip
    setup = {
        "rounds": rounds, "problem": {"nodes": N, "dim": DIM, "loss": "|x - c_i|^2 / 2, rows c_i + 0.3 normal"}, "batch_size": 4,
        "chance of a step in a tick": {"fast half": FAST, "slow half": SLOW}, "methods": {k: str(v).split("speed")[0] for k, v in methods.items()},
    }  # fmt: skip
    panel = {k: (v[0][0], np.concatenate([got for _, got in v])) for k, v in found.items()}
    return Result(
        claims, [table], setup, list(seeds), curves({"": panel}, "rounds", "distance"), "Means over problems."
    )
