"""What an option of the network may read: never slots, never the method."""

from typing import Any, NamedTuple

import jax


class Context(NamedTuple):
    """Read-only surroundings of one call.

    Attributes:
      index: int32, the round. ids: [n], global ids of the rows.
      key: of this call, shared by all nodes. node_keys: [n], one per node, by global id.
      links: W of the phase, None at a server.
      mask: [n, k], ports that deliver in this phase (at a server [n]: who is awake); None: all do.
      is_adversary: [n], over the rows, or None. progress: t / T, or None.
      ticks: [n], the event number of each node in a timetable, which indexes its randomness; else
        None.
      awake: [n], rows that take part; None: all do.
      held: bool tree like the value, the entries that each row holds and sends; None: all.
      place: where rows of nodes stand on a mesh, for work on each row alone (`place.on_devices`),
        also of the m rows of a cohort; None without a mesh, and where rows are edges.
    """

    index: jax.Array
    ids: jax.Array
    key: jax.Array
    node_keys: jax.Array
    links: Any = None
    mask: Any = None
    is_adversary: Any = None
    progress: Any = None
    ticks: Any = None
    awake: Any = None
    held: Any = None
    place: Any = None


__all__ = ["Context"]
