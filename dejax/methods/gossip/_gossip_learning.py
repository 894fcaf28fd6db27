"""Gossip learning with ages: models merge by how many updates they absorbed, then train.

    x_i <- (a_i x_i + sum_j a_j x_j) / (a_i + sum_j a_j);   a_i <- max(a_i, a_j)     over the j whose models arrived
    K times: x_i <- x_i - lr g_i(x_i);                      a_i <- a_i + K

Where all ages are 0 a node keeps its model. W says who hears whom; its weights are not used. The protocol sends to one peer at a
time: `dejax.topology.random_matching` and the one-peer graphs bring one model per round, as published; where several arrive, they
merge at once here, one after the other there. A rate that falls with the age (Pegasos) is left out.
Wire: 1 model and 1 number per directed edge and round. The network's mean is not kept once ages differ.
Reference: Ormandi, Hegedus and Jelasity, Gossip learning with linear models on fully distributed data, 2013; Hegedus, Danner and
Jelasity, Decentralized learning works: an empirical comparison of gossip learning and federated learning, 2021.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate
from ...core.kinds import Slot
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import NodeFloatLike, NodeInt, NodeTree, PRNGKey, Round, Tree, Values
from ...optimizers import check_step, local_step

AGES = "models merge by ages that must have travelled with them unharmed; use local_sgd"


class GossipLearningState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    opt: Any  # optimizer state per node; () for plain SGD
    age: NodeInt  # a, updates that the model has absorbed


@struct
class GossipLearning:
    """Gossip learning with ages: merge models by how much each has learned, then train.

    Args:
      lr: step size of plain SGD, >= 0; scalar, [n] or a schedule.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      optimizer: an optax optimizer for every node instead of lr; its state persists from round to round.
    Update: x <- mean of own and heard models, weighted by ages; K steps; age + K
    Choose it for: nodes that come and go
    Raises:
      ValueError: K < 1; neither or both of lr and optimizer.
    Identity: equal ages are the plain mean; a model of age 0 adopts what it hears, and changes nothing where it arrives.
    Reference: Ormandi, Hegedus and Jelasity, 2013; Hegedus, Danner and Jelasity, 2021.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    optimizer: Any = option(default=None, check=Slot("optimizer"))

    traits = Traits(weights=("doubly", "row", "column"), needs_sums=AGES, needs_exact=AGES)

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> GossipLearningState:
        """Ages start at 0."""
        del key
        n = tree.leaves(params)[0].shape[0]
        return GossipLearningState(params, local_step(self).init(params), jnp.zeros((n,), jnp.int32))

    def step(self, state: GossipLearningState, round: Round) -> GossipLearningState:
        """Merge, then train."""
        x, age = state.params, state.age
        wide = jnp.promote_types(tree.leaves(x)[0].dtype, jnp.float32)

        def hear(carry: Tree, value: Any, weight: jax.Array, mask: jax.Array, s: int | Values) -> Any:
            del weight, s
            total, weights, oldest = carry
            theirs, heard = value[0], jnp.where(mask, value[1], 0)
            share = tree.where(heard > 0, tree.scale(heard.astype(wide), self.accumulate(theirs)), tree.zeros(total))
            return tree.add(total, share), weights + heard, jnp.maximum(oldest, heard)

        own = tree.scale(age.astype(wide), self.accumulate(x))
        total, weights, age = round.exchange((x, age)).fold(hear, (own, age, age))
        merged = tree.scale(1 / jnp.maximum(weights, 1).astype(wide), total)
        merged = tree.where(weights > 0, tree.map(lambda m, v: m.astype(v.dtype), merged, x), x)
        y, opt = round.local_steps(merged, state.opt, local_step(self), self.local_steps)
        most, steps = round.steps_of(self.local_steps)
        return GossipLearningState(y, opt, round.keep(age + (most if steps is None else steps), age))

    def accumulate(self, values: Tree) -> Any:
        """In at least float32, as ages may be thousands."""
        return tree.map(lambda v: v.astype(jnp.promote_types(v.dtype, jnp.float32)), values)


__all__ = ["GossipLearning", "GossipLearningState"]
