"""A whole round of D-PSGD on a ring: node-steps a second, mixing included, against the same work written by hand.

"torch loop": a module per node, one after another; "torch vmap": torch.func over stacked parameters; "jax vmap": plain flax. They get
their batches for nothing, dejax draws its own and counts what it does. Torch computes on JAX's device (CPU or GPU), in its precision, or
its rows say why they are left out. Ratios with x: how many times faster dejax is. Targets on two cores: MLP 64-32-10 40x and 4x
(n = 64), 50x and 3x (n = 1024) over the torch loop and torch vmap; MLP 784-128-10, n = 64: 4x and 2.5x; LeNet, n = 16: 1x over the
torch loop, 8x over jax vmap. Then: time to the first round, and FedAvg over a million clients.
"""

import functools
import time
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import dejax as dj
from dejax import engine
from dejax.runs.batch import CHUNK
from dejax.runs.driver import CHUNK_SECONDS

from . import _harness as h, _models as models, _rivals as rivals

BATCH, LOCAL, POOL, LR = 16, 128, 8192, 0.1
RIVALS = ("torch loop", "torch vmap", "jax vmap")


def _spread(arrays: Any, index: np.ndarray) -> dj.data.NodeData:
    count = jnp.full((len(index),), index.shape[1], jnp.int32)
    return dj.data.NodeData(arrays, jnp.asarray(index, jnp.int32), count, even=True)


def _nodes(model: models.Model, n: int, options: h.Options) -> dj.data.NodeData:
    """`LOCAL` rows for each node out of a pool of random ones."""
    return _spread(models.data(model, (POOL,), options.real), np.random.default_rng(1).integers(0, POOL, (n, LOCAL)))


class Own:
    """dejax: rounds in chunks, as `simulate` runs them."""

    def __init__(self, model: models.Model, n: int, options: h.Options, batch: dict[str, Any] | None = None):
        if batch is None:
            nodes = _nodes(model, n, options)
        else:  # all of them in every round
            arrays = {k: jnp.asarray(v).reshape(-1, *v.shape[2:]) for k, v in batch.items()}
            nodes = _spread(arrays, np.arange(n * BATCH).reshape(n, BATCH))
        problem = dj.Problem(model.own, nodes, batch_size=None if batch else BATCH)
        network = dj.Network(dj.topology.ring(n))
        self.parts = engine.prepare(dj.methods.dsgd(lr=LR), problem, network)
        self.key = jax.random.key(0)
        start = jax.jit(lambda key: jax.vmap(model.own.init)(jax.random.split(key, n)))(self.key)
        self.start = jax.tree.map(lambda x: x.astype(options.real), start)
        self.carry, self.count = engine.start(*self.parts, self.key, self.start), 1
        jax.block_until_ready(self.round())
        began = time.perf_counter()
        jax.block_until_ready(self.round())
        self.count = int(np.clip(CHUNK_SECONDS / (time.perf_counter() - began), 1, CHUNK))

    def round(self) -> Any:
        """`count` rounds."""
        self.carry, _ = engine.run_chunk(*self.parts, self.carry, self.key, jnp.int32(0), jnp.int32(self.count), CHUNK)
        return self.carry.state.params


def _makers() -> dict[str, Any]:
    """Label -> what makes each rival, or the reason why there is none."""
    torch, device, missing = h.torch_here()
    kinds = {"torch loop": rivals.TorchLoop, "torch vmap": rivals.TorchVmap}
    out = {label: missing or functools.partial(kind, torch, device) for label, kind in kinds.items()}
    return out | {"jax vmap": rivals.FlaxVmap}


def _exact(exact: bool) -> Any:
    """Within it, products of JAX on a GPU or TPU are as exact as their dtype if `exact`, else as by default; torch's likewise."""
    torch, device, _ = h.torch_here()
    rivals.products(torch, device, exact)
    return jax.default_matmul_precision("highest" if exact and h.accelerated() else None)


def check(model: models.Model, labels: Sequence[str], options: h.Options) -> None:
    """These rivals, where they can be had, do the same as dejax: two rounds from one start on one batch.

    Raises:
      AssertionError: they differ by more than rounding.
    """
    makers = {label: make for label, make in _makers().items() if label in labels and not isinstance(make, str)}
    if not makers:
        return
    n = 4
    close = {"atol": 2e-5, "rtol": 1e-3} if options.dtype == "float32" else {"atol": 2e-2, "rtol": 2e-2}
    number = lambda x: np.asarray(x, np.float32)
    batch = jax.tree.map(np.asarray, models.data(model, (1, n, BATCH), options.real))
    with _exact(True):
        own = Own(model, n, options, {k: v[0] for k, v in batch.items()})
        start = jax.tree.map(np.asarray, own.start)
        want, _ = engine.rollout(own.parts[0], own.parts[1], dj.Network(dj.topology.ring(n)), own.key, 2, params=start)
        for label, make in makers.items():
            rival = make(model, start, batch, LR)
            rival.round(), rival.round()
            for a, b in zip(jax.tree.leaves(rival.params()), jax.tree.leaves(want.params), strict=True):
                np.testing.assert_allclose(number(a), number(b), **close, err_msg=f"{model.name}, {label}")


