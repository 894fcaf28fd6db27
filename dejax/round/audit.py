"""Count messages that were lost, and those that the rule left out.

Among those left out, messages of honest nodes and of adversaries are counted apart.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .message import Message


def stage(wire: Any, m: Message) -> Message:
    """Record the share of messages that links lost in this phase."""
    if wire.network.audit:
        due, mask = wire.due(), wire.arrivals()
        lost = jnp.zeros_like(due) if mask is None else due & ~mask
        wire.round.store.share("audit/lost", lost.sum(dtype=jnp.int32), due.sum(dtype=jnp.int32))
    return m


def of_rule(wire: Any, judges: jax.Array | None = None) -> Callable[[Any], None] | None:
    """Return a function that records what the rule leaves out; None where nothing is audited.

    `Received.combine` calls it before the rule.

    judges: bool [n], receivers that count; None: all.
    """
    if not wire.network.audit:
        return None
    store = wire.round.store

    def record(received: Any) -> None:
        left_out = received.rule.rejected(received.ctx, received)
        arrived = received.mask if judges is None else received.mask & judges[:, None]

        def share(name: str, of: jax.Array) -> None:
            part = jnp.where(of, left_out, 0).sum(dtype=jnp.float32)
            store.share(name, part, of.sum(dtype=jnp.int32))

        share("audit/rejected", arrived)
        if received.adversary is not None:
            hostile = received.from_adversary()
            share("audit/rejected_hostile", arrived & hostile)
            share("audit/rejected_honest", arrived & ~hostile)

    return record


__all__ = ["of_rule", "stage"]
