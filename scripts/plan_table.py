"""Compare what `dejax plan` says of a run's rounds with what XLA allocates for them, in one table.

    python scripts/plan_table.py [PATTERN]
    JAX_NUM_CPU_DEVICES=8 python scripts/plan_table.py [PATTERN] --mesh 8

Planned and compiled bytes are those of the program of rounds (`Plan.rounds_alone`, `compiled_bytes`), without evaluations and the
process around them, with `--mesh` those of one device. Nothing runs. Takes some seconds for each setting whose name matches the regular expression.
"""

import argparse
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import optax
from flax import nnx

import dejax as dj
from dejax.planning import plan as planning

a, c, f, m, t = dj.aggregation, dj.compression, dj.faults, dj.methods, dj.topology

Parts = tuple[Any, dj.Problem, dj.Network]


def digits(n: int, task: Any, **kw: Any) -> dj.Problem:
    """Digits in equal parts."""
    data = dj.data.digits().partition(dj.data.iid(), nodes=n, seed=0)
    return dj.Problem(task, data, **{"batch_size": 16} | kw)


def letters(n: int, task: Any = None, **kw: Any) -> dj.Problem:
    """16 letters a node."""
    data = dj.data.letters().partition(dj.data.overlapping(samples=16), nodes=n, seed=0)
    return dj.Problem(dj.tasks.mlp(16, 64, 26) if task is None else task, data, **{"batch_size": 16} | kw)


def wide(method: Any = None, topology: Any = t.ring, **options: Any) -> Parts:
    """64 nodes, digits, an MLP 64-512-10: messages weigh more than activations."""
    return _run(method, digits(64, dj.tasks.mlp(64, 512, 10)), topology, options)


def many(method: Any = None, topology: Any = t.ring, problem: dict[str, Any] | None = None, **options: Any) -> Parts:
    """512 nodes, letters, an MLP 16-64-26."""
    return _run(method, letters(512, **problem or {}), topology, options)


def cnn(n: int, method: Any = None, topology: Any = t.ring, **options: Any) -> Parts:
    """Digits, the small CNN."""
    return _run(method, digits(n, dj.tasks.cnn()), topology, options)


def images(n: int, side: int, model: Any, **kw: Any) -> Parts:
    """64 images of noise a node, side x side x 3, a flax model, D-PSGD on a ring."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n * 64, side, side, 3)).astype("float32"), rng.integers(0, 10, n * 64).astype("int32")
    rows = np.arange(n * 64, dtype=np.int32).reshape(n, 64)
    data = dj.data.NodeData({"x": x, "y": y}, rows, np.full(n, 64, np.int32), even=True)
    return m.dsgd(lr=0.1), dj.Problem(dj.tasks.classifier(model), data, **kw), dj.Network(t.ring(n))


class Strided(nnx.Module):
    """Convolutions with strides, groups and dilation, and a pool of overlapping windows."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(3, 16, (3, 3), strides=2, rngs=rngs)
        self.second = nnx.Conv(16, 32, (3, 3), feature_group_count=4, rngs=rngs)
        self.third = nnx.Conv(32, 32, (3, 3), kernel_dilation=2, rngs=rngs)
        self.last = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = nnx.relu(self.second(nnx.relu(self.first(x))))
        x = nnx.max_pool(x, (3, 3), (2, 2), "SAME")
        return self.last(nnx.relu(self.third(x)).mean((1, 2)))


