"""Describe a population: all node models stacked along a leading node axis.

A population is a pytree whose leaves are [n, ...]. The functions here join models into one and take
it apart (`stack`, `tile`, `unstack`, `node`, `take`), say what it is as a whole (`size`, `mean`,
`consensus_distance`), view it as a matrix [n, d] (`flat`), and call code for one node at all of
them (`views`). None assumes that nodes started equal. Of several architectures a population is
`Stacks`, a mapping from their names to trees [n_a, ...].
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .core import tree
from .core.parts import part as part
from .core.shapes import in_words
from .core.stacks import Stacks as Stacks, held
from .core.types import NodeTree, Tree
from .core.views import Grouped as Grouped, Joint as Joint
from .devices.node_blocks import block_map


def size(params: NodeTree) -> int:
    """Number of nodes n of a population.

    Raises:
      ValueError: no leaves, a leaf without node axis, or leaves that disagree on n.
    Example:
      >>> size({"w": jnp.zeros((3, 2))})
      3
    """
    if isinstance(params, Stacks):
        return sum(size(stack) for stack in params.values())
    shapes = {jax.tree_util.keystr(path): jnp.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    if not shapes:
        raise ValueError("the population has no leaves, so it has no nodes; give a tree of [n, ...] arrays")
    for name, shape in shapes.items():
        if not shape:
            raise ValueError(
                f"leaf {name or 'of the population'} is a scalar, without a node axis; give [n, ...] arrays"
            )
    lengths = {name: shape[0] for name, shape in shapes.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise ValueError(
            f"the leaves disagree on the number of nodes ({shown}); every leaf needs the same leading axis n"
        )
    return next(iter(lengths.values()))


def stack(models: Sequence[Tree]) -> NodeTree:
    """One population out of a list of models: leaf i of the result is models[i].

    Args:
      models: n >= 1 trees of equal structure, shapes and dtypes.
    Returns:
      Tree of [n, ...] leaves.
    Raises:
      ValueError: an empty list, or models that differ in structure, shape or dtype (named by
        position).
    Identity: `unstack(stack(models))` gives the models back, bit for bit.
    Example:
      >>> stack([{"w": jnp.zeros(2)}, {"w": jnp.ones(2)}])["w"].shape
      (2, 2)
    """
    models = list(models)
    if not models:
        raise ValueError("stack got an empty list of models; give at least one")
    models = [tree.map(jnp.asarray, model) for model in models]
    for i, model in enumerate(models[1:], 1):
        with in_words(f"model {i} differs from model 0, but a population needs equal architectures") as chex:
            chex.assert_trees_all_equal_structs(models[0], model)
            chex.assert_trees_all_equal_shapes_and_dtypes(models[0], model)
    return tree.map(lambda *xs: jnp.stack(xs), *models)


def unstack(params: NodeTree) -> list[Tree]:
    """The list of node models of a population; the inverse of `stack`."""
    return [node(params, i) for i in range(size(params))]


def node(params: NodeTree, i: Any) -> Tree:
    """The model of node i, a tree without node axis; i may be traced.

    Of several architectures it is `Stacks` with the name of its own alone, and i is a plain number.

    Raises:
      IndexError: a Python integer i outside [-n, n).
    Example:
      >>> float(node({"w": jnp.arange(3.0)}, 2)["w"])
      2.0
    """
    n = size(params)
    if isinstance(params, Stacks):
        return params.node(int(i) % n if -n <= int(i) < n else int(i))
    if isinstance(i, int) and not -n <= i < n:
        raise IndexError(f"node {i} is not in a population of {n}; give 0 <= i < {n}")
    return tree.map(lambda x: x[i], params)


def take(params: NodeTree, ids: Any) -> NodeTree:
    """The sub-population of the nodes `ids` [m], in that order: leaves [m, ...].

    Raises:
      ValueError: ids that are no list of whole numbers, e.g. a mask.
    """
    _alike("take", params)
    ids = jnp.asarray(ids)
    with in_words(f"take got ids of shape {ids.shape} and dtype {ids.dtype}; give whole numbers [m]") as chex:
        chex.assert_rank(ids, 1)
        chex.assert_type(ids, int)
    return tree.map(lambda x: x[ids], params)


def tile(model: Tree, n: int) -> NodeTree:
    """n copies of one model: the population of equal starts.

    Raises:
      ValueError: n < 1.
    Identity: `mean(tile(model, n))` is the model up to rounding, and `consensus_distance` is 0.
    """
    if n < 1:
        raise ValueError(f"tile got n = {n}; give n >= 1")
    return tree.tile(tree.map(jnp.asarray, model), n)


def mean(params: NodeTree, weights: Tree = None) -> Tree:
    """The mean model xbar = (1/n) sum_i x_i, or sum_i w_i x_i / sum_i w_i.

    Args:
      params: tree of [n, ...]; leaves without a mean (whole numbers, truth values, keys) are those
        of the first node that counts.
      weights: [n], any scale, sum > 0; a node of weight 0 is left out even where its values are
        NaN. Default: equal.
    Returns:
      Tree without node axis, in each leaf's dtype, accumulated in at least float32.
    Raises:
      ValueError: weights of another shape than [n].
    Example:
      >>> float(mean({"w": jnp.array([1.0, 3.0])})["w"])
      2.0
    """
    _alike("mean", params)
    weights = None if weights is None else _per_node("mean", weights, size(params))

    def one(x: jax.Array) -> jax.Array:
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            return x[0] if weights is None else x[jnp.argmax(weights != 0)]
        if weights is None:
            return x.mean(0, dtype=_wide(x)).astype(x.dtype)
        w = weights.astype(_wide(x))
        total = jnp.sum(tree.over(w, x) * jnp.where(tree.over(weights != 0, x), x, 0), axis=0)
        return (total / w.sum()).astype(x.dtype)

    return tree.map(one, params)


def consensus_distance(params: NodeTree, weights: Tree = None) -> jax.Array:
    """Mean squared distance of the node models to their mean.

    (1/n) sum_i ||x_i - xbar||^2, summed over all leaves, accumulated in at least float32.

    Args:
      params: tree of [n, ...] floating leaves, n >= 1.
      weights: [n] as in `mean`; e.g. 1 on honest nodes and 0 on adversaries.
    Returns:
      Scalar float32 (float64 for float64 leaves), in squared parameter units; 0 up to rounding when
      all nodes agree.
    Raises:
      ValueError: the leaves disagree on n.
    Identity: unchanged when the same tree is added to every node, up to rounding.
    Example:
      >>> float(consensus_distance({"w": jnp.array([[0.0], [2.0]])}))
      1.0
    """
    _alike("consensus_distance", params)
    size(params)
    wide = tree.map(lambda x: x.astype(_wide(x)), params)
    if weights is None:
        center = tree.map(lambda x: x.mean(0, keepdims=True), wide)
        return jnp.mean(tree.sq_norm(tree.sub(wide, center)))
    weights = _per_node("consensus_distance", weights, size(params))
    center = tree.map(lambda x: x[None], mean(wide, weights))
    off = tree.map(lambda x, c: jnp.where(tree.over(weights != 0, x), x - c, 0), wide, center)
    squares = tree.sq_norm(off)
    w = weights.astype(squares.dtype)
    return jnp.sum(w * squares) / w.sum()


def flat(params: NodeTree) -> tuple[jax.Array, Callable[[jax.Array], NodeTree]]:
    """The population as one matrix [n, d], and the function that turns such a matrix back.

    Args:
      params: tree of [n, ...] leaves of one dtype (mixed dtypes are promoted, and cast back).
    Returns:
      (matrix [n, d], unflatten); `unflatten` accepts any number of rows.
    Identity: `unflatten(matrix)` equals `params` bit for bit.
    Example:
      >>> matrix, back = flat({"a": jnp.ones((3, 2)), "b": jnp.zeros((3,))})
      >>> matrix.shape
      (3, 3)
    """
    _alike("flat", params)
    size(params)
    matrix = tree.flat(params)

    def unflatten(rows: jax.Array) -> NodeTree:
        with in_words(f"unflatten got rows of shape {jnp.shape(rows)}; give [m, {matrix.shape[1]}]") as chex:
            chex.assert_shape(rows, (None, matrix.shape[1]))
        return tree.unflat(rows, params)

    return matrix, unflatten


def dimension(params: NodeTree) -> int:
    """Numbers held by one node, d."""
    _alike("dimension", params)
    size(params)
    return tree.size(params)


def views(fn: Callable[..., Any], *trees: NodeTree, block: int | None = None) -> Any:
    """fn of every node's own part: `fn(x_i, ...)` for one node, mapped over the node axis.

    Args:
      fn: function of one node's trees (no node axis) that returns a tree of arrays.
      trees: trees of [n, ...] leaves.
      block: nodes computed at a time, so that what fn keeps in memory does not grow with n; None:
        all at once.
    Returns:
      fn's results stacked along a leading node axis.
    Example:
      >>> views(lambda x: x["w"].sum(), {"w": jnp.ones((3, 2))}).tolist()
      [2.0, 2.0, 2.0]
    """
    if block is not None and block < 1:
        raise ValueError(f"views got block = {block}; give a number of nodes >= 1, or None for all at once")
    _alike("views", trees)
    return block_map(fn, size(trees), block)(*trees)


def _alike(owner: str, params: Tree) -> None:
    """Refuse models of several architectures."""
    if (stacks := held(params)) is not None:
        names = ", ".join(stacks)
        raise ValueError(
            f"{owner} got models of several architectures ({names}), which have no common form; give one of them, e.g. params[{next(iter(stacks))!r}]"
        )


def _per_node(owner: str, weights: Tree, n: int) -> jax.Array:
    """Weights as an array [n]."""
    weights = jnp.asarray(weights)
    with in_words(f"{owner} got weights of shape {weights.shape}; give one per node: ({n},)") as chex:
        chex.assert_shape(weights, (n,))
    return weights


def _wide(x: jax.Array) -> Any:
    """The dtype that sums of x are kept in: at least float32."""
    return jnp.promote_types(x.dtype, jnp.float32)


__all__ = [
    "Grouped",
    "Joint",
    "Stacks",
    "consensus_distance",
    "dimension",
    "flat",
    "mean",
    "node",
    "part",
    "size",
    "stack",
    "take",
    "tile",
    "unstack",
    "views",
]
