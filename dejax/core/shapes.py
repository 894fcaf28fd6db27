"""Checks of chex for public functions, with errors that say what would be right.

chex takes a fifth of a second to import, so it is imported by the first check.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from ..errors import a_name, bad
from .stacks import held
from .tree import path_of
from .types import Tree


@contextlib.contextmanager
def in_words(text: str, error: type[Exception] = ValueError) -> Iterator[Any]:
    """Give chex to the checks inside; where one fails, raise `error` with `text`.

    What chex found stands behind it in brackets.

    Raises:
      ValueError: or whatever `error` is.
    Example:
      >>> with in_words("ids has shape (2, 2); give [m]") as chex:
      ...     chex.assert_rank(jax.numpy.zeros(3), 1)
    """
    import chex

    try:
        yield chex
    except AssertionError as found:
        raise error(f"{text} ({_finding(str(found))})") from None


def check_rows(owner: str, value: Tree, n: int) -> None:
    """Check that all leaves of a value have the node axis.

    Raises:
      ValueError: names the path of one that has not, its shape, and n.
    """
    if held(value) is not None:  # several architectures, which the channel refuses by their names
        return
    for path, leaf in jax.tree_util.tree_leaves_with_path(value):
        if jnp.shape(leaf)[:1] != (n,):
            what = f"has {path_of(path)!r} of shape" if path else "has shape"
            why = f"but there is one row for each of the n = {n} nodes"
            raise bad(
                "value", owner=owner, says=f"{what} {jnp.shape(leaf)}", why=why, instead=f"give leaves [{n}, ...]"
            )


def takes(like: Any, x: Any) -> bool:
    """Whether an array may become one of the type of `like`: of one kind, if narrower."""
    old, new = jnp.result_type(like), jnp.result_type(x)
    return new == old or jnp.can_cast(new, old, "same_kind")


def check_pair(owner: str, field: str, pair: object, want: str) -> None:
    """Check that an argument is None or two arrays, which `want` names.

    Raises:
      ValueError: says what came in their place.
    """
    several = isinstance(pair, (tuple, list))
    if pair is None or (several and len(pair) == 2):
        return
    says = f"holds {len(pair)} arrays" if several else f"is {a_name(pair)}"
    raise bad(field, owner=owner, says=says, instead="give two arrays: " + want)


def _finding(text: str) -> str:
    """The first sentences of what chex says, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = " ".join(lines[:4]).removeprefix("[Chex] ").removeprefix("Assertion ")
    return said[:240] + ("..." if len(said) > 240 else "")


__all__ = ["check_pair", "check_rows", "in_words", "takes"]
