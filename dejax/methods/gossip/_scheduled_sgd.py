"""Local SGD that talks by a schedule: in which rounds, and how many averages in each.

    K times: y <- y - lr g_i(y);   p(t) times: y_i <- sum_j W_ij y_j;   x_i <- y_i

p(t) is 0 in silent rounds. Windows say what p(t) is: [first, last, every, phases] means `phases` averages in the rounds first,
first + every, ... before last; the last window that names a round decides. W of each average is that of a phase of its own: one
round of `phases` = tau averages on a graph that averages exactly in tau phases (`one_peer_hypercube`, `one_peer_exponential` for n
a power of two) merges all models into their mean. So

    [[0, None, 10]]                            talk every tenth round
    [[299, 300, 1, tau]]                       one global merge, in the last of 300 rounds, of models trained alone
    [[0, None, 1], [299, 300, 1, tau]]         sparse gossip throughout, one global merge at the end
    [[0, None, 1], [9, None, 10, tau]]         gossip, and a global average every tenth round

In place of a number "server" is one average of all nodes through a server, exact on any graph; where network.server is "all_reduce",
by all-reduce. [[0, None, 1], [299, 300, 1, "server"]] merges at the end of sparse gossip as the paper does, and
[[0, None, 1], [9, None, 10, "server"]] is Gossip-PGA.

W: row sums 1 keep a consensus; column sums 1 too keep the mean of the local results.
Wire: p(t) models per directed edge of the phase's graph, or 1 up and 1 down per node at the server.
Reference: Zhu, Zhang, Wang, Zhou and Wang, On the surprising effectiveness of a single global merging in decentralized learning, 2026.
Their sparse gossip draws row-stochastic graphs of about 0.2 peers a node.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core.checks import natural, or_none, rate, whole
from ...core.kinds import Slot
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...errors import NULL, bad
from ...optimizers import check_step, local_step

SERVER = "server"  # in place of a number of phases


class Window(NamedTuple):
    """The rounds first, first + every, ... below last (or without end), and their averages."""

    first: int
    last: int | None = None
    every: int = 1
    phases: int | str = 1

    def holds(self, t: jax.Array) -> jax.Array:
        """Whether round t is one of them."""
        from_first = (t >= self.first) & ((t - self.first) % self.every == 0)
        return from_first if self.last is None else from_first & (t < self.last)


@dataclass(frozen=True)
class Windows:
    """A list of windows, each a list of two to four whole numbers; as a tuple of `Window`."""

    want = (
        "a list of windows [first, last, every, phases], e.g. [[0, 300, 10], [299, 300, 1, 4]]; last may be "
        + NULL
        + ", and phases 'server'"
    )

    def __call__(self, field: str, value: Any, leaf: bool = False) -> Any:
        """The windows."""
        del leaf
        if not self._listed(value) or not all(self._listed(w) and 2 <= len(tuple(w)) <= 4 for w in value):
            raise bad(field, value, instead="give " + self.want)
        return tuple(self._window(f"{field}[{i}]", Window(*w)) for i, w in enumerate(value))

    def _listed(self, value: Any) -> bool:
        return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))

    def _window(self, field: str, w: Window) -> Window:
        first = natural(field + ".first", w.first)
        last = or_none(whole, "or " + NULL)(field + ".last", w.last)
        if last is not None and last <= first:
            raise bad(field + ".last", last, why=f"but first is {first}", instead=f"give more than {first}, or " + NULL)
        if isinstance(w.phases, str) and w.phases != SERVER:
            raise bad(field + ".phases", w.phases, instead="give a whole number >= 0, or 'server'")
        phases = w.phases if w.phases == SERVER else natural(field + ".phases", w.phases)
        return Window(first, last, whole(field + ".every", w.every), phases)


class ScheduledState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    opt: Any  # optimizer state per node; () for plain SGD


@struct
class ScheduledSgd:
    """Local SGD that talks by a schedule: every so often, in windows, or once at the end.

    Args:
      lr: step size of plain SGD, >= 0; scalar, [n] or a schedule.
      talk: windows [first, last, every, phases]: in the rounds first, first + every, ... before last (None: without end) make
        `phases` averages, or one of all nodes at a server where phases is "server"; every and phases are 1 where left out, and the
        last window that names a round decides; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      optimizer: an optax optimizer for every node instead of lr; its state persists from round to round.
    Update: K steps; p(t) times y <- W y, p(t) by windows of rounds
    Choose it for: when and how often to talk; one merge at the end on a graph that is exact in a few phases
    Raises:
      ValueError: a window that ends before it begins; every or K < 1; neither or both of lr and optimizer.
    Identity: talking in every round is local SGD; no windows are independent runs. By phases that average exactly all models
      become their mean, whose loss is at most the mean loss where losses are convex.
    Reference: Zhu, Zhang, Wang, Zhou and Wang, On the surprising effectiveness of a single global merging, 2026.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    talk: Sequence[Sequence[int | str | None]] = static(default=((0, None, 1, 1),), check=Windows())
    local_steps: LocalSteps = static(default=1, check=local_steps)
    optimizer: Any = option(default=None, check=Slot("optimizer"))

    @property
    def traits(self) -> Traits:
        """Gossip, and a server where a window says so."""
        windows: Any = self.talk
        server = "all" if any(window.phases == SERVER for window in windows) else None
        return Traits(weights=("doubly", "row"), server=server)

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> ScheduledState:
        """Start from the given models."""
        del key
        return ScheduledState(params, local_step(self).init(params))

    def step(self, state: ScheduledState, round: Round) -> ScheduledState:
        """K steps, then as many averages as the schedule says."""
        y, opt = round.local_steps(state.params, state.opt, local_step(self), self.local_steps)
        windows: Any = self.talk  # as `Windows` makes them
        now = jnp.int32(0)
        for window in windows:
            phases = -1 if window.phases == SERVER else window.phases
            now = jnp.where(window.holds(round.index), jnp.int32(phases), now)

        def gossip(r: Round, y: Tree) -> Any:
            return r.gossip(y)

        for phases in sorted({window.phases for window in windows} - {0, SERVER}):
            average = lambda r, y, phases=phases: r.repeat(phases, gossip, y)
            y = round.when(now == phases, average, y, name=f"talk{phases}")
        if self.traits.served:
            y = round.when(now == -1, lambda r, y: r.merge(y), y, name=SERVER)
        return ScheduledState(y, opt)


__all__ = ["ScheduledSgd", "ScheduledState", "Window"]
