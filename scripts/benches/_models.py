"""Models of the bench, in dejax's own form and as somebody would write them in plain flax, and their matrix products."""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from dejax import tasks


class PlainMLP(nnx.Module):
    """An MLP as somebody would write it in flax."""

    def __init__(self, widths: tuple[int, ...], rngs: nnx.Rngs):
        self.depth = len(widths) - 1
        for i, (a, b) in enumerate(itertools.pairwise(widths)):
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


class PlainTask:
    """Initialization and loss of a flax module by flax's own functions, nothing of dejax in it."""

    def __init__(self, factory: Callable[[nnx.Rngs], nnx.Module]):
        self.factory = factory
        self.graphdef = nnx.split(nnx.eval_shape(lambda: factory(nnx.Rngs(0))))[0]

    def loss(self, params: Any, batch: dict[str, jax.Array], key: Any) -> jax.Array:
        """Cross entropy [B]."""
        del key
        logits = nnx.merge(self.graphdef, nnx.State(params))(batch["x"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"])


class Model(NamedTuple):
    """One model of the bench.

    Attributes:
      name: as printed. shape: of one input. widths: of an MLP, () for the CNN.
      own, plain: the same model as a task of dejax, and of plain flax; equal parameter trees.
    """

    name: str
    shape: tuple[int, ...]
    widths: tuple[int, ...]
    own: Any
    plain: Any

    def products(self, batch: int) -> list[tuple[int, int, int]]:
        """(rows, contracted, columns) of every matrix product of one gradient, convolutions as products of patches."""
        if not self.widths:
            a, b = batch * 28 * 28, batch * 14 * 14
            convs = [(a, 25, 16), (25, a, 16), (b, 400, 32), (400, b, 32), (b, 800, 16)]
            return [*convs, (batch, 1568, 10), (1568, batch, 10), (batch, 10, 1568)]
        out = []
        for i, (a, c) in enumerate(itertools.pairwise(self.widths)):
            out += [(batch, a, c), (a, batch, c)] + ([(batch, c, a)] if i else [])
        return out

    def flops(self, batch: int) -> int:
        """Of the products of one node's gradient."""
        return 2 * sum(math.prod(s) for s in self.products(batch))


def mlp(*widths: int) -> Model:
    """Classifier of vectors."""
    plain = PlainTask(lambda rngs: PlainMLP(widths, rngs))
    return Model("MLP " + "-".join(map(str, widths)), widths[:1], widths, tasks.mlp(*widths), plain)


def lenet() -> Model:
    """Classifier of gray 28x28 images."""
    return Model("LeNet 28x28", (28, 28), (), tasks.lenet(shape=(28, 28), classes=10), PlainTask(PlainCNN))


def in_dtype(task: Any, dtype: Any) -> Any:
    """The task with numbers of this dtype: a run has the dtypes that the task and the data have."""
    if dtype == jnp.float32:
        return task
    return tasks.from_functions(lambda key: cast(task.init(key), dtype), task.loss, task.metrics)


def cast(values: Any, dtype: Any) -> Any:
    """The floating numbers of a tree in this dtype."""
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, values)


def data(model: Model, leading: tuple[int, ...], dtype: Any) -> dict[str, jax.Array]:
    """Random inputs [*leading, *shape] and labels [*leading]."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((*leading, *model.shape), np.float32)
    return {"x": jnp.asarray(x, dtype), "y": jnp.asarray(rng.integers(0, 10, leading), jnp.int32)}


def products(shapes: list[tuple[int, int, int]], n: int, dtype: Any) -> dict[str, Callable[[], Any]]:
    """Ways to do all these products at n nodes: all nodes at once, and node after node; operands as rows times columns."""
    rng = np.random.default_rng(0)
    pairs = [
        tuple(jnp.asarray(rng.standard_normal((n, *s), np.float32), dtype) for s in ((m, k), (k, c)))
        for m, k, c in shapes
    ]
    at_once = jax.jit(lambda pairs: [jnp.matmul(x, y) for x, y in pairs])
    # one number of each result: written to memory, but not stacked into another array
    one = lambda pair: jax.lax.optimization_barrier(pair[0] @ pair[1])[0, 0]
    in_turn = jax.jit(lambda pairs: [jax.lax.map(one, pair) for pair in pairs])
    return {"batched products": lambda: at_once(pairs), "products node by node": lambda: in_turn(pairs)}
