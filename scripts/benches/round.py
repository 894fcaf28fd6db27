"""A whole round of D-PSGD on a ring: node-steps a second, mixing included, against the same work written by hand.

"torch loop": a module per node, one after another; "torch vmap": torch.func over stacked parameters; "jax vmap": plain flax. They get
their batches for nothing, dejax draws its own and counts what it does. Ratios with x: how many times faster dejax is. Targets on
two cores: MLP 64-32-10 40x and 4x (n = 64), 50x and 3x (n = 1024) over the torch loop and torch vmap; MLP 784-128-10, n = 64: 4x and
2.5x; LeNet, n = 16: 1x over the torch loop, 8x over jax vmap. Then: time to the first round, and FedAvg over a million clients.
"""

import time
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import dejax as dj
from dejax import engine
from dejax._driver import CHUNK, CHUNK_SECONDS

from . import _harness as h, _models as models, _rivals as rivals

BATCH, LOCAL, POOL, LR = 16, 128, 8192, 0.1


class Own:
    """dejax: rounds in chunks, as `simulate` runs them."""

    def __init__(self, model: models.Model, n: int, options: h.Options, batch: dict[str, Any] | None = None):
        rng = np.random.default_rng(1)
        if batch is None:
            arrays, index = models.data(model, (POOL,), options.real), rng.integers(0, POOL, (n, LOCAL))
        else:  # all of them in every round
            arrays = {k: jnp.asarray(v).reshape(-1, *v.shape[2:]) for k, v in batch.items()}
            index = np.arange(n * BATCH).reshape(n, BATCH)
        count = jnp.full((n,), index.shape[1], jnp.int32)
        nodes = dj.data.NodeData(arrays, jnp.asarray(index, jnp.int32), count, even=True)
        problem = dj.Problem(model.own, nodes, batch_size=None if batch else BATCH)
        network = dj.Network(dj.topology.ring(n))
        self.parts = engine.prepare(dj.methods.dsgd(lr=LR), problem, network)
        self.key = jax.random.key(0)
        start = jax.jit(lambda key: jax.vmap(model.own.init)(jax.random.split(key, n)))(self.key)
        self.start = jax.tree.map(lambda x: x.astype(options.real), start)
        self.carry, self.count = engine.start(*self.parts, self.key, self.start), 1
        self.round()
        began = time.perf_counter()
        jax.block_until_ready(self.round())
        self.count = int(np.clip(CHUNK_SECONDS / (time.perf_counter() - began), 1, CHUNK))

    def round(self) -> Any:
        """`count` rounds."""
        self.carry, _ = engine.run_chunk(*self.parts, self.carry, self.key, jnp.int32(0), jnp.int32(self.count), CHUNK)
        return self.carry.state.params


def _makers(model: models.Model, n: int) -> dict[str, Any]:
    """Label -> class of each rival, or None with the reason in the label."""
    torch = h.torch_or_none()
    out: dict[str, Any] = {}
    for label, kind in (("torch loop", rivals.TorchLoop), ("torch vmap", rivals.TorchVmap)):
        out[label] = None if torch is None else lambda *args, kind=kind: kind(torch, *args)
    return out | {"jax vmap": rivals.FlaxVmap}


def check(model: models.Model, options: h.Options) -> None:
    """All ways do the same: two rounds from one start on one batch.

    Raises:
      AssertionError: they differ by more than rounding.
    """
    n = 4
    batch = jax.tree.map(np.asarray, models.data(model, (1, n, BATCH), jnp.float32))
    own = Own(model, n, h.Options(), {k: v[0] for k, v in batch.items()})
    start = jax.tree.map(np.asarray, own.start)
    want, _ = engine.rollout(own.parts[0], own.parts[1], dj.Network(dj.topology.ring(n)), own.key, 2, params=start)
    for label, make in _makers(model, n).items():
        if make is not None:
            rival = make(model, start, batch, LR)
            rival.round(), rival.round()
            for a, b in zip(jax.tree.leaves(rival.params()), jax.tree.leaves(want.params), strict=True):
                np.testing.assert_allclose(a, b, atol=2e-5, rtol=1e-3, err_msg=f"{model.name}, {label}")


def _rows(model: models.Model, n: int, options: h.Options) -> Iterable[h.Row]:
    name = f"{model.name} B={BATCH}"
    own = Own(model, n, options)
    got = h.turns({"own": own.round}, options, least=3)
    each = got.ms("own", own.count)
    speed = n / each * 1e3
    yield got.row("round", name, n, "own", per=own.count, note=f"{speed:,.0f} node-steps/s", speed=speed)
    start = jax.tree.map(np.asarray, own.start)
    total = rivals.ROUNDS if n * np.prod(model.shape) < 2**20 else 2
    batches = jax.tree.map(np.asarray, models.data(model, (total, n, BATCH), jnp.float32))
    for label, make in _makers(model, n).items():
        if make is None:
            yield h.Row("round", f"{name}, {label}", n, note="torch is not installed (or this is no CPU)")
            continue
        if options.dtype != "float32":
            continue
        if (not model.widths and n > 64) or (label != "torch loop" and not model.widths and n > 16):
            yield h.Row("round", f"{name}, {label}", n, note="left out: minutes a round")
            continue
        rival = make(model, start, batches, LR)
        got = h.turns({"own": own.round, label: rival.round}, options, least=3)
        yield got.row("round", f"{name}, {label}", n, "own", label, per=own.count, against_per=rival.rounds, rival=True)
        del rival


def _first_round(model: models.Model, n: int) -> h.Row:
    """From nothing to the end of the first round, and what of it was compilation."""
    jax.clear_caches()
    with h.compilations() as seen:
        began = time.perf_counter()
        Own(model, n, h.Options())
        took = (time.perf_counter() - began) * 1e3
    note = f"{len(seen)} compilations, the largest {max(seen):.2f} s"
    return h.Row("round", f"{model.name}, to the first round", n, took, note=note, more={"compilations": seen})


class Million:
    """FedAvg over 1,000,000 clients of which 10 are sampled in a round: nothing is carried per client."""

    clients, sampled, rounds, dim = 1_000_000, 10, 200, 16

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.clients, self.dim), np.float32)
        arrays = {"x": jnp.asarray(x), "y": jnp.ones(self.clients, jnp.float32)}
        index, count = jnp.arange(self.clients, dtype=jnp.int32)[:, None], jnp.ones(self.clients, jnp.int32)
        problem = dj.Problem(
            dj.tasks.from_functions(_zeros, _half_square), dj.data.NodeData(arrays, index, count, even=True)
        )
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


def _zeros(key: Any) -> Any:
    del key
    return {"x": jnp.zeros(Million.dim, jnp.float32)}


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
        sizes = [n for n in ((16,) if options.quick else (16, 64, 1024)) if options.wants(f"{model.name} B={BATCH}", n)]
        if sizes and options.dtype == "float32":
            check(model, options)
        for n in sizes:
            yield from _rows(model, n, options)
    for model, n in ((all_models[0], 1024), (all_models[-1], 16)):
        if options.wants(f"{model.name}, to the first round", n):
            yield _first_round(model, n)
    if options.wants("FedAvg, a million clients", Million.clients):
        yield Million().row(options)
