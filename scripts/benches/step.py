"""The local step, one gradient and SGD update at each of n nodes, against the matrix products in it and one big product.

Target: at least 0.6 of the FLOP/s of the machine's own best batched products of the same shapes at batch 64, that is a ratio of at
most 1.67. "plain flax" rows say how many times slower the same model in plain flax is.
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from . import _harness as h, _models as models

BIG = 2048  # side of the one big matrix product


def sgd_step(task: Any) -> Any:
    """Step of all nodes: params [n, ...], batch [n, B, ...], keys [n] -> params."""

    def one(params: Any, batch: Any, key: Any) -> Any:
        grad = jax.grad(lambda p: task.loss(p, batch, key).mean())(params)
        return jax.tree.map(lambda p, g: p - jnp.asarray(0.1, p.dtype) * g, params, grad)

    return jax.vmap(one)


def _rows(model: models.Model, n: int, batch: int, options: h.Options) -> Iterable[h.Row]:
    keys = jax.random.split(jax.random.key(0), n)
    params = jax.jit(jax.vmap(model.own.init))(keys)
    params = jax.tree.map(lambda x: x.astype(options.real), params)
    args = (params, models.data(model, (n, batch), options.real), keys)
    ways = models.products(model.products(batch), n, options.real)
    trial = h.turns(ways, h.Options(quick=True))
    best = min(ways, key=trial.ms)
    big = jnp.ones((BIG, BIG), options.real)
    calls = {
        "own": h.compiled(sgd_step(model.own), *args)[0],
        "plain": h.compiled(sgd_step(model.plain), *args)[0],
        best: ways[best],
        "gemm": h.compiled(jnp.matmul, big, big)[0],
    }
    got = h.turns(calls, options)
    flops = n * model.flops(batch)
    rate = {name: flops / got.ms(name) / 1e6 for name in ("own", "plain", best)}
    gemm = 2 * BIG**3 / got.ms("gemm") / 1e6
    name = f"{model.name} B={batch}"
    note = f"{rate['own']:.0f} GFLOP/s: {rate['own'] / rate[best]:.2f} of the products, {rate['own'] / gemm:.2f} of one big"
    yield got.row("step", name, n, "own", best, note=note, gflops=rate, gemm=gemm)
    yield got.row("step", f"{name}, one big product", n, "own", "gemm", scale=flops / (2 * BIG**3))
    yield got.row("step", f"{name}, plain flax", n, "own", "plain", rival=True)


def rows(options: h.Options) -> Iterable[h.Row]:
    """Every model at batch 16 and 64."""
    cases = [(models.mlp(64, 32, 10), 1024), (models.mlp(784, 128, 10), 64), (models.lenet(), 16)]
    for model, n in cases[:1] if options.quick else cases:
        for batch in (16, 64):
            if options.wants(f"{model.name} B={batch}", n):
                yield from _rows(model, n, batch, options)
