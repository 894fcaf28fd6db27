"""What a task must satisfy."""

import jax
import jax.numpy as jnp
import numpy as np

from ..core import tree
from ..core.arguments import evenly, with_key
from ..core.types import Task, Tree
from .promise import Promises, close, require, rounding, same


def check_task(task: Task, batch: Tree) -> None:
    """Check a task: it is pure, each example stands for itself, and it bears a node axis.

    Args:
      task: `init(key)` and `loss(params, batch, key)`, as in `dejax.tasks`.
      batch: arrays of at least two examples [B, ...], as `loss` takes them.
    Raises:
      PromiseError: which promise broke, what was seen, and how to mend it.
    Example:
      >>> check_task(dejax.tasks.mlp(8, 4), {"x": jnp.ones((4, 8)), "y": jnp.zeros(4, jnp.int32)})
    """
    import chex

    promises, key = Promises(task), jax.random.key(0)
    batch = tree.map(jnp.asarray, batch)
    size = len(tree.leaves(batch)[0])
    with promises("init depends on its key alone", "draw from the key, and return a tree of floating arrays"):
        params = task.init(key)
        same(task.init(key), params, "a second start with the same key is another")
        for path, leaf in jax.tree_util.tree_leaves_with_path(params):
            floating = jnp.issubdtype(leaf.dtype, jnp.floating)
            require(floating, f"leaf {jax.tree_util.keystr(path)} has dtype {leaf.dtype}")
    eager = evenly(task.loss)
    loss = jax.jit(eager)
    with promises(
        "loss is one number per example, or one", "return shape [B], or a scalar where batches are never padded"
    ):
        value = loss(params, batch, key)
        require(value.shape in ((size,), ()), f"loss of {size} examples has shape {value.shape}")
        require(np.isfinite(value).all(), "loss is not finite at the start")
    with promises("the same numbers with and without jit", "let loss read no state of Python"):
        close(eager(params, batch, key), value, "with jit the loss is another")
    if value.shape == (size,):
        with promises("examples do not see each other", "reduce over the axes of one example, not over the batch"):
            turned = tree.map(lambda x: jnp.concatenate([x[:1], x[:0:-1]]), batch)
            off = np.abs(np.asarray(loss(params, turned, key)[0] - value[0], np.float64))
            fewer = np.abs(np.asarray(loss(params, tree.map(lambda x: x[:-1], batch), key)[0] - value[0], np.float64))
            most = rounding(np.asarray(value).dtype) * max(1.0, float(abs(value[0])))
            if not _draws(task, params, batch, value):
                require(off <= most and fewer <= most, "other examples change the loss of the first")
    with promises("gradients are finite and in the parameters' dtypes", "cast scalars to the leaf's dtype"):
        grad = jax.jit(jax.grad(lambda p: eager(p, batch, key).mean()))(params)
        chex.assert_trees_all_equal_shapes_and_dtypes(grad, params)
        require(all(np.isfinite(g).all() for g in tree.leaves(grad)), "a gradient is not finite at the start")
    with promises("a node axis is a vmap", "write code for one model; call back to the host nowhere"):
        two = tree.map(lambda x: jnp.stack([x, x * 0.5]), params)
        both = jax.jit(jax.vmap(eager, (0, None, None)))(two, batch, key)
        close(both[1], loss(tree.map(lambda x: x * 0.5, params), batch, key), "under vmap the loss is another")
    with promises("metrics are one number per example", "return {name: [B]}"):
        for name, measured in with_key(task.metrics, params, batch, key=key).items():
            require(np.shape(measured)[:1] == (size,), f"metric {name!r} has shape {np.shape(measured)}")


def _draws(task: Task, params: Tree, batch: Tree, value: Tree) -> bool:
    """Whether the loss depends on its key."""
    return bool((np.asarray(evenly(task.loss)(params, batch, jax.random.key(1))) != np.asarray(value)).any())


__all__ = ["check_task"]
