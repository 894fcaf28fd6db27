"""What a verb refuses in words at once: values that fit no row, port or edge."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.arguments import called_with, takes_weight
from ..core.checks import natural
from ..core.shapes import takes
from ..core.types import Round, Tree
from ..errors import a_name, bad
from ..problem import Batch

OF_RECORDS = (  # names that records of a run have; below a slash too
    "accuracy", "awake", "bad_node", "bytes", "consensus", "down", "epochs", "epsilon", "evaluated", "flops", "forwards", "gradients",
    "hostile", "joules", "loss", "participation", "products", "public_gradients", "round", "run", "seconds", "seed", "up", "wall", "wire",
)  # fmt: skip


def mask(verb: str, value: Tree, given: Tree) -> Any:
    """The mask, bools of the structure of the value, in the shapes of its leaves.

    Raises:
      FieldError: another structure or type, or shapes that do not broadcast to those of the value.
    """
    owner, way = f"round.{verb}", "give bools, one tree like the value, whose leaves broadcast to its leaves"
    if jax.tree.structure(given) != jax.tree.structure(value):
        raise bad("mask", given, owner=owner, says="has another structure than the value", instead=way)
    for m, x in zip(tree.leaves(given), tree.leaves(value), strict=True):
        if jnp.result_type(m) != jnp.bool_ or not _broadcasts(jnp.shape(m), jnp.shape(x)):
            says = f"has a leaf {jnp.result_type(m)}{list(jnp.shape(m))} for a value {list(jnp.shape(x))}"
            raise bad("mask", given, owner=owner, says=says, instead=way)
    return tree.map(lambda x, m: jnp.broadcast_to(m, x.shape), value, given)


def _broadcasts(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    tail = large[len(large) - len(small) :] if len(small) <= len(large) else None
    return tail is not None and all(a in (1, b) for a, b in zip(small, tail, strict=True))


def mask_bits(verb: str, given: Tree, bits: int) -> int:
    """The bits that a mask takes, in whole bytes.

    Raises:
      FieldError: no whole number >= 0, or bits of no mask.
    """
    bits = natural(f"round.{verb}.mask_bits", bits)
    if bits and given is None:
        raise bad(
            "mask_bits", bits, owner=f"round.{verb}", why="but there is no mask", instead="give mask, or leave it out"
        )
    return -(-bits // 8)


def groups(round: Round, given: Tree, count: Any) -> None:
    """Check the groups of `average`: one whole number per row, and how many groups there are.

    Raises:
      FieldError: ids of another shape or type; a number of groups without them.
    """
    if given is None and count is not None:
        why = "but there are no groups"
        raise bad("num_groups", count, owner="round.average", why=why, instead="give groups, or leave it out")
    if given is not None and not (
        jnp.shape(given) == (round.n,) and jnp.issubdtype(jnp.result_type(given), jnp.integer)
    ):
        says = f"is {jnp.result_type(given)} of shape {jnp.shape(given)}"
        raise bad(
            "groups", given, owner="round.average", says=says, instead=f"give one whole number per row: ({round.n},)"
        )


def weights(owner: str, links: Any, given: Any, own: Any) -> None:
    """Check weights on ports [n, k] and own ones [n].

    Raises:
      FieldError: names the one of another shape.
    """
    k = links.num_ports
    for field, x, shape in (("weights", given, (links.n, k)), ("self_weights", own, (links.n,))):
        if jnp.shape(x) != shape:
            says = f"has shape {jnp.shape(x)}"
            why = f"but there are n = {links.n} nodes of k = {k} ports"
            raise bad(field, x, owner=owner, says=says, why=why, instead=f"give shape {shape}")


def report(name: str, values: Any, n: int) -> None:
    """Check what a method reports.

    Raises:
      FieldError: a name that records have already; values that are not one number per row.
    """
    if not isinstance(name, str) or not name:
        raise bad("name", name, owner="round.report", instead="give a name, e.g. 'regret'")
    if name.split("/")[0] in OF_RECORDS:
        why = "which records of a run have already"
        raise bad("name", name, owner="round.report", why=why, instead=f"give another, e.g. 'own {name}'")
    if jnp.shape(values) != (n,):
        way = f"give one number per row: ({n},)"
        raise bad("values", values, owner="round.report", says=f"has shape {jnp.shape(values)}", instead=way)


def arguments(owner: str, field: str, fn: Any, *names: str) -> None:
    """Check that a function takes so many arguments, which `names` name.

    Raises:
      FieldError: says what it takes instead; or it is no function.
    """
    wanted = f"give a function ({', '.join(names)})"
    if not callable(fn):
        raise bad(field, fn, owner=owner, instead=wanted)
    of = functools.partial(fn, weight=None) if takes_weight(fn) and "weight" not in names else fn
    if takes := called_with(of, *names):
        why = f"but it is called with {', '.join(names)}"
        raise bad(field, fn, owner=owner, says=f"{takes}", why=why, instead=wanted)


def extra(count: int) -> tuple[str, ...]:
    """Names of `count` further arguments."""
    return tuple(f"extra{i}" for i in range(count))


def batch(verb: str, given: Any) -> None:
    """Check that something is a batch, where there is one.

    Raises:
      FieldError: says what came in its place.
    """
    if given is not None and not isinstance(given, Batch):
        way = "give one of round.batch(), or leave it out"
        raise bad("batch", given, owner=f"round.{verb}", says=f"is {a_name(given)}", instead=way)


def collected(source: Any, found: Any, memory: Tree, n: int) -> tuple[Batch, Any]:
    """What a source gave: a batch of n rows, and memory of the form that it had.

    Raises:
      FieldError: names the source, and what it gave instead.
    """
    owner = type(source).__name__
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], Batch)):
        kinds = f"({', '.join(map(a_name, found))})" if isinstance(found, tuple) else a_name(found)
        raise bad("collect", owner=owner, says=f"returns {kinds}", instead="return (Batch, memory)")
    drawn, new = found
    shape = lambda x: f"{jnp.result_type(x)}{list(jnp.shape(x))}"
    for field, part in (("data", drawn.data), ("weight", drawn.weight)):
        for x in tree.leaves(part):
            if jnp.ndim(x) < 2 or jnp.shape(x)[0] != n:
                says, why = f"returns Batch.{field} with a leaf {shape(x)}", f"but it was asked for n = {n} nodes"
                raise bad("collect", owner=owner, says=says, why=why, instead=f"give leaves [{n}, B, ...]")
    if drawn.public:
        why = "but a source gives every node its own"
        raise bad("collect", owner=owner, says="returns a public batch", why=why, instead="leave public out")
    if jax.tree.structure(new) != jax.tree.structure(memory):
        says, way = "returns memory of another structure than it was given", "return the fields of init"
        raise bad("collect", owner=owner, says=says, instead=way)
    for old, x in zip(tree.leaves(memory), tree.leaves(new), strict=True):
        if jnp.shape(old) != jnp.shape(x) or not takes(old, x):
            says, why = f"returns memory with a leaf {shape(x)}", f"but it was given {shape(old)}"
            raise bad("collect", owner=owner, says=says, why=why, instead="return rows of the same form")
    return drawn, new


__all__ = ["arguments", "batch", "collected", "extra", "groups", "mask", "mask_bits", "report", "weights"]
