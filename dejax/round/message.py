"""The record that passes through the stages: one row per sender or edge.

It starts as what a node sends and ends as what receivers hold.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ..core.types import Tree


class Message(NamedTuple):
    """The messages of one call, [rows, ...]: rows are nodes or directed edges, by the wire.

    Args:
      value: what the method handed over.
      owned: bool tree like `value`, the entries that each node holds; None: all. Elsewhere values are 0.
      base: what a node goes on from after gossip. own: its own value in the rule.
      sent: what leaves; from the codec on what receivers rebuild, from the adversaries on what they
        hold.
      held: the entries that the senders of `sent` hold, or claim to; None: all.
      rewrite: [n, ...] by receiver: what every adversary delivers to it; None: `sent` says it all.
      size: of one message, as the codec encodes it.
      links: W of the phase; weights, self_weights: after losses, None where nothing can be lost.
      mask: which messages arrive, as the wire has them; None: all.
      along: what rides with the message and decides what it counts (at a server: share, group, who
        is hostile).
      ride: (purpose, rows) -> rows as late as this message; None: nothing is late.
    """

    value: Tree
    owned: Tree = None
    base: Tree = None
    own: Tree = None
    sent: Tree = None
    held: Tree = None
    rewrite: Tree = None
    size: Any = None
    links: Any = None
    weights: Any = None
    self_weights: Any = None
    mask: Any = None
    along: Any = ()
    ride: Callable[[str, Tree], Tree] | None = None


__all__ = ["Message"]
