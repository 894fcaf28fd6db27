"""The local step: one gradient and SGD update at n nodes, against the machine's best batched products of the same shapes.

`rows()` gives dicts of group, name, n, ms (median over interleaved repeats), spread (90th minus 10th percentile), bound (ms) and
ratio (ms / bound; for "plain" rows the bound is dejax's own time, so that the ratio is the speedup). Run alone, it prints them.
"""

import itertools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from dejax import tasks


def measure(calls: dict[str, Any], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each call, interleaved; every call is compiled before."""
    for fn, args in calls.values():
        jax.block_until_ready(fn(*args))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, (fn, args) in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(fn(*args))
            times[name].append((time.perf_counter() - start) * 1e3)
    return times


def sgd_step(task: Any) -> Any:
    """Jitted step of all nodes: params [n, ...], batch [n, B, ...], keys [n] -> params."""

    def one(params: Any, batch: Any, key: Any) -> Any:
        grad = jax.grad(lambda p: task.loss(p, batch, key).mean())(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grad)

    return jax.jit(jax.vmap(one))


def products(widths: tuple[int, ...], n: int, b: int) -> tuple[Any, Any]:
    """All batched products of one step of an MLP, each in the layout that is fastest here (rows times columns)."""
    shapes = []
    for i, (a, c) in enumerate(itertools.pairwise(widths)):
        shapes += [(b, a, c), (a, b, c)] + ([(b, c, a)] if i else [])
    rng = np.random.default_rng(0)
    args = [tuple(jnp.asarray(rng.normal(size=(n, *s)), jnp.float32) for s in ((m, k), (k, c))) for m, k, c in shapes]
    return jax.jit(lambda pairs: [x @ y for x, y in pairs]), (args,)


class PlainMLP(nnx.Module):
    """The same model as somebody would write it in flax."""

    def __init__(self, widths: tuple[int, ...], rngs: nnx.Rngs):
        pairs = itertools.pairwise(widths)
        self.depth = len(widths) - 1
        for i, (a, b) in enumerate(pairs):
            setattr(self, f"layer{i}", nnx.Linear(a, b, rngs=rngs))

    def __call__(self, x: jax.Array) -> jax.Array:
        for i in range(self.depth):
            x = getattr(self, f"layer{i}")(nnx.relu(x) if i else x)
        return x


class PlainCNN(nnx.Module):
    """The LeNet-like model with flax's own convolution and pooling."""

    def __init__(self, rngs: nnx.Rngs):
        self.conv0, self.conv1 = nnx.Conv(1, 16, (5, 5), rngs=rngs), nnx.Conv(16, 32, (5, 5), rngs=rngs)
        self.linear = nnx.Linear(7 * 7 * 32, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.reshape(x.shape[0], 28, 28, 1)
        for conv in (self.conv0, self.conv1):
            x = nnx.max_pool(nnx.relu(conv(x)), (2, 2), (2, 2))
        return self.linear(x.reshape(x.shape[0], -1))


def inputs(task: Any, shape: tuple[int, ...], n: int, b: int) -> tuple[Any, Any, Any]:
    """Parameters, batch and keys of n nodes."""
    rng = np.random.default_rng(0)
    keys = jax.random.split(jax.random.key(0), n)
    batch = {
        "x": jnp.asarray(rng.normal(size=(n, b, *shape)), jnp.float32),
        "y": jnp.asarray(rng.integers(0, 10, (n, b)), jnp.int32),
    }
    return jax.jit(jax.vmap(task.init))(keys), batch, keys


def rows(repeats: int = 15, quick: bool = False) -> list[dict[str, Any]]:
    """One row per model, batch size and way of writing it."""
    out: list[dict[str, Any]] = []

    def add(name: str, n: int, times: list[float], bound: float) -> None:
        low, ms, high = (float(t) for t in np.percentile(times, (10, 50, 90)))
        out.append(
            {"group": "step", "name": name, "n": n, "ms": ms, "spread": high - low, "bound": bound, "ratio": ms / bound}
        )

    cases = [((64, 32, 10), 1024, 16), ((64, 32, 10), 1024, 64), ((784, 128, 10), 64, 16), ((784, 128, 10), 64, 64)]
    for widths, n, b in cases[:1] if quick else cases:
        task = tasks.mlp(*widths)
        plain = tasks.classifier(lambda rngs, widths=widths: PlainMLP(widths, rngs))
        args = inputs(task, widths[:1], n, b)
        times = measure(
            {"own": (sgd_step(task), args), "plain": (sgd_step(plain), args), "bound": products(widths, n, b)}, repeats
        )
        name = "mlp " + "-".join(map(str, widths)) + f" B={b}"
        add(name, n, times["own"], float(np.median(times["bound"])))
        add(name + ", plain flax", n, times["plain"], float(np.median(times["own"])))
    for n, b in [] if quick else [(16, 16)]:
        own, plain = tasks.lenet(shape=(28, 28), classes=10), tasks.classifier(PlainCNN)
        args = inputs(own, (28, 28), n, b)
        other = inputs(plain, (28, 28), n, b)
        times = measure({"own": (sgd_step(own), args), "plain": (sgd_step(plain), other)}, max(3, repeats // 3))
        flops = 3 * 2 * n * b * (28 * 28 * 25 * 16 + 14 * 14 * 400 * 32) - 2 * n * b * 28 * 28 * 25 * 16
        x = jnp.ones((2048, 2048), jnp.float32)
        gemm = np.median(measure({"gemm": (jax.jit(jnp.matmul), (x, x))}, 5)["gemm"])
        add(f"lenet B={b} (bound: one big matrix product)", n, times["own"], float(flops * gemm / (2 * 2048**3)))
        add(f"lenet B={b}, plain flax", n, times["plain"], float(np.median(times["own"])))
    return out


if __name__ == "__main__":
    for row in rows():
        print(
            "{name:48s} n={n:<6d} {ms:9.2f} ms (spread {spread:.2f})  bound {bound:8.2f}  ratio {ratio:.2f}".format(
                **row
            )
        )
