"""A traced program as one list of operations: calls written out, views taken for what they look at."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import Literal

from ..core.byte_sizes import array_bytes
from ..xla import materialize
from .fusion import JOINED, LOOPS, ROWS, Op

VIEWS = frozenset(
    [
        "reshape",
        "squeeze",
        "expand_dims",
        "copy",
        "dejax_bare",
        materialize.written_p.name,
        "stop_gradient",
        "optimization_barrier",
        "random_wrap",
        "random_unwrap",
    ]
)

RUN = 128  # length of a row from which on arrays are joined along it by copying
JOINTS = 8  # arrays that XLA's CPU fusion (jaxlib 0.10) joins inside what reads them; more are joined by copying

# primitives of our own: name -> (parameters -> the function that it stands for on the device JAX computes on)
written_out: dict[str, Callable[..., Callable[..., Any]]] = {}


def largest(jaxpr: Any) -> int:
    """Bytes of the largest array that a traced program makes, in loops and branches too."""
    most, todo, seen = 0, [bare(jaxpr)], set()
    while todo:
        for eqn in todo.pop().eqns:
            most = max(most, *(array_bytes(v.aval) for v in eqn.outvars), 0)
            inner = [bare(x) for p in eqn.params.values() for x in (p if isinstance(p, tuple) else (p,))]
            new = [j for j in inner if hasattr(j, "eqns") and id(j) not in seen]
            seen.update(map(id, new))
            todo.extend(new)
    return most


def flat(
    jaxpr: Any,
    values: dict[Any, Any],
    fresh: Iterator[int],
    written: set[int],
    mesh: bool = False,
    own: bool = False,
) -> Iterator[Op]:
    """The operations of a program; to `written` go the values that it asks to have in memory (`_apart`).

    Args:
      values: the numbers of its variables, None for literals, filled on the way. fresh: new numbers.
      mesh: `shard_map` is written out, too, between "enter" and "leave" for what goes in and out, and where values are laid stands
        "lay". own: the program is that of one device.
    """
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        reads = [None if isinstance(v, Literal) else values[v] for v in eqn.invars]
        inner = _program(eqn)
        if name == "cond" and inner is not None:
            reads = reads[1:]  # the first says on which platform
        if name == materialize.written_p.name:
            written.update(r for r in reads if r is not None)
        if name in VIEWS and len(reads) == len(eqn.outvars) and None not in reads:
            values.update(zip(eqn.outvars, (r for r in reads if r is not None), strict=True))
        elif name == "select_n" and reads[1] is not None and len({*reads[1:]}) == 1:
            values[eqn.outvars[0]] = reads[1]  # a choice between a value and itself
        elif reads and reads[0] is not None and _takes_all(eqn):
            values[eqn.outvars[0]] = reads[0]
        elif name == "shard_map" and mesh:
            yield from _of_devices(eqn, values, fresh, written)
        elif inner is not None and len(inner.invars) == len(reads):
            mine = dict(zip(inner.invars, reads, strict=True)) | {v: next(fresh) for v in inner.constvars}
            yield from flat(inner, mine, fresh, written, mesh, own)
            for v, w in zip(eqn.outvars, inner.outvars, strict=True):
                number = None if isinstance(w, Literal) else mine[w]
                values[v] = next(fresh) if number is None else number
        else:
            makes = {v: next(fresh) for v in eqn.outvars}
            values.update(makes)
            sizes = tuple((number, array_bytes(v.aval)) for v, number in makes.items())
            if name in ("reduce_sum", "reduce_max", "reduce_min") and eqn.invars[0].aval.ndim - 1 in eqn.params["axes"]:
                name = ROWS
            if name in ("concatenate", "stack") and _joined(eqn):
                name = JOINED
            axis = None
            if name == "sharding_constraint" and mesh and reads[0] is not None:
                name, axis = "lay", _laid(eqn.params["sharding"])
            carried = sum(array_bytes(v.aval) for v in eqn.outvars[: carry(eqn)[1]]) if name == "scan" else None
            seen = tuple((i, v.aval) for i, (v, r) in enumerate(zip(eqn.invars, reads, strict=False)) if r is not None)
            made = tuple(v.aval for v in eqn.outvars)
            yield Op(name, tuple(r for r in reads if r is not None), sizes, 0, carried, eqn, made, seen, own, axis)


def _takes_all(eqn: Any) -> bool:
    """Whether a slice or a padding leaves its operand as it is, since the result is as long."""
    if eqn.invars[0].aval.shape != eqn.outvars[0].aval.shape:
        return False
    name = eqn.primitive.name
    if name == "pad":
        return not any(map(any, eqn.params["padding_config"]))
    return name in ("slice", "dynamic_slice")


def _joined(eqn: Any) -> bool:
    """Whether XLA joins arrays by copying, not inside what reads them: many, or such as lie side by side in long rows."""
    made = eqn.outvars[0].aval
    if len(eqn.invars) > JOINTS:
        return True
    last = eqn.params.get("dimension") == made.ndim - 1
    return made.ndim > 1 and last and made.shape[-1] >= RUN


def _of_devices(eqn: Any, values: dict[Any, Any], fresh: Iterator[int], written: set[int]) -> Iterator[Op]:
    """A `shard_map` written out: what goes in, the program of a device, what comes out."""
    inner, mine = bare(eqn.params["jaxpr"]), dict[Any, Any]()
    for v, w in zip(eqn.invars, inner.invars, strict=True):
        outside = None if isinstance(v, Literal) else values[v]
        mine[w] = inside = None if outside is None else next(fresh)
        if outside is not None and inside is not None:
            yield _door("enter", eqn, outside, inside, v.aval, w.aval, _divided(v.aval, w.aval))
    mine |= {v: next(fresh) for v in inner.constvars}
    yield from flat(inner, mine, fresh, written, True, True)
    for v, w in zip(eqn.outvars, inner.outvars, strict=True):
        values[v] = outside = next(fresh)
        inside = None if isinstance(w, Literal) else mine[w]
        if inside is not None:
            yield _door("leave", eqn, inside, outside, w.aval, v.aval, _divided(v.aval, w.aval))


def _door(name: str, eqn: Any, read: int, makes: int, seen: Any, made: Any, axis: int | None) -> Op:
    return Op(name, (read,), ((makes, array_bytes(made)),), 0, None, eqn, (made,), ((0, seen),), False, axis)


def _divided(whole: Any, part: Any) -> int | None:
    """The axis along which a part is shorter than the whole."""
    return next((i for i, (a, b) in enumerate(zip(whole.shape, part.shape, strict=True)) if a != b), None)


def _laid(sharding: Any) -> int | None:
    """The axis that a sharding divides."""
    return next((i for i, name in enumerate(sharding.spec) if name is not None), None)


@functools.lru_cache(maxsize=512)
def _stand_in(name: str, params: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    """What a primitive of ours stands for; one function per parameters, so that JAX traces it once."""
    return written_out[name](**dict(params))


def _program(eqn: Any) -> Any:
    """The program that a plain call calls; None for a primitive or a loop."""
    if eqn.primitive.name in written_out:
        stand_in = _stand_in(eqn.primitive.name, tuple(sorted(eqn.params.items())))
        return jax.make_jaxpr(stand_in)(*(v.aval for v in eqn.invars)).jaxpr
    if eqn.primitive.name == "cond" and eqn.params.get("branches_platforms"):
        here = jax.default_backend()
        for platforms, branch in zip(eqn.params["branches_platforms"], eqn.params["branches"], strict=True):
            if platforms is None or here in platforms:
                return bare(branch)
    if eqn.primitive.name in (*LOOPS, "cond", "shard_map", "custom_vmap_call"):
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = eqn.params.get(name)
        if inner is not None:
            return bare(inner)
    return None


def bare(jaxpr: Any) -> Any:
    """A program without the constants that it was closed over."""
    return getattr(jaxpr, "jaxpr", jaxpr)


def carry(eqn: Any) -> tuple[int, int]:
    """How many operands of a scan are constants, and how many are carried.

    Read off the shapes, since the names of the parameters change between releases of JAX: the body sees a constant and the carry as
    they are, and a row of everything else.
    """
    body = bare(eqn.params["jaxpr"])
    whole = lambda outer, inner: sum(v.aval.shape == w.aval.shape for v, w in zip(outer, inner, strict=True))
    carried = whole(eqn.outvars, body.outvars)
    return whole(eqn.invars, body.invars) - carried, carried


def loop(eqn: Any) -> tuple[Any, int, tuple[int, int]]:
    """The body of a scan or a while loop, which operand is its first input, and which of its inputs are carried: from, up to."""
    p = eqn.params
    if eqn.primitive.name == "while":
        body = bare(p["body_jaxpr"])
        return body, p["cond_nconsts"], (p["body_nconsts"], len(body.invars))
    fixed, carried = carry(eqn)
    return bare(p["jaxpr"]), 0, (fixed, fixed + carried)


__all__ = ["VIEWS", "array_bytes", "bare", "carry", "flat", "largest", "loop", "written_out"]
