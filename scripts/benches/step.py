"""The local step, one gradient and SGD update at each of n nodes, against the matrix products in it and one big product.

Target: at least 0.6 of the FLOP/s of the machine's own best batched products of the same shapes at batch 64, that is a ratio of at
most 1.67. "plain flax" rows say how many times slower the same model in plain flax is.
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from . import _harness as h, _models as models

BIG, ACCELERATED = 2048, 8192  # side of the one big matrix product; larger on a GPU or TPU


def sgd_step(task: Any) -> Any:
    """Step of all nodes: params [n, ...], batch [n, B, ...], keys [n] -> params."""

    def one(params: Any, batch: Any, key: Any) -> Any:
        grad = jax.grad(lambda p: task.loss(p, batch, key).mean())(params)
        return jax.tree.map(lambda p, g: p - jnp.asarray(0.1, p.dtype) * g, params, grad)

    return jax.vmap(one)


def _rows(model: models.Model, n: int, batch: int, options: h.Options) -> Iterable[h.Row]:
    name = f"{model.name} B={batch}"
    full = {"own": name, "gemm": f"{name}, one big product", "plain": f"{name}, plain flax"}
    wanted = {way for way, row in full.items() if options.wants(row, n)}
    if not wanted:
        return
    keys = jax.random.split(jax.random.key(0), n)
    params = jax.jit(jax.vmap(model.own.init))(keys)
    params = jax.tree.map(lambda x: x.astype(options.real), params)
    args = (params, models.data(model, (n, batch), options.real), keys)
    calls = {"own": h.compiled(sgd_step(model.own), *args)[0]}
    if "plain" in wanted:
        calls["plain"] = h.compiled(sgd_step(model.plain), *args)[0]
    best = ""
    if "own" in wanted:
        ways = models.products(model.products(batch), n, options.real)
        trial = h.turns(ways, h.Options(quick=True))
        best = min(ways, key=trial.ms)
        calls[best] = ways[best]
    side = ACCELERATED if h.accelerated() else BIG
    if wanted & {"own", "gemm"}:
        big = jnp.ones((side, side), options.real)
        calls["gemm"] = h.compiled(jnp.matmul, big, big)[0]
    got = h.turns(calls, options)
    flops = n * model.flops(batch)
    if "own" in wanted:
        rate = {way: flops / got.ms(way) / 1e6 for way in calls if way != "gemm"}
        gemm = 2 * side**3 / got.ms("gemm") / 1e6
        note = f"{rate['own']:.0f} GFLOP/s: {rate['own'] / rate[best]:.2f} of the products, {rate['own'] / gemm:.2f} of one big"
        yield got.row("step", full["own"], n, "own", best, note=note, gflops=rate, gemm=gemm)
    if "gemm" in wanted:
        yield got.row("step", full["gemm"], n, "own", "gemm", scale=flops / (2 * side**3))
    if "plain" in wanted:
        yield got.row("step", full["plain"], n, "own", "plain", rival=True)


def rows(options: h.Options) -> Iterable[h.Row]:
    """Every model at batch 16 and 64."""
    cases = [(models.mlp(64, 32, 10), 1024), (models.mlp(784, 128, 10), 64), (models.lenet(), 16)]
    for model, n in cases[:1] if options.quick else cases:
        for batch in (16, 64):
            yield from _rows(model, n, batch, options)
