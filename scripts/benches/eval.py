"""Evaluation of n models on one test set against the matrix products in it, and the draw of all nodes' batches against their gather.

Only the forward products count as the bound: loss and accuracy of each model come on top.
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

import dejax as dj
from dejax.metrics import View, local_models

from . import _harness as h, _models as models

TEST, POOL, BATCH = 4000, 8192, 16
# models whose products are done at once: few stay in the cache of a CPU, many fill a GPU or TPU
BLOCK, ACCELERATED = 4, 256


def _problem(model: models.Model, n: int, options: h.Options) -> dj.Problem:
    rng = np.random.default_rng(0)
    index = jnp.asarray(rng.integers(0, POOL, (n, 128)), jnp.int32)
    count = jnp.full((n,), 128, jnp.int32)
    arrays, test = (models.data(model, (rows,), options.real) for rows in (POOL, TEST))
    return dj.Problem(
        model.own, dj.data.NodeData(arrays, index, count, test=test, num_classes=10, even=True), batch_size=BATCH
    )


def _evaluation(name: str, model: models.Model, n: int, nodes: int | None, options: h.Options) -> h.Row:
    problem = _problem(model, n, options)
    params = jax.jit(jax.vmap(model.own.init))(jax.random.split(jax.random.key(0), n))
    params = jax.tree.map(lambda x: x.astype(options.real), params)
    view = View(params, problem, nodes=nodes)
    taken, widths = nodes or n, model.widths
    size = sum(x[0].size for x in jax.tree.leaves(params))
    rng = np.random.default_rng(0)
    inputs = [jnp.asarray(rng.standard_normal((TEST, a), np.float32), options.real) for a in widths[:-1]]
    shapes = [(taken, *s) for s in zip(widths, widths[1:], strict=False)]
    weights = [jnp.asarray(rng.standard_normal(s, np.float32), options.real) for s in shapes]
    one = lambda ws: sum((jnp.matmul(x, w).max() for x, w in zip(inputs, ws, strict=True)), jnp.float32(0))
    block = min(taken, ACCELERATED if h.accelerated() else BLOCK)
    products = jax.jit(lambda ws: jax.lax.map(one, ws, batch_size=block))
    got = h.turns({"own": lambda: local_models(view), "products": lambda: products(weights)}, options, least=3)
    each = got.ms("own") / taken * 1e6
    note = f"{each / size:.3g} ns per parameter and node, {each:,.0f} per node"
    return got.row("eval", name, n, "own", "products", note=note, nanoseconds=each)


def rows(options: h.Options) -> Iterable[h.Row]:
    """Local models at three sizes, then the draw of batches."""
    model = models.mlp(16, 64, 10)
    for n, nodes in [(64, None)] if options.quick else [(64, None), (1024, None), (65536, 256)]:
        name = f"local models, {model.name}" + ("" if nodes is None else f", {nodes} of them")
        if options.wants(name, n):
            yield _evaluation(name, model, n, nodes, options)
    for n in (1024,) if options.quick else (1024, 65536):
        draws = {f"draw of {BATCH} rows, {sampling}": sampling for sampling in ("replacement", "epoch")}
        draws = {name: sampling for name, sampling in draws.items() if options.wants(name, n)}
        if not draws:
            continue
        problem = _problem(model, n, options)
        size = sum(x.size for x in jax.tree.leaves(jax.eval_shape(model.own.init, jax.random.key(0))))
        keys = jax.random.split(jax.random.key(0), n)
        for name, sampling in draws.items():
            sampler = dj.Problem(model.own, problem.data, batch_size=BATCH, sampling=sampling).sampler
            args = (sampler.init(n), problem.data.index, problem.data.count, keys)
            draw = h.compiled(lambda m, i, c, k, s=sampler: s.draw(m, c, i, k, k), *args)
            picked = jnp.zeros((n, BATCH), jnp.int32)
            fetch = h.compiled(lambda p, r: p.fetch(r), problem, picked)
            got = h.turns({"draw": draw[0], "gather": fetch[0]}, options)
            each = got.ms("draw") / n * 1e6
            note = f"{each / size:.3g} ns per parameter and node, {each:,.0f} per node"
            yield got.row("eval", name, n, "draw", "gather", note=note)
