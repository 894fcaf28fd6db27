"""MoDeST, later Plexus: federated averaging whose samples and aggregators need no server.

    S = s nodes in an order that the round alone decides;   y_i <- x;  K times: y_i <- y_i - lr g_i(y_i)
    x <- mean of y_i over the first floor(success s) nodes of S that finish

All nodes hash ids and the round's number to the same order, so that nobody coordinates; the first node of the next order averages.
Simulated: the order, drawn from the run's key; that nodes asleep do not answer and are passed over; messages. Not simulated: views of
the membership that differ, aggregators that vanish, timeouts. Who finishes first is said by the clock, which waits for no others; without
one it is drawn uniformly. All s nodes are counted as if they uploaded.
Wire: 1 model up and 1 down per sampled node and round, and a view of n entries with each. State: one model.
Reference: de Vos, Dhasade, Kermarrec, Lavoie, Pouwelse and Sharma, MoDeST, 2023; Plexus, 2025. Defaults after their code; the size of an
entry of a view is not.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import in_, natural, rate
from ...core.kinds import Slot
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...optimizers import check_step, local_step
from .._parts import CLIENTS, at_server, check_cohort, cohort_of


class PlexusState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the model that aggregators pass on, no node axis


@struct
class Plexus:
    """MoDeST / Plexus: federated averaging whose samples and aggregators need no server.

    Nodes count alike.

    Args:
      lr: step size of plain SGD at the nodes, >= 0; scalar, [n] or a schedule.
      clients: s, nodes sampled per round, 1 <= s <= n; None takes all; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      success: share of the sampled nodes that the aggregator waits for, in (0, 1]; at least one node.
      optimizer: an optax optimizer for the nodes instead of lr; starts anew in every round.
      entry_bytes: bytes of one node's entry in a view, >= 0; static.
    Update: fedavg of nodes that count alike, over the first success s that finish
    Choose it for: no server: samples and aggregators from hashes
    Raises:
      ValueError: clients or local_steps < 1; success outside (0, 1]; neither or both of lr and optimizer.
    Identity: success = 1 is FedAvg with nodes that count alike; s = n, too, with all nodes. Each awake node is sampled equally often.
    Reference: de Vos et al., MoDeST: bridging the gap between federated and decentralized learning with decentralized sampling, 2023.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    clients: int | None = static(default=10, check=CLIENTS)
    local_steps: LocalSteps = static(default=5, check=local_steps)
    success: FloatLike = number(default=1.0, check=in_(0, 1, "(]", "a share of the sampled nodes"))
    optimizer: Any = option(default=None, check=Slot("optimizer"))
    entry_bytes: int = static(default=32, check=natural)

    @property
    def traits(self) -> Traits:
        """One model, which an aggregator averages; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients)

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> PlexusState:
        """Start from the mean of the starts."""
        del key
        check_cohort(self, params)
        return PlexusState(at_server(params))

    def step(self, state: PlexusState, round: Round) -> PlexusState:
        """Sample, train, average those who finish first."""
        cohort, descend = cohort_of(self, round), local_step(self)
        x = tree.tile(state.params, cohort.n)
        y, _ = cohort.local_steps(x, descend.init(x, cohort), descend, self.local_steps)
        view = jnp.ones((cohort.n,), jnp.int32) if cohort.awake is None else cohort.awake.astype(jnp.int32)
        for way in ("up/", "down/") if self.entry_bytes else ():
            cohort.meter(way + "view", view, 8 * self.entry_bytes * round.n)
        wanted = jnp.maximum(1, jnp.floor(jnp.asarray(self.success, float) * cohort.n + 1e-5))
        change = cohort.average(tree.sub(y, x), cohort.fastest(wanted, name="finish").astype(float))
        return PlexusState(tree.add(state.params, change))


__all__ = ["Plexus", "PlexusState"]
