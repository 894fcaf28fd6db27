"""Link loss: messages of a phase that never arrive.

All exchanges of a phase lose the same links. The weight of a lost link goes back to the receiver
where rows of W sum to one, to the sender where columns do, and to both where W is symmetric,
because then links fail in both directions at once.
Reference: Boyd et al., Randomized gossip algorithms, 2006 (gossip under random links).
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool

from ..core.checks import in_
from ..core.kinds import Fault
from ..core.random import fold_name, uniform
from ..core.struct import number, struct
from ..core.types import Context, FloatLike, Links, NodeMask, Values
from .pairs import uniform_of_pairs

PROBABILITY = in_(0, 1, what="a probability")


@struct
class LinkLoss(Fault):
    """Undirected links that are down for a whole phase with probability p, in both directions.

    Keeps symmetric W symmetric and doubly stochastic, so the mean is kept. At a server an upload is
    lost.

    Args:
      p: probability in [0, 1], a leaf: changing it does not recompile. Links fail independently,
        afresh each phase.
    Raises:
      ValueError: p outside [0, 1].
    Identity: i hears j exactly when j hears i.
    Reference: Boyd et al., Randomized gossip algorithms, 2006.
    Example:
      >>> LinkLoss(p=0.1).symmetric
      True
    """

    p: FloatLike = number(check=PROBABILITY)

    def arrives(self, ctx: Context, links: Links) -> Bool[Array, "n k"]:
        """Which ports deliver in this phase."""
        receivers, senders = links.ends()
        low, high = jnp.minimum(receivers, senders), jnp.maximum(receivers, senders)
        return uniform_of_pairs(fold_name(ctx.key, "link_loss"), low, high, links.n, _ticks(ctx, receivers)) >= self.p

    def uploads(self, ctx: Context) -> NodeMask:
        """Which uploads reach a server."""
        return _uploads(ctx, self.p)


@struct
class DirectedLinkLoss(Fault):
    """Directed messages that are lost with probability p, independently of each other.

    For row- or column-stochastic W. On a doubly stochastic W this would break the column sums, and
    is refused there unless the run says `repair='row'`.

    Args:
      p: probability in [0, 1], a leaf: changing it does not recompile. Directions fail
        independently, afresh each phase.
    Raises:
      ValueError: p outside [0, 1].
    Identity: column-stochastic W keeps its column sums, row-stochastic W its row sums.
    Reference: Hadjicostis, Vaidya and Dominguez-Garcia, Robust distributed average consensus via
      exchange of running sums, 2016 (push-sum on links that lose messages).
    Example:
      >>> DirectedLinkLoss(p=0.1).symmetric
      False
    """

    p: FloatLike = number(check=PROBABILITY)

    symmetric = False

    def arrives(self, ctx: Context, links: Links) -> Bool[Array, "n k"]:
        """Which ports deliver in this phase."""
        receivers, senders = links.ends()
        key, ticks = fold_name(ctx.key, "directed_link_loss"), _ticks(ctx, receivers)
        return uniform_of_pairs(key, receivers, senders, links.n, ticks) >= self.p

    def uploads(self, ctx: Context) -> NodeMask:
        """Which uploads reach a server."""
        return _uploads(ctx, self.p)


def _ticks(ctx: Context, receivers: Values) -> Any:
    """The numbers of the events in which nodes receive; None without a timetable."""
    return None if ctx.ticks is None else ctx.ticks[receivers]


def _uploads(ctx: Context, p: FloatLike) -> NodeMask:
    return uniform(fold_name(ctx.node_keys, "link_loss")) >= p
