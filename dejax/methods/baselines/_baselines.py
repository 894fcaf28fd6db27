"""The two yardsticks: no communication, and one model on all data.

    local_only    x_i <- x_i - lr g_i(x_i)
    centralized   x   <- x   - lr sum_i (m_i / m) g_i(x)

What a network can gain lies between them. Wire: nothing is sent, or counted.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate
from ...core.kinds import Slot
from ...core.method import Traits
from ...core.struct import number, option, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...optimizers import check_step, local_step


class LocalOnlyState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    opt: Any  # optimizer state per node


@struct
class LocalOnly:
    """No communication: every node trains on its own data alone (a yardstick).

    Args:
      lr: step size of plain SGD, >= 0; scalar, [n] or a schedule.
      optimizer: an optax optimizer for every node instead of lr.
    Update: x_i <- x_i - lr g_i
    Choose it for: yardstick: no communication
    Identity: n independent runs of SGD; D-PSGD with W = I.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    optimizer: Any = option(default=None, check=Slot("optimizer"))

    traits = Traits(channel="none")

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> LocalOnlyState:
        """Start from the given models."""
        del key
        return LocalOnlyState(params, local_step(self).init(params))

    def step(self, state: LocalOnlyState, round: Round) -> LocalOnlyState:
        """One local step."""
        return LocalOnlyState(*local_step(self)(round, round.gradient(state.params), state.opt, state.params))


class CentralizedState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, one model, no node axis
    opt: Any  # its optimizer state, with an axis of one


@struct
class Centralized:
    """One model on all data: SGD on the pooled samples of all nodes (a yardstick).

    Each node contributes the gradient of its own batch, weighted by its number of samples.

    Args:
      lr: step size of plain SGD, >= 0; scalar or a schedule.
      optimizer: an optax optimizer instead of lr.
    Update: x <- x - lr sum_i (m_i / m) g_i(x)
    Choose it for: yardstick: all data in one place
    Identity: full batches: gradient descent on the union of the data.
    """

    lr: FloatLike = number(default=None, check=rate)
    optimizer: Any = option(default=None, check=Slot("optimizer"))

    traits = Traits(channel="none", pooled=True)

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> CentralizedState:
        """The mean of the nodes' starts, of which the driver hands over n copies."""
        del key
        x = tree.map(lambda p: p[:1], params)
        return CentralizedState(tree.map(lambda p: p[0], x), local_step(self).init(x))

    def step(self, state: CentralizedState, round: Round) -> CentralizedState:
        """One step on the weighted mean gradient."""
        grads = round.gradient(tree.tile(state.params, round.n))
        mean = tree.map(lambda g: _weighted_mean(round.counts, g), grads)
        x, g = tree.tile(state.params, 1), tree.tile(mean, 1)
        rule = local_step(self)
        if rule.optimizer is None:
            x = tree.sub(x, tree.scale(round.rate(rule.lr), g))
            return CentralizedState(tree.map(lambda p: p[0], x), state.opt)
        optimizer = rule.optimizer.make(round)
        held = rule.init(x) if rule.optimizer.restart else state.opt
        updates, opt = optimizer.update(tree.map(lambda p: p[0], g), tree.map(lambda p: p[0], held), state.params)
        x = tree.map(lambda p, u: p + u.astype(p.dtype), state.params, updates)
        return CentralizedState(x, tree.map(lambda p: p[None], opt))


def _weighted_mean(counts: Any, g: Tree) -> Any:
    """sum_i (m_i / m) g_i, accumulated in at least float32."""
    wide = jnp.promote_types(g.dtype, jnp.float32)
    share = counts.astype(wide)
    return jnp.tensordot(share / share.sum(), g.astype(wide), 1, precision="highest").astype(g.dtype)


__all__ = ["Centralized", "CentralizedState", "LocalOnly", "LocalOnlyState"]
