"""Parts of a model: leaves by their paths, taken apart and joined."""

from fnmatch import fnmatchcase
from typing import Any

import jax

from ..errors import bad
from . import tree
from .types import Tree


def path_of(path: tuple[Any, ...]) -> str:
    """Return a leaf's path as it stands in `roles`, e.g. "layers/0/kernel".

    Names and positions are joined by slashes.
    """
    return jax.tree_util.keystr(path, simple=True, separator="/")


def matched(pattern: str, path: str) -> int:
    """How many parts of a path a pattern names, which stand first in it; 0 where it is another path.

    * stands for any one part.
    """
    parts, names = path.split("/"), pattern.split("/")
    return len(names) if len(names) <= len(parts) and all(map(fnmatchcase, parts, names)) else 0


def join(first: Any, *others: Any) -> Any:
    """The inverse of `split`: at every place the one leaf that is there."""
    for other in others:
        first = tree.map(lambda a, b: b if a is None else a, first, other, is_leaf=lambda x: x is None)
    return first


def part(paths: str | tuple[str, ...] | None, values: Tree) -> tuple[Any, Any]:
    """(the leaves under some paths, all others): two trees of one structure, None where the other has the leaf.

    paths: as in `Problem.roles`; None: the last part of the model, such as the last layer; of a model of one leaf
      that is nothing.

    Raises:
      ValueError: paths without leaves, or of all leaves.
    """
    names = [path_of(p) for p, _ in jax.tree_util.tree_leaves_with_path(values)]
    given = _last(names) if paths is None else (paths,) if isinstance(paths, str) else tuple(paths)
    own = lambda p, x, chosen: x if chosen == any(matched(path.strip("/"), path_of(p)) for path in given) else None
    pick = lambda chosen: jax.tree_util.tree_map_with_path(lambda p, x: own(p, x, chosen), values)
    inside, outside = pick(True), pick(False)
    if paths is not None and not (tree.leaves(inside) and tree.leaves(outside)):
        what = "names all leaves" if tree.leaves(inside) else "names no leaf"
        why = f"and the model's leaves are {', '.join(names)}"
        raise bad("paths", paths, says=f"{paths!r} {what}", why=why, instead="name some of them")
    return inside, outside


def _last(names: list[str]) -> tuple[str, ...]:
    """The last name of the first level on which names of leaves differ."""
    paths = [name.split("/") for name in names]
    for depth in range(1, max(map(len, paths)) + 1):
        heads = ["/".join(path[:depth]) for path in paths]
        if len(set(heads)) > 1:
            return (heads[-1],)
    return ()


def joint(params: Tree, fixed: Tree) -> Any:
    """`join` of two parts that make a whole.

    Raises:
      ValueError: a leaf that both have, or neither.
    """
    none = lambda x: x is None
    structure = lambda t: jax.tree.structure(t, is_leaf=none)
    same = structure(params) == structure(fixed)
    pairs = zip(jax.tree.leaves(params, is_leaf=none), jax.tree.leaves(fixed, is_leaf=none), strict=False)
    if not same or any((a is None) == (b is None) for a, b in pairs):
        way = "give two trees of one structure, each with None where the other has the leaf: dejax.core.parts.part(paths, model)"
        raise bad("fixed", owner="round.gradient", says="and params do not make one model", instead=way)
    return join(params, fixed)


__all__ = ["join", "joint", "matched", "part", "path_of"]
