"""Virtual time: a clock for each node, which local work and messages move forward.

The clocks are slots of the round. They follow a cost model; nothing is measured.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from ..core.random import uniform
from ..core.types import Links, Round, Values
from ..faults import rebase

if TYPE_CHECKING:
    from .rows import Rows

WHOLE = "clock_seconds"  # int32: whole seconds that all clocks have passed


def _slot(round: "Rows", frozen: bool = True) -> tuple[Any, Any]:
    """Return the clocks [n] of the view's nodes, and their setter.

    Those of sleepers stay if `frozen`. A cohort has clocks of its own, which start at the server's; otherwise, and where nodes gossip,
    they are those of the population.
    """
    if round._clock is not None:
        return round.slot(round._clock, lambda n: None, per_node=False)
    _whole(round)
    return round.slot("clock", lambda n: jnp.zeros((n,), float), frozen=frozen)


def _server(round: Round) -> tuple[Any, Any]:
    _whole(round)
    return round.slot("server_clock", lambda n: jnp.zeros((), float), per_node=False)


def _whole(round: "Rows") -> None:
    round.slot(WHOLE, lambda n: jnp.zeros((), jnp.int32), per_node=False)


def compute(round: Round, name: str, share: jax.Array | None = None) -> None:
    """Move the clock of each node that computes by one gradient, or by `share` [n] of its time."""
    clock = round.network.clock
    if clock is None:
        return
    time, write = _slot(round)
    done = clock.compute(round._context(round.key(name + ".seconds")), time, round.computes)
    write(done if share is None else time + share * (done - time))


def read(round: "Rows") -> jax.Array:
    """See `Round.seconds`."""
    return jnp.zeros((round.n,), float) if round.network.clock is None else _slot(round)[0]


def fastest(round: "Rows", keys: jax.Array, k: Any) -> jax.Array:
    """See `Round.fastest`. keys: [n], which order those that are equally fast."""
    ends, heard = read(round), round.uploads
    if heard is not None:
        ends = jnp.where(heard, ends, jnp.inf)
    order = jnp.lexsort((uniform(keys), ends))
    first = jnp.zeros((round.n,), bool).at[order].set(jnp.arange(round.n) < k)
    return first if heard is None else first & heard


def messages(round: Round, name: str, links: Links, mask: Values, bits: jax.Array) -> None:
    """Wait for the messages of the neighbors.

    bits: [n], the size of each node's message.
    """
    clock = round.network.clock
    if clock is None:
        return
    time, write = _slot(round)
    write(clock.messages(round._context(round.key(name + ".seconds"), links=links, mask=mask), time, links, mask, bits))


def start_cohort(view: Round, name: str) -> None:
    """Start a cohort when the server does; where nodes gossip, too, each at its own time."""
    if view.network.clock is None or view.network.topology is not None:
        return
    now, _ = _server(view)
    view._clock = name + "/clock"
    start = jnp.broadcast_to(now, (view.n,))
    if view.store.record and view._clock not in view.store.slots:
        view.store.slots[view._clock] = view.store.initial[view._clock] = jnp.zeros((view.n,), float)
    view.store.slots[view._clock] = start


def server(round: Round, name: str, up: jax.Array, down: int | jax.Array, arrived: Any, kind: str) -> None:
    """Charge the time of upload, mean and download.

    The server waits for the slowest upload that arrives; then everybody has the result. Where nodes
    meet nowhere else, who sleeps begins, once awake, when the server does.
    """
    clock = round.network.clock
    if clock is None:
        return
    time, write = _slot(round, frozen=round.network.topology is not None)
    _, put_server = _server(round)
    done = clock.server(round._context(round.key(name + ".seconds")), time, up, down, arrived, kind)
    put_server(done)
    write(jnp.broadcast_to(done, time.shape))


def settle(round: Round) -> tuple[jax.Array, jax.Array]:
    """Return the latest clock at the round's end: (int32 whole seconds, the rest).

    The whole seconds that all clocks have passed move into an int32, so that clocks stay small and
    steps of microseconds last for 68 years of virtual time: float32 clocks alone lose 6 ms steps
    from 1e5 s on.
    """
    if round.plan is not None:
        return round.plan.whole, round.plan.time
    slots = round.store.slots
    found = {name: slots[name] for name in ("clock", "server_clock") if name in slots}
    if not found:
        return jnp.int32(0), jnp.zeros((), float)
    clocks, more = rebase(found)
    slots |= clocks
    slots[WHOLE] = slots[WHOLE] + more
    return slots[WHOLE], jnp.stack([jnp.max(x) for x in clocks.values()]).max()


__all__ = ["compute", "fastest", "messages", "read", "server", "settle", "start_cohort"]
