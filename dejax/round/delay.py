"""Delay: what receivers hold of a message is what was sent some phases ago."""

from typing import Any

import jax.numpy as jnp
from jax import lax

from ..core import tree
from ..core.types import Tree
from .message import Message


def stage(wire: Any, m: Message) -> Message:
    """Put the message into the memory of those under way, and take out what arrives now.

    What was lost when it was sent never arrives. Before a sender's first message is there, nothing
    is: a neighbor's weight goes back to the receiver, where rows of W sum to one, and a server
    forms the mean of those who are there.
    """
    fault = wire.network.late
    if fault is None:
        return m
    low, high = fault.span
    sent_before, write = wire.round.slot(wire.name + ".late", lambda n: jnp.int32(0), per_node=False)
    write(sent_before + 1)  # phases of this call, not of the round: it may stand within `when`
    ages = None if low == high else wire.ages(fault)
    depth = high if ages is None else high + 1
    at = sent_before % depth

    def ring(purpose: str, value: Tree, memory: Tree, first: bool = False, **kw: Any) -> Tree:
        """Return the oldest rows of `value` [rows, ...].

        Where ages differ: the last `depth` of them, [rows, depth, ...]. Before there are any: zeros, or
        ones if `first`.
        """
        none = lambda rows: tree.map(lambda x: jnp.full((rows, depth, *x.shape[1:]), first, x.dtype), value)
        old, write = memory("late." + purpose, none, **kw)
        new = tree.map(lambda held, x: lax.dynamic_update_index_in_dim(held, x.astype(held.dtype), at, 1), old, value)
        write(new)
        if ages is None:
            return tree.map(lambda held: lax.dynamic_index_in_dim(held, at, 1, keepdims=False), old)
        return new

    which = None if ages is None else (sent_before - ages) % depth
    rows = lambda held: held if which is None else tree.map(lambda x: x[jnp.arange(x.shape[0]), which], held)
    there = sent_before >= (high if ages is None else ages)
    if m.mask is not None:
        mask = ring("mask", m.mask, wire.memory, frozen=False)
        if which is not None:
            mask = jnp.take_along_axis(mask, jnp.expand_dims(which, 1), 1)[:, 0]
        there = mask & there
    # what a sleeper holds is there when it wakes: copies at the ends of edges are read whether or not a message came
    sent = ring("sent", m.sent, wire.memory, frozen=False)
    held = None if m.held is None else ring("held", m.held, wire.memory, first=True, frozen=False)
    m = m._replace(sent=sent, held=held) if which is None else wire.pick(m, (sent, held), which)
    if m.rewrite is not None:
        m = m._replace(rewrite=ring("rewrite", m.rewrite, wire.receiver_memory))
    if tree.leaves(m.along):
        m = m._replace(along=rows(ring("along", m.along, wire.memory)))
    m = wire.arrive(m, jnp.broadcast_to(there, wire.due().shape))
    return m._replace(ride=lambda purpose, value: rows(ring(purpose, value, wire.memory)))


__all__ = ["stage"]
