"""Virtual time: per-node clocks in slots, moved by local work and by messages; a cost model, not a measurement."""

from typing import Any

import jax
import jax.numpy as jnp


def _slot(round: Any) -> tuple[Any, Any]:
    """The clock of the view's nodes [n]: a cohort's own, started at the server's, or that of the whole population."""
    if round._clock is not None:
        return round.slot(round._clock, lambda n: None, per_node=False)
    return round.slot("clock", lambda n: jnp.zeros((n,), jnp.float32))


def _server(round: Any) -> tuple[Any, Any]:
    return round.slot("server_clock", lambda n: jnp.zeros((), jnp.float32), per_node=False)


def compute(round: Any, name: str) -> None:
    """One gradient at each node that computes."""
    clock = round.network.clock
    if clock is None:
        return
    time, put = _slot(round)
    put(clock.compute(round._context(round.key(name + ".seconds")), time, round.computes))


def messages(round: Any, name: str, links: Any, mask: Any, bits: jax.Array) -> None:
    """Wait for the messages of the neighbors: bits [n] float32 is the size of each node's message."""
    clock = round.network.clock
    if clock is None:
        return
    time, put = _slot(round)
    put(clock.messages(round._context(round.key(name + ".seconds"), links=links, mask=mask), time, links, mask, bits))


def start_cohort(view: Any, name: str) -> None:
    """A cohort starts when the server does."""
    if view.network.clock is None:
        return
    now, _ = _server(view)
    view._clock = name + "/clock"
    start = jnp.broadcast_to(now, (view.n,)).astype(jnp.float32)
    if view.store.record and view._clock not in view.store.slots:
        view.store.slots[view._clock] = view.store.initial[view._clock] = jnp.zeros((view.n,), jnp.float32)
    view.store.slots[view._clock] = start


def server(round: Any, name: str, up: jax.Array, down: int, arrived: Any) -> None:
    """Upload, mean, download: the server waits for the slowest upload that arrives; then everybody has the result."""
    clock = round.network.clock
    if clock is None:
        return
    time, put = _slot(round)
    _, put_server = _server(round)
    done = clock.server(round._context(round.key(name + ".seconds")), time, up, down, arrived)
    put_server(done)
    put(jnp.broadcast_to(done, time.shape))


def seconds(round: Any) -> jax.Array:
    """Virtual time of the latest clock."""
    if round.plan is not None:
        return round.plan.time.astype(jnp.float32)
    slots = round.store.slots
    found = [jnp.max(slots[name]) for name in ("clock", "server_clock") if name in slots]
    return jnp.stack(found).max() if found else jnp.float32(0)


__all__ = ["compute", "messages", "seconds", "server", "start_cohort"]
