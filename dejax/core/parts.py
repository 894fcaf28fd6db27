"""Parts of a model: leaves by their paths, taken apart and joined."""

from fnmatch import fnmatchcase
from typing import Any

import jax

from ..errors import bad
from . import tree
from .tree import join, path_of
from .types import Tree


def matched(pattern: str, path: str) -> int:
    """How many first parts of a path a pattern names; 0 where it is another path.

    * stands for any one part.
    """
    parts, names = path.split("/"), pattern.split("/")
    return len(names) if len(names) <= len(parts) and all(map(fnmatchcase, parts, names)) else 0


def part(paths: str | tuple[str, ...] | None, values: Tree) -> tuple[Any, Any]:
    """Take a tree apart: (the leaves under some paths, all others), two trees of one structure.

    Each has None where the other has the leaf, as `round.gradient(inside, fixed=outside)` takes them.

    Args:
      paths: as in `Problem.roles`; None: the last part of the model, such as the last layer; of a model of one leaf
        that is nothing.
      values: a model, or models [n, ...].
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


def joint(params: Tree, fixed: Tree, gaps: bool = False) -> Any:
    """`join` of two parts that make a whole.

    gaps: there may be leaves that neither has: those of other roles.

    Raises:
      ValueError: a leaf that both have, or neither.
    """
    none = lambda x: x is None
    structure = lambda t: jax.tree.structure(t, is_leaf=none)
    same = structure(params) == structure(fixed)
    pairs = zip(jax.tree.leaves(params, is_leaf=none), jax.tree.leaves(fixed, is_leaf=none), strict=False)
    if not same or any(b is None and not gaps if a is None else b is not None for a, b in pairs):
        way = "give two trees of one structure, each with None where the other has the leaf: dejax.population.part(paths, model)"
        raise bad("fixed", owner="round.gradient", says="and params do not make one model", instead=way)
    return join(params, fixed)


__all__ = ["joint", "matched", "part"]