def _left_out(label: str, model: models.Model, n: int) -> str:
    """Why a rival of LeNet is not measured on a CPU, or ""."""
    slow = not model.widths and not h.accelerated() and n > (64 if label == "torch loop" else 16)
    return "left out: minutes a round" if slow else ""


def _rows(model: models.Model, n: int, options: h.Options) -> Iterable[h.Row]:
    name = f"{model.name} B={BATCH}"
    alone = options.wants(name, n)
    labels = [label for label in RIVALS if options.wants(f"{name}, {label}", n)]
    if not alone and not labels:
        return
    own = Own(model, n, options)
    if alone:
        got = h.turns({"own": own.round}, options, least=3)
        each = got.ms("own", own.count)
        speed = n / each * 1e3
        yield got.row("round", name, n, "own", per=own.count, note=f"{speed:,.0f} node-steps/s", speed=speed)
    start = jax.tree.map(np.asarray, own.start)
    total = rivals.ROUNDS if n * np.prod(model.shape) < 2**20 else 2
    batches = jax.tree.map(np.asarray, models.data(model, (total, n, BATCH), options.real))
    makers = _makers() if labels else {}
    for label in labels:
        full, make = f"{name}, {label}", makers[label]
        if why := make if isinstance(make, str) else _left_out(label, model, n):
            yield h.Row("round", full, n, note=why)
            continue
        rival = make(model, start, batches, LR)
        with _exact(False):
            got = h.turns({"own": own.round, label: rival.round}, options, least=3)
        yield got.row("round", full, n, "own", label, per=own.count, against_per=rival.rounds, rival=True)
        del rival


def _first_round(model: models.Model, n: int, options: h.Options) -> h.Row:
    """`simulate` of one round with nothing compiled, the records before and after it included, and what of it was compilation."""
    problem = dj.Problem(models.in_dtype(model.own, options.real), _nodes(model, n, options), batch_size=BATCH)
    jax.clear_caches()
    with h.compilations() as seen:
        began = time.perf_counter()
        dj.simulate(dj.methods.dsgd(lr=LR), problem, dj.Network(dj.topology.ring(n)), rounds=1, progress=False)
        took = (time.perf_counter() - began) * 1e3
    note = f"{len(seen)} compilations of {sum(seen):.2f} s, the largest {max(seen):.2f} s"
    return h.Row("round", f"{model.name}, to the first round", n, took, note=note, more={"compilations": seen})


class Million:
    """FedAvg over 1,000,000 clients of which 10 are sampled in a round: nothing is carried per client."""

    clients, sampled, rounds, dim = 1_000_000, 10, 200, 16

    def __init__(self, dtype: Any):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.clients, self.dim), np.float32)
        arrays = {"x": jnp.asarray(x, dtype), "y": jnp.ones(self.clients, dtype)}
        index, count = jnp.arange(self.clients, dtype=jnp.int32)[:, None], jnp.ones(self.clients, jnp.int32)
        task = dj.tasks.from_functions(lambda key: {"x": jnp.zeros(self.dim, dtype)}, _half_square)
        problem = dj.Problem(task, dj.data.NodeData(arrays, index, count, even=True))
        method = dj.methods.fedavg(lr=0.1, clients=self.sampled)
        self.parts, self.key = engine.prepare(method, problem, None, self.rounds), jax.random.key(0)
        self.carry = engine.start(*self.parts, self.key)

    def round(self) -> Any:
        """`rounds` rounds."""
        args = (self.key, jnp.int32(0), jnp.int32(self.rounds), self.rounds)
        self.carry, _ = engine.run_chunk(*self.parts, self.carry, *args)
        return self.carry.state

    def row(self, options: h.Options) -> h.Row:
        """Milliseconds a round."""
        size = sum(x.nbytes for x in jax.tree.leaves(self.carry))
        got = h.turns({"fedavg": self.round}, options)
        note = f"{self.sampled} sampled; carry of {size:,} bytes"
        return got.row(
            "round", "FedAvg, a million clients", self.clients, "fedavg", per=self.rounds, note=note, carry=size
        )


def _half_square(params: Any, batch: Any, key: Any) -> jax.Array:
    del key
    return 0.5 * jnp.square(batch["x"] @ params["x"] - batch["y"])


def rows(options: h.Options) -> Iterable[h.Row]:
    """Every model and size, then the first round, then a million clients."""
    all_models = (
        [models.mlp(64, 32, 10)]
        if options.quick
        else [models.mlp(64, 32, 10), models.mlp(784, 128, 10), models.lenet()]
    )
    for model in all_models:
        sizes = (16,) if options.quick else (16, 64, 1024)
        pairs = [(label, n) for label in RIVALS for n in sizes if not _left_out(label, model, n)]
        checked = {label for label, n in pairs if options.wants(f"{model.name} B={BATCH}, {label}", n)}
        if checked:
            check(model, sorted(checked), options)
        for n in sizes:
            yield from _rows(model, n, options)
    for model, n in ((all_models[0], 1024), (all_models[-1], 16)):
        if options.wants(f"{model.name}, to the first round", n):
            yield _first_round(model, n, options)
    if options.wants("FedAvg, a million clients", Million.clients):
        yield Million(options.real).row(options)