class Wide(nnx.Module):
    """Convolutions 3 -> 32, 3x3, and 32 -> 64, 5x5."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(3, 32, (3, 3), rngs=rngs)
        self.second = nnx.Conv(32, 64, (5, 5), rngs=rngs)
        self.last = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.last(nnx.relu(self.second(nnx.relu(self.first(x)))).mean((1, 2)))


def _median() -> Parts:
    problem = digits(64, dj.tasks.mlp(64, 256, 10), batch_size=8)
    network = dj.Network(t.erdos_renyi(64, p=0.15, seed=0), rule=a.coordinate_median())
    return m.gradient_tracking(lr=0.1), problem, network


def _run(method: Any, problem: dj.Problem, topology: Any, options: dict[str, Any]) -> Parts:
    network = dj.Network(**options) if topology is None else dj.Network(topology(problem.n), **options)
    return m.dsgd(lr=0.1) if method is None else method, problem, network


def _regular(degree: int) -> Callable[[int], Any]:
    return lambda n: t.random_regular(n, degree=degree, seed=0)


def _adam() -> Any:
    return m.dsgd(optimizer=dj.optimizer(optax.adam, learning_rate=0.01))


def _choco(compressor: Any) -> Any:
    return m.choco(lr=0.1, gamma=0.3, compressor=compressor)


def _logistic(n: int) -> Parts:
    return m.dsgd(lr=1.0), letters(n, dj.tasks.logistic(16, 26), batch_size=8), dj.Network(t.one_peer_exponential(n))


top, qsgd, alie = c.top_k(ratio=0.01), c.qsgd(levels=16), dj.attacks.alie(adversaries=8, z=1.0)
fed: dict[str, Any] = {"lr": 0.1, "local_steps": 4}

SETTINGS: dict[str, Callable[[], Parts]] = {
    "wide: D-PSGD": wide,
    "wide: Adam": lambda: wide(_adam()),
    "wide: gradient tracking": lambda: wide(m.gradient_tracking(lr=0.1)),
    "wide: QSGD copies": lambda: wide(codec=c.copies(qsgd, gamma=0.3)),
    "wide: CHOCO, QSGD": lambda: wide(_choco(qsgd)),
    "wide: QSGD direct": lambda: wide(codec=c.direct(c.qsgd_unbiased(levels=16), gamma=0.3)),
    "wide: rand-k direct": lambda: wide(codec=c.direct(c.rand_k_unbiased(ratio=0.1), gamma=0.3)),
    "wide: top-k copies": lambda: wide(codec=c.copies(top, gamma=0.3)),
    "wide: top-k error feedback": lambda: wide(codec=c.error_feedback(top, gamma=0.3)),
    "wide: top-k copies per edge": lambda: wide(
        codec=c.copies(top, gamma=0.3, per_edge=True), faults=(f.link_loss(p=0.1),)
    ),
    "wide: coordinate median": lambda: wide(topology=t.exponential, rule=a.coordinate_median()),
    "wide: NNA": lambda: wide(topology=t.exponential, rule=a.nna(f=1)),
    "wide: ALIE": lambda: wide(topology=t.exponential, attack=alie),
    "wide: ALIE, NNA": lambda: wide(topology=t.exponential, attack=alie, rule=a.nna(f=1)),
    "wide: noisy messages": lambda: wide(privacy=dj.privacy.gaussian_message(clip=1.0, noise_multiplier=1.0)),
    "wide: noisy gradients": lambda: wide(privacy=dj.privacy.gaussian_gradient(clip=1.0, noise_multiplier=1.0)),
    "wide: churn": lambda: wide(faults=(f.churn(p=0.2),)),
    "wide: link loss": lambda: wide(faults=(f.link_loss(p=0.2),)),
    "wide: FedAvg": lambda: wide(m.fedavg(clients=16, **fed), None),
    "many: D-PSGD": many,
    "many: Adam": lambda: many(_adam()),
    "many: gradient tracking, 4-regular": lambda: many(m.gradient_tracking(lr=0.1), _regular(4)),
    "many: local SGD, exponential": lambda: many(m.local_sgd(lr=0.1), t.exponential),
    "many: block 100": lambda: many(problem={"block": 100}),
    "many: full batch": lambda: many(problem={"batch_size": None}),
    "many: CHOCO, QSGD": lambda: many(_choco(qsgd)),
    "many: trimmed mean, 6-regular": lambda: many(topology=_regular(6), rule=a.trimmed_mean(f=1)),
    "many: complete graph": lambda: many(topology=t.complete),
    "many: dense random graph": lambda: many(topology=lambda n: t.erdos_renyi(n, p=0.3, seed=0)),
    "many: Barabasi-Albert": lambda: many(topology=lambda n: t.barabasi_albert(n, m=3, seed=0)),
    "many: random matching": lambda: many(topology=t.random_matching),
    "many: one-peer exponential": lambda: many(topology=t.one_peer_exponential),
    "many: SGP": lambda: many(m.sgp(lr=0.1), t.one_peer_exponential),
    "many: RelaySGD, tree": lambda: many(m.relaysgd(lr=0.1), t.binary_tree),
    "many: AD-PSGD, events": lambda: many(m.ad_psgd(lr=0.1), events=dj.events.poisson()),
    "many: FedAvg": lambda: many(m.fedavg(clients=64, **fed), None),
    "many: SCAFFOLD": lambda: many(m.scaffold(clients=64, **fed), None),
    "CNN, n = 32: D-PSGD": lambda: cnn(32),
    "CNN, n = 32: gradient tracking": lambda: cnn(32, m.gradient_tracking(lr=0.1)),
    "CNN, n = 32: CHOCO, top-k": lambda: cnn(32, _choco(top)),
    "CNN, n = 32: FedAvg": lambda: cnn(32, m.fedavg(clients=8, **fed), None),
    "CNN, n = 256: gradient tracking, torus": lambda: cnn(256, m.gradient_tracking(lr=0.1), t.torus),
    "logistic, n = 16,384": lambda: _logistic(16384),
    "strided, grouped, dilated CNN, n = 16": lambda: images(16, 32, Strided, batch_size=32),
    "wide CNN, n = 8, no blocks": lambda: images(8, 24, Wide, batch_size=16, block=None),
    "gradient tracking, median, Erdos-Renyi": _median,
}


# settings that no rule of the planner was made from: measured, not mended
HELD_OUT: dict[str, Callable[[], Parts]] = {
    "held out: star": lambda: many(topology=t.star),
    "held out: hypercube, momentum": lambda: many(
        m.dsgd(optimizer=dj.optimizer(optax.sgd, learning_rate=0.1, momentum=0.9)), t.hypercube
    ),
    "held out: torus, by epochs": lambda: many(topology=t.torus, problem={"sampling": "epoch"}),
    "held out: base graph, gradient tracking": lambda: wide(
        m.gradient_tracking(lr=0.1), lambda n: t.base_graph(n, degree=2)
    ),
    "held out: sign flip, trimmed mean": lambda: wide(
        topology=t.exponential, attack=dj.attacks.sign_flip(adversaries=8), rule=a.trimmed_mean(f=1)
    ),
    "held out: rand-k copies, 6-regular": lambda: wide(
        topology=_regular(6), codec=c.copies(c.rand_k(ratio=0.05), gamma=0.3)
    ),
    "held out: no communication, Adam": lambda: wide(m.local_only(optimizer=_adam().optimizer), None),
    "held out: one model on all data": lambda: wide(m.centralized(lr=0.1), None),
    "held out: IFCA": lambda: many(m.ifca(clusters=3, clients=64, **fed), None, {"starts": "independent"}),
    "held out: one-peer, noisy gradients": lambda: many(
        topology=t.one_peer_exponential, privacy=dj.privacy.gaussian_gradient(clip=1.0, noise_multiplier=1.0)
    ),
    "held out: CNN, n = 64, local SGD": lambda: cnn(64, m.local_sgd(lr=0.1), t.exponential),
    "held out: CNN, n = 16, SCAFFOLD": lambda: cnn(16, m.scaffold(clients=4, **fed), None),
}


def measure(name: str, mesh: int | None = None) -> tuple[float, float]:
    """(planned, compiled) bytes of the rounds of a setting, of one device of a mesh of so many."""
    parts = (SETTINGS | HELD_OUT)[name]()
    planned = planning.plan(*parts, rounds=10, mesh=mesh).rounds_alone
    return planned, planning.compiled_bytes(*parts, rounds=10, mesh=mesh)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--mesh", type=int)
    args = parser.parse_args()
    print("| setting | planned, MB | compiled, MB | ratio |\n|---|---|---|---|")
    for name in SETTINGS | HELD_OUT:
        if re.search(args.pattern, name):
            planned, compiled = measure(name, args.mesh)
            print(f"| {name} | {planned / 1e6:.1f} | {compiled / 1e6:.1f} | {planned / compiled:.2f} |", flush=True)


if __name__ == "__main__":
    main()
