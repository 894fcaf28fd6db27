"""Nodes that vanish for good in the middle of a run, and nodes that join it later.

Reference: Palmieri, Boldrini, Valerio, Passarella and Conti, Exploring the impact of disrupted
peer-to-peer communications on fully decentralized learning in disaster scenarios, 2023.
"""

from collections.abc import Sequence
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from ..core.checks import Wholes, choice, in_, natural, or_none, seed, whole
from ..core.kinds import Fault
from ..core.struct import static, struct
from ..core.types import Context, NodeMask, Values
from ..errors import FieldError, bad, keyword

SHARE = or_none(in_(0, 1, "[)", "a share of the nodes"))
IDS = or_none(Wholes(1, 0, "[0, 3]"), "or leave it out and give a share")


class Rounds:
    """Check one round, or one round for each node."""

    want = "a round >= 0, or one for each node, e.g. [0, 0, 10]"

    def __call__(self, field: str, value: Any, leaf: bool = False) -> Any:
        """The round, or the tuple."""
        check = natural if np.ndim(value) == 0 else Wholes(1, 0, "[0, 0, 10]")
        try:
            return check(field, value, leaf)
        except FieldError as error:
            raise bad(field, value, says=error.says, instead="give " + self.want) from None


def _some(owner: Any, n: int) -> np.ndarray:
    """Bool [n]: the nodes named, or the share drawn."""
    mask = np.zeros(n, bool)
    if owner.nodes is None:
        mask[np.random.default_rng(owner.seed).permutation(n)[: round(owner.share * n)]] = True
        return mask
    if max(owner.nodes, default=0) >= n:
        raise bad("nodes", owner.nodes, owner=owner, why=f"but there are n = {n} nodes", instead="give ids below n")
    mask[list(owner.nodes)] = True
    if mask.all():
        raise bad("nodes", owner.nodes, owner=owner, why="which are all nodes", instead="leave one at least")
    return mask


def _one_of(owner: Any) -> None:
    if (owner.nodes is None) == (owner.share is None):
        instead = "give one of " + keyword("nodes", (0, 3)) + " and " + keyword("share", 0.3)
        raise bad(
            "nodes", owner.nodes, owner=owner, says=f"is {owner.nodes} beside share {owner.share}", instead=instead
        )


@struct
class Vanish(Fault):
    """Nodes that vanish at round `at`, for good or until round `back`.

    A node that is gone computes, sends and changes nothing, and metrics leave it out: they are of the
    nodes that are there. Links to it are down in both directions and their weight goes back, so that
    symmetric W keeps the mean of each part into which the graph falls. Its data are lost with it.

    Args:
      at: the first round without them, counted from 0.
      nodes: their ids; or
      share: in [0, 1), of all nodes, drawn at random: round(share n) of them.
      back: the round at which they are there again, with the models they left with; None: never.
      seed: of the draw. All of these are static.
    Raises:
      ValueError: neither or both of nodes and share; all nodes; `back` not after `at`.
    Identity: in rounds before `at` nothing is different; nobody vanishing is no fault.
    Reference: Palmieri et al., Exploring the impact of disrupted peer-to-peer communications on fully
      decentralized learning in disaster scenarios, 2023.
    Example:
      >>> Vanish(at=5, nodes=(1,)).absent(5, 3).tolist()
      [False, True, False]
    """

    at: int = static(check=natural)
    nodes: Sequence[int] | None = static(default=None, check=IDS)
    share: float | None = static(default=None, check=SHARE)
    back: int | None = static(default=None, check=or_none(whole))
    seed: int = static(default=0, check=seed)

    sleeps = True

    def __post_init__(self) -> None:
        _one_of(self)
        if self.back is not None and self.back <= self.at:
            raise bad("back", self.back, owner=self, why=f"but they vanish at {self.at}", instead="give a later round")

    def absent(self, index: int | Values, n: int) -> Any:
        """Who is not there in this round, by node id."""
        gone = index >= self.at
        return _some(self, n) & (gone if self.back is None else gone & (index < self.back))

    def awake(self, ctx: Context) -> NodeMask | None:
        """Who takes part in this round; None where nobody vanishes."""
        if not _some(self, len(ctx.ids)).any():
            return None
        return ~jnp.asarray(self.absent(ctx.index, len(ctx.ids)))[ctx.ids]


@struct
class Joins(Fault):
    """Nodes that join at round `at`, from their own starts or from what their neighbors hold.

    Before that they compute, send and change nothing, and metrics leave them out. In its first round
    a node that joins begins from its own start, or from the mean of its neighbors' models:

        x_i <- sum_j W_ij x_j / sum_j W_ij     over neighbors j that were there before and are awake

    The rest of its state is what the method's `init` makes of that model. Where no neighbor was there
    before, or no model arrives, it begins from its own start.

    Args:
      at: the first round with them, counted from 0; or one round for each node, 0 for those that are
        there from the start.
      nodes: ids of those that join later; or
      share: in [0, 1), of all nodes, drawn at random. Neither where `at` is one round for each node.
      start: "own" (default), or "neighbors": each neighbor sends its whole model once, which no codec
        shortens; who sends is counted, and links, adversaries and the clock act on it.
      seed: of the draw. All of these are static.
    Raises:
      ValueError: neither or both of nodes and share; nobody is there from the start; another number
        of rounds than nodes; another start.
    Identity: at = 0, or nobody who joins, is no fault, bit for bit; where all neighbors hold one
      model, a node that joins with start="neighbors" holds it, too.
    Example:
      >>> Joins(at=(0, 4, 9)).absent(4, 3).tolist()
      [False, False, True]
    """

    at: int | Sequence[int] = static(check=Rounds())
    nodes: Sequence[int] | None = static(default=None, check=IDS)
    share: float | None = static(default=None, check=SHARE)
    start: Literal["own", "neighbors"] = static(default="own", check=choice("own", "neighbors"))
    seed: int = static(default=0, check=seed)

    sleeps = True

    def __post_init__(self) -> None:
        if isinstance(self.at, int):
            _one_of(self)
        elif self.nodes is not None or self.share is not None:
            why = "beside one round for each node"
            raise bad("at", self.at, owner=self, why=why, instead="leave nodes and share out, or give one round")
        elif min(self.at) > 0:
            raise bad("at", self.at, owner=self, why="so that nobody is there in round 0", instead="let one be 0")

    def absent(self, index: int | Values, n: int) -> Any:
        """Who is not there in this round, by node id."""
        if isinstance(self.at, int):
            return _some(self, n) & (index < self.at)
        if len(self.at) != n:
            says, why = f"holds {len(self.at)} rounds", f"but there are n = {n} nodes"
            raise bad("at", self.at, owner=self, says=says, why=why, instead="give one per node")
        return np.asarray(self.at) > index

    def newcomers(self, n: int) -> np.ndarray | None:
        """Who joins later and begins from its neighbors' models, by node id; None: nobody."""
        later = self._later(n)
        return later if later.any() and self.start == "neighbors" else None

    def _later(self, n: int) -> np.ndarray:
        """Bool [n]: who is not there from the start."""
        return np.asarray(self.absent(0, n))

    def awake(self, ctx: Context) -> NodeMask | None:
        """Who takes part in this round; None where nobody joins later."""
        if not self._later(len(ctx.ids)).any():
            return None
        return ~jnp.asarray(self.absent(ctx.index, len(ctx.ids)))[ctx.ids]


__all__ = ["Joins", "Vanish"]
