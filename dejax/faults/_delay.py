"""Delay: messages that arrive some phases after they were sent.

Reference: Tsianos and Rabbat, Distributed consensus and optimization under communication delays,
2011 (a fixed delay per directed edge; push-sum stays exact).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ..core.checks import natural
from ..core.kinds import Fault
from ..core.random import draw_index, fold_name
from ..core.struct import static, struct
from ..core.types import Tree
from ..errors import bad
from .pairs import uniform_of_pairs

MOST = 1000  # phases: each sender keeps as many messages


@dataclasses.dataclass(frozen=True)
class _Phases:
    """A whole number >= 0, or (least, most) of a draw; equal ones become one."""

    want: str = f"a whole number from 0 to {MOST}, e.g. 2, or (least, most), e.g. (0, 3)"

    def __call__(self, field: str, value: Tree, leaf: bool = False) -> Any:
        """The number, or the pair."""
        try:
            low, high = (natural(field, p) for p in (value if isinstance(value, (tuple, list)) else (value, value)))
        except (TypeError, ValueError):
            raise bad(field, value, instead="give " + self.want) from None
        if low > high:
            raise bad(field, value, instead="give " + self.want)
        if high > MOST:
            raise bad(
                field, value, why="but a sender keeps its messages of as many phases", instead="give " + self.want
            )
        return low if low == high else (low, high)


@struct
class Delay(Fault):
    """Messages that arrive tau phases after they were sent.

    A receiver combines its present value with those of then.

    `phases=2` delays all messages alike. `phases=(0, 3)` draws tau uniformly from 0..3 for every
    directed edge (at a server for every uplink), once per run: links differ in length, and messages
    never overtake each other. A phase is a call of the exchange: a round, or one iteration of
    `round.repeat`. What was sent is metered at once; what a link loses when it is sent never
    arrives.

    Before a sender's first message arrives its weight goes back to the receiver, so that rows of W
    keep their sums; where columns of W sum to one (push-sum), the weight is under way with the
    message, and nothing is given back. A server forms the mean of the uploads that are there, and
    of none zeros.

    Args:
      phases: whole number from 0 to 1000, or the (least, most) of a draw; static. 0 changes nothing.
    Raises:
      ValueError: phases negative or above 1000, or least above most. TypeError: no whole
        numbers.
    Memory: tau messages per sender (most + 1 where tau is drawn), per edge where messages differ
      per edge.
    Identity: equal values stay equal. Where nothing is lost, the sum of all values and of what is
      under way (of each message W_ij x_j) is kept, for doubly and column stochastic W; with doubly
      stochastic W from phase `most` on.
    Reference: Tsianos and Rabbat, Distributed consensus and optimization under communication
      delays, 2011.
    Example:
      >>> Delay(phases=(0, 3)).span
      (0, 3)
    """

    phases: int | tuple[int, int] = static(check=_Phases())

    @property
    def span(self) -> tuple[int, int]:
        """(least, most) phases."""
        return self.phases if isinstance(self.phases, tuple) else (self.phases, self.phases)

    def ages(
        self, key: jax.Array, receivers: Int[Array, "..."], senders: Int[Array, "..."], n: int
    ) -> Int[Array, "..."]:
        """tau of each directed edge, by the ids of its ends (below n); `key` is the run's."""
        low, high = self.span
        drawn = uniform_of_pairs(fold_name(key, "delay"), receivers, senders, n)
        return low + draw_index(drawn, jnp.int32(high - low + 1))


__all__ = ["Delay"]
