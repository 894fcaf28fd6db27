"""Read off a jaxpr which of its inputs each output depends on: sets of inputs as bits of one integer per variable."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal


def dependencies(fn: Callable[..., Any], *args: Any) -> tuple[Any, Any]:
    """Trace fn(*args) and return (an integer per output, whose bit i says that it depends on leaf i of args, shapes of the outputs)."""
    closed, shapes = jax.make_jaxpr(fn, return_shape=True)(*args)
    out = reach(closed.jaxpr, [1 << i for i in range(len(closed.jaxpr.invars))])
    return jax.tree.unflatten(jax.tree.structure(shapes), out), shapes


def reach(jaxpr: Jaxpr, sources: Sequence[int]) -> list[int]:
    """Return the sources of each output of a jaxpr, given those of its inputs."""
    of = dict(zip(jaxpr.invars, sources, strict=True))
    read = lambda v: 0 if isinstance(v, Literal) else of.get(v, 0)  # constants depend on nothing
    for eqn in jaxpr.eqns:
        for var, found in zip(eqn.outvars, _outputs(eqn, [read(v) for v in eqn.invars]), strict=True):
            of[var] = found
    return [read(v) for v in jaxpr.outvars]


def _outputs(eqn: Any, inputs: list[int]) -> list[int]:
    name, params = eqn.primitive.name, eqn.params
    if name == "cond":
        which, *rest = inputs
        branches = [reach(b.jaxpr, rest) for b in params["branches"]]
        return [which | _union(found) for found in zip(*branches, strict=True)]
    if name == "while":
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        tests, fixed, carry = inputs[:first], inputs[first:second], inputs[second:]
        return _settled(
            carry,
            lambda carry: [
                found | reach(params["cond_jaxpr"].jaxpr, [*tests, *carry])[0]
                for found in reach(params["body_jaxpr"].jaxpr, [*fixed, *carry])
            ],
        )
    if name == "scan":
        first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
        fixed, carry, rows = inputs[:first], inputs[first:second], inputs[second:]
        body = lambda carry: reach(params["jaxpr"].jaxpr, [*fixed, *carry, *rows])
        carry = _settled(carry, lambda carry: body(carry)[: len(carry)])
        return [*carry, *body(carry)[len(carry) :]]
    inner = [p for p in params.values() if isinstance(p, (ClosedJaxpr, Jaxpr))]
    if len(inner) == 1:  # calls: pjit, custom derivatives, checkpoint, shard_map
        jaxpr = inner[0].jaxpr if isinstance(inner[0], ClosedJaxpr) else inner[0]
        if len(jaxpr.invars) == len(inputs) and len(jaxpr.outvars) == len(eqn.outvars):
            return reach(jaxpr, inputs)
    return [_union(inputs)] * len(eqn.outvars)


def _union(sources: Sequence[int]) -> int:
    every = 0
    for found in sources:
        every |= found
    return every


def _settled(carry: list[int], body: Callable[[list[int]], list[int]]) -> list[int]:
    """Go round a loop until what the carry depends on grows no more."""
    while True:
        new = [a | b for a, b in zip(carry, body(carry), strict=True)]
        if new == carry:
            return carry
        carry = new
