"""How many bytes a traced program holds at its peak, estimated without compiling it.

A program is read as operations one after another, calls written out, views taken for what they look at; `_fusion` follows what XLA makes
of them. A loop holds one body at a time, and its stacked results whole.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from . import _apart
from ._fusion import ROWS, Op, Peak, held

VIEWS = frozenset(
    [
        "reshape",
        "squeeze",
        "expand_dims",
        "copy",
        "dejax_bare",
        _apart.written_p.name,
        "stop_gradient",
        "optimization_barrier",
        "random_wrap",
        "random_unwrap",
    ]
)
# primitives of our own: name -> (parameters -> the function that it stands for on the device JAX computes on)
written_out: dict[str, Callable[..., Callable[..., Any]]] = {}


def size(x: Any) -> int:
    """Bytes of an array, a shape or an abstract value; 0 for what has no shape."""
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        return 0
    key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return math.prod(x.shape) * (8 if key else np.dtype(x.dtype).itemsize)


def largest(jaxpr: Any) -> int:
    """Bytes of the largest array that a traced program makes, in loops and branches too."""
    most, todo, seen = 0, [_bare(jaxpr)], set()
    while todo:
        for eqn in todo.pop().eqns:
            most = max(most, *(size(v.aval) for v in eqn.outvars), 0)
            inner = [_bare(x) for p in eqn.params.values() for x in (p if isinstance(p, tuple) else (p,))]
            new = [j for j in inner if hasattr(j, "eqns") and id(j) not in seen]
            seen.update(map(id, new))
            todo.extend(new)
    return most


def peak(jaxpr: Any, donated: Sequence[bool] | None = None) -> int:
    """Bytes that a program holds at its peak beside its inputs, results included; see `parts`."""
    return parts(jaxpr, donated).bytes


def _turn(body: Any, donated: Sequence[bool]) -> int:
    """Bytes of one turn of a loop inside a program; its carry is overwritten as the schedule allows."""
    return parts(body, donated, inner=True).bytes


def parts(jaxpr: Any, donated: Sequence[bool] | None = None, inner: bool = False) -> Peak:
    """Bytes that a program holds at its peak beside its inputs, results included, and those of one turn of a loop.

    Args:
      jaxpr: of `jax.make_jaxpr(fn)(*args)`; closed or not.
      donated: per input, whether it is a slot that a result goes back into: the first result into the first of them, and so on (the
        carry of a loop); default: none.
      inner: the program is the body of a loop inside another one, whose slots XLA was seen to fill earlier.
    """
    jaxpr = _bare(jaxpr)
    fresh = itertools.count()
    values: dict[Any, int] = {v: next(fresh) for v in (*jaxpr.constvars, *jaxpr.invars)}
    written: set[int] = set()
    ops = list(_flat(jaxpr, values, fresh, written))
    results = {values[v] for v in jaxpr.outvars if not isinstance(v, Literal)}
    given = [values[v] for v, d in zip(jaxpr.invars, donated or (), strict=False) if d]
    slots = {values[v]: g for v, g in zip(jaxpr.outvars, given, strict=False) if not isinstance(v, Literal)}
    return held(ops, results, written, slots, inner)


def _flat(jaxpr: Any, values: dict[Any, int], fresh: Iterator[int], written: set[int]) -> Iterator[Op]:
    """The operations of a program; to `written` go the values that it asks to have in memory (`_apart`)."""
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        reads = [None if isinstance(v, Literal) else values[v] for v in eqn.invars]
        inner = _program(eqn)
        if name == "cond" and inner is not None:
            reads = reads[1:]  # the first says on which platform
        if name == _apart.written_p.name:
            written.update(r for r in reads if r is not None)
        if name in VIEWS and len(reads) == len(eqn.outvars) and None not in reads:
            values.update(zip(eqn.outvars, (r for r in reads if r is not None), strict=True))
        elif inner is not None and len(inner.invars) == len(reads):
            own = {v: next(fresh) if r is None else r for v, r in zip(inner.invars, reads, strict=True)}
            own |= {v: next(fresh) for v in inner.constvars}
            yield from _flat(inner, own, fresh, written)
            for v, w in zip(eqn.outvars, inner.outvars, strict=True):
                values[v] = next(fresh) if isinstance(w, Literal) else own[w]
        else:
            makes = {v: next(fresh) for v in eqn.outvars}
            values.update(makes)
            sizes = tuple((number, size(v.aval)) for v, number in makes.items())
            if name == "reduce_sum" and eqn.invars[0].aval.ndim - 1 in eqn.params["axes"]:
                name = ROWS
            carried = sum(size(v.aval) for v in eqn.outvars[: _carry(eqn)[1]]) if name == "scan" else None
            yield Op(name, tuple(r for r in reads if r is not None), sizes, _inside(eqn), carried)


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
                return _bare(branch)
    if eqn.primitive.name in ("scan", "while", "cond", "shard_map", "custom_vmap_call"):
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = eqn.params.get(name)
        if inner is not None:
            return _bare(inner)
    return None


def _bare(jaxpr: Any) -> Any:
    """A program without the constants that it was closed over."""
    return getattr(jaxpr, "jaxpr", jaxpr)


def _carry(eqn: Any) -> tuple[int, int]:
    """How many operands of a scan are constants, and how many are carried.

    Read off the shapes, since the names of the parameters change between releases of JAX: the body sees a constant and the carry as
    they are, and a row of everything else.
    """
    body = _bare(eqn.params["jaxpr"])
    whole = lambda outer, inner: sum(v.aval.shape == w.aval.shape for v, w in zip(outer, inner, strict=True))
    carried = whole(eqn.outvars, body.outvars)
    return whole(eqn.invars, body.invars) - carried, carried


def _inside(eqn: Any) -> int:
    """What a loop or branch holds beside its operands and results."""
    p = eqn.params
    match eqn.primitive.name:
        case "random_bits":
            return 3 * size(eqn.outvars[0].aval)  # two counters and two words for each
        case "scan":
            body = _bare(p["jaxpr"])
            fixed, carry = _carry(eqn)
            carried = fixed + carry
            rows = sum(size(v.aval) for v in body.invars[carried:])
            return rows + _turn(body, [fixed <= i < carried for i in range(len(body.invars))])
        case "while":
            body = _bare(p["body_jaxpr"])
            return _turn(body, [i >= p["body_nconsts"] for i in range(len(body.invars))])
        case "cond":
            return max(peak(b) for b in p["branches"])
        case "shard_map" | "custom_vmap_call":
            inner = p.get("jaxpr", p.get("call"))
            return 0 if inner is None else peak(inner)
    return 0


__all__ = ["Peak", "largest", "parts", "peak", "size"]
