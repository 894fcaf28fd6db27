"""Ten players of one nonlinear bandit, and when they talk.

Each player sees 20 arms a round and pulls one; the reward is a bump across a common hidden direction, with noise. Fed-GO-UCB explores together, then
goes on by optimism around the fitted model, and adds up what was learned when that pays. Beside it: the same with a linear model, and players that never talk.
"""

import jax.numpy as jnp
import numpy as np

import dejax as dj

from ._digits import curves
from ._page import Claim, Result, Table, finished, spread

FLOAT64 = True
N, DIM, ARMS, NOISE, PAPER = (
    10,
    4,
    20,
    0.1,
    "Li, Liu and Wang, Communication-efficient federated non-linear bandit optimization, 2024",
)
m = dj.methods


def bent(params, batch):
    """A bump: exp(-(w . x - 1/2)^2)."""
    return jnp.exp(-jnp.square(batch["x"] @ params["w"] - 0.5))


def straight(params, batch):
    """w . x."""
    return batch["x"] @ params["w"]


def bandit(seed: int, answer) -> dj.Problem:
    """Arms at random on a ball, rewards exp(-(w . x - 1/2)^2) + noise; 400 of them at each player, 20 a round."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal(DIM)
    hidden *= 2 / np.linalg.norm(hidden)
    x = rng.uniform(-1, 1, (N, 400, DIM))
    y = np.exp(-((x @ hidden - 0.5) ** 2)) + NOISE * rng.standard_normal((N, 400))
    begin = rng.standard_normal(DIM) * 0.3

    def squares(params, batch, key):
        return 0.5 * jnp.square(answer(params, batch) - batch["y"])

    task = dj.tasks.from_functions(
        lambda key: {"w": jnp.asarray(begin)}, squares, lambda params, batch: {}, answer=answer
    )
    return dj.Problem(task, dj.data.from_clients([(x[i], y[i]) for i in range(N)]), batch_size=ARMS)


def run(short: bool) -> Result:
    """Thresholds from "in every round" to "never"."""
    seeds, rounds = range(5), 600
    settings = {"gamma = 0": 0.0, "gamma = 0.3": 0.3, "gamma = 1": 1.0, "gamma = 3": 3.0, "never": 1e9}
    make = lambda gamma: m.fed_go_ucb(lr=1.0, explore=150, beta=0.05, lam=1.0, gamma=gamma)
    runs = {k: (make(g), bent) for k, g in settings.items()} | {"linear model, gamma = 0": (make(0.0), straight)}
    lost, sent = {k: [] for k in runs}, {k: [] for k in runs}
    for seed in seeds:
        made = {k: (method, bandit(seed, answer), dj.Network()) for k, (method, answer) in runs.items()}
        history = finished(
            dj.compare(
                made, rounds=rounds, seeds=[seed], every=max(1, rounds // 30), metrics=[lambda view: {}], progress=False
            )
        )
        for k in runs:
            at, got = history.series("regret", k)
            lost[k].append((at, np.nan_to_num(got[0])))
            sent[k].append(history.last("bytes/node", k))
    late = {k: np.array([got[len(got) * 2 // 3 :].mean() for _, got in v]) for k, v in lost.items()}
    total = {k: np.array([got.mean() for _, got in v]) for k, v in lost.items()}
    mean = {k: float(v.mean()) for k, v in total.items()}
    kb = {k: float(np.mean(v)) / 1000 for k, v in sent.items()}
    claims = [
        Claim("Regret per round falls: over the last third it is at most a third of that of exploring.", PAPER, late["gamma = 0"].mean() <= np.mean([got[1:4].mean() for _, got in lost["gamma = 0"]]) / 3,
              f"{late['gamma = 0'].mean():.3f} against {np.mean([got[1:4].mean() for _, got in lost['gamma = 0']]):.3f}"),
        Claim("A linear model of a nonlinear reward keeps losing (at least twice as much over the last third).", PAPER, late["linear model, gamma = 0"].mean() >= 2 * late["gamma = 0"].mean(),
              f"{late['linear model, gamma = 0'].mean():.3f} against {late['gamma = 0'].mean():.3f}"),
        Claim("Players who never talk lose more.", PAPER, mean["never"] > mean["gamma = 0"], f"{mean['never']:.4f} against {mean['gamma = 0']:.4f} a round",
              "Exploring together has fitted the model well enough that each player's own pulls suffice afterwards."),
        Claim("A larger threshold sends less, down to a tenth of what gamma = 0 sends, and loses no more than a tenth more.", PAPER,
              any(kb[k] <= kb["gamma = 0"] / 10 and mean[k] <= 1.1 * mean["gamma = 0"] for k in settings if k not in ("gamma = 0", "never")),
              ", ".join(f"{k}: {kb[k]:.0f} kB, {mean[k]:.4f}" for k in settings)),
    ]  # fmt: skip
    rows = [[k, spread(total[k], ".4f"), spread(late[k], ".4f"), f"{kb[k]:.1f}"] for k in runs]
    table = Table(
        "Regret a round and player",
        ["setting", "mean", "last third", "kB a player"],
        rows,
        "mean and standard deviation over problems.",
    )
    setup = {
        "rounds": rounds, "problem": {"players": N, "dim": DIM, "arms a round": ARMS, "reward": "exp(-(w . x - 1/2)^2) + 0.1 normal, |w| = 2"},
        "method": {"fed_go_ucb": {"lr": 1.0, "explore": 150, "beta": 0.05, "lam": 1.0}}, "gamma": list(settings.values()),
    }  # fmt: skip
    panel = {k: (v[0][0], np.stack([got for _, got in v])) for k, v in lost.items()}
    return Result(claims, [table], setup, list(seeds), curves({"": panel}, "rounds", "regret"), "Means over problems.")
