"""A population of several architectures: one stack of models [n_a, ...] for each of them.

Verbs of a round take and give such trees where a method hands over models. Functions of one model get
the same class with one entry, the name of its architecture, and no node axis. All else that has a node
axis (masks, rates, messages, batches) stays whole, [n, ...] by node id, and meets a stack in the rows
of its nodes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import bad
from .types import Tree

Ids = tuple[tuple[int, ...], ...]


@jax.tree_util.register_pytree_with_keys_class
class Stacks(Mapping[str, Any]):
    """Trees by the name of an architecture, a pytree: `params["small"]` is [n_a, ...].

    Args:
      trees: name -> tree; row i of its leaves is of the i-th node of that architecture.
      ids: the nodes of each, in the order of `trees`, ascending; all together 0, ..., n - 1. None:
        one architecture alone, taken out, whose rows are those of the values at hand.
    """

    def __init__(self, trees: Mapping[str, Tree], ids: Ids | None = None):
        self._trees, self.ids = dict(trees), ids

    def __getitem__(self, name: str) -> Tree:
        return self._trees[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._trees)

    def __len__(self) -> int:
        return len(self._trees)

    def __repr__(self) -> str:
        return f"Stacks({self._trees!r})"

    def part(self, name: str) -> "Stacks":
        """One architecture alone."""
        return Stacks({name: self._trees[name]})

    def parts(self) -> list[tuple[str, Any]]:
        """(name, ids int32 [n_a]) of each architecture; ids are None where it is that of all nodes."""
        if self.ids is None:
            return [(name, None) for name in self]
        return [(name, _where(ids, len(self))) for name, ids in zip(self, self.ids, strict=True)]

    def map(self, fn: Callable[[Tree], Any]) -> "Stacks":
        """fn of each stack, such as optimizer states out of models."""
        return Stacks({name: fn(tree) for name, tree in self.items()}, self.ids)

    def node(self, i: int) -> "Stacks":
        """The model of node i, without node axis.

        Raises:
          IndexError: no such node.
        """
        for name, ids in zip(self, self.ids or (), strict=False):
            if i in ids:
                row = ids.index(i)
                return Stacks({name: jax.tree.map(lambda x: x[row], self[name])})  # noqa: B023  called at once
        raise IndexError(f"node {i} is not in a population of {nodes(self)}; give 0 <= node < {nodes(self)}")

    def tree_flatten_with_keys(self) -> tuple[Any, Any]:
        """For JAX: leaves lie under the names."""
        return tuple((jax.tree_util.DictKey(name), tree) for name, tree in self.items()), (tuple(self), self.ids)

    def tree_flatten(self) -> tuple[Any, Any]:
        """For JAX."""
        return tuple(self.values()), (tuple(self), self.ids)

    @classmethod
    def tree_unflatten(cls, structure: Any, trees: Sequence[Tree]) -> "Stacks":
        """For JAX."""
        names, ids = structure
        return cls(dict(zip(names, trees, strict=True)), ids)


def is_stacks(value: object) -> bool:
    """Whether a value is a tree of several architectures."""
    return isinstance(value, Stacks)


def several(value: object) -> bool:
    """Whether a value is a whole population of `Stacks`, not one architecture taken out."""
    return isinstance(value, Stacks) and value.ids is not None


def held(values: Tree) -> Stacks | None:
    """The first tree of several architectures that stands in `values`, if any."""
    return next((x for x in jax.tree.leaves(values, is_leaf=is_stacks) if is_stacks(x)), None)


def nodes(params: Tree) -> int:
    """How many nodes a population has: the length of the node axis, or of all stacks together."""
    stacks = params.values() if isinstance(params, Stacks) else (params,)
    return sum(jax.tree.leaves(stack)[0].shape[0] for stack in stacks)


def take(values: Tree, name: str, ids: Any) -> Any:
    """What the nodes of an architecture have of `values`: their rows, and its own stack.

    ids: int32 [n_a]; None: all rows.
    """
    rows = lambda x: x.part(name) if isinstance(x, Stacks) else x if ids is None else x[ids]
    return jax.tree.map(rows, values, is_leaf=is_stacks)


def spread(values: Tree, like: Tree) -> Any:
    """A tree like `like`: for each leaf the rows of `values` [n], or the scalar, of its nodes."""

    def of(x: Tree) -> Any:
        if not isinstance(x, Stacks):
            return values
        whole = x.ids is None or not jnp.ndim(values)
        rows = lambda ids: values if whole or ids is None else jnp.asarray(values)[ids]
        trees = {name: jax.tree.map(lambda _, at=ids: rows(at), x[name]) for name, ids in x.parts()}
        return Stacks(trees, x.ids)

    return jax.tree.map(of, like, is_leaf=is_stacks)


def each(fn: Callable[[Any, Stacks, Any], Any], stacks: Stacks, rest: Tree, owner: str = "round") -> Any:
    """fn(ids, the stack alone, its rows of `rest`) of every architecture, joined by node id.

    Returns:
      Arrays [n_a, ...] of equal form become [n, ...]; trees of architectures stay such trees.
    Raises:
      ValueError: results of another form in another architecture.
    """
    parts = stacks.parts()
    found = [fn(ids, stacks.part(name), take(rest, name, ids)) for name, ids in parts]
    structures = [jax.tree.structure(x, is_leaf=is_stacks) for x in found]
    if any(s != structures[0] for s in structures):
        raise _unlike(owner, tuple(stacks), structures)
    many = stacks.ids or ()
    back = np.argsort(np.concatenate([np.asarray(ids) for ids in many])) if len(many) > 1 else None

    def join(*xs: Any) -> Any:
        if isinstance(xs[0], Stacks):
            return Stacks({name: tree for x in xs for name, tree in x.items()}, stacks.ids)
        forms = [(x.shape[1:], x.dtype) for x in xs]
        if any(form != forms[0] for form in forms):
            raise _unlike(owner, tuple(stacks), [f"{dtype}[n, {', '.join(map(str, s))}]" for s, dtype in forms])
        if back is None:
            return xs[0]
        rows = jnp.concatenate(xs)
        return rows if (back == np.arange(len(back))).all() else rows[back.astype(np.int32)]

    return jax.tree.map(join, *found, is_leaf=is_stacks)


def _where(ids: tuple[int, ...], architectures: int) -> Any:
    return None if architectures == 1 else np.asarray(ids, np.int32)


def _unlike(owner: str, names: tuple[str, ...], forms: Sequence[Any]) -> Exception:
    said = ", ".join(f"{name}: {form}" for name, form in zip(names, forms, strict=True))
    return bad(
        "fn", owner=owner, says=f"gives other forms by architecture ({said})",
        why="but what nodes answer is one array [n, ...]", instead="give answers of one form, such as logits of the same classes",
    )  # fmt: skip


__all__ = ["Stacks", "each", "held", "is_stacks", "nodes", "several", "spread", "take"]
