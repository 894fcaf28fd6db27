"""Weight matching: average neighbors' models with hidden units matched by weights.

    K steps y <- y - lr g(y);   for each neighbor j, over the groups of hidden units in turn:
        P <- argmax over permutations of <own weights of the group, P (those of j)>, the others as they are
    until nothing changes, at most `sweeps` times;   x_i <- sum_j W_ij (P_j y_j)

A group's weights are those that lead into its units, their biases and those that lead out of them.
Each step is a linear assignment, solved exactly on the device, so that the sum of products never
falls; with one group the best order is found, with several one that no single group betters.
Groups are gone through in their order; the paper draws it. No data are needed. A function does not
depend on the order of its hidden units, so that what j computes is what P_j y_j computes.
Wire: 1 model per directed edge and round.
Reference: Ainsworth, Hayase and Srinivasa, Git Re-Basin: merging models modulo permutation
symmetries, 2023; as the data-free sibling of Saadati et al., DIMAT, 2024. The matching agrees with
the authors' public code, samuela/git-re-basin, which makes up to 100 passes and ends where a pass changes nothing.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.assignment import assignment
from ...core.checks import rate, whole
from ...core.kinds import Slot
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...optimizers import check_step, local_step
from .units import WHY, Units, UnitsCheck, merged, product, reordered, rows, units_of


class WeightMatchingState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    opt: Any  # optimizer state per node, never mixed


@struct
class WeightMatching:
    """Local steps, then an average of models whose hidden units were matched by their weights.

    Args:
      lr: step size of plain SGD, >= 0; scalar, [n] or a schedule.
      local_steps: K >= 1, between two averages, one number, one per node or `Epochs`; static.
      sweeps: most passes over the groups of units, >= 1; static.
      units: groups of hidden units, each a list of (path of a leaf, axis within one model) that share
        an order; None (default): a chain of dense layers in the order of their names; static.
      optimizer: an optax optimizer for every node instead of lr.
    Update: that of dimat, by products of weights
    Choose it for: models of different starts, without data
    Raises:
      ValueError: units that the model has not; no chain of dense layers, and no units.
    Identity: a neighbor whose units are the own in another order merges into the own model; no hidden
      units: local_sgd.
    Reference: Ainsworth, Hayase and Srinivasa, ICLR 2023.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    sweeps: int = static(default=10, check=whole)
    units: Any = static(default=None, check=UnitsCheck())
    optimizer: Any = option(default=None, check=Slot("optimizer"))

    traits = Traits(weights=("doubly", "row"), needs_sums=WHY, needs_exact=WHY)

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> WeightMatchingState:
        """Start from the given models."""
        del key
        units_of(self, params)
        return WeightMatchingState(params, local_step(self).init(params))

    def step(self, state: WeightMatchingState, round: Round) -> WeightMatchingState:
        """Train, match, average."""
        y, opt = round.local_steps(state.params, state.opt, local_step(self), self.local_steps)
        groups = units_of(self, y)
        got = round.exchange(y)
        match = lambda own, theirs: matched(own, theirs, groups, self.sweeps)
        x = merged(got, lambda value, s: round.map(match, got.own, value) if groups else value)
        return WeightMatchingState(round.keep(x, state.params) if groups else x, opt)


def matched(own: Tree, theirs: Tree, groups: Units, sweeps: int) -> Any:
    """`theirs` with its units in the order that fits `own`; one model each."""

    def sweep(carry: Tree) -> Any:
        model, _, k = carry
        moved = jnp.zeros((), bool)
        for group in groups:
            pairs = zip(rows(own, group), rows(model, group), strict=True)
            gain = tree.add(*[product(a, b) for a, b in pairs])
            order = assignment(gain)
            better = gain[jnp.arange(order.shape[0]), order].sum() > jnp.trace(gain) + 1e-9 * jnp.abs(gain).max()
            order = jnp.where(better, order, jnp.arange(order.shape[0], dtype=order.dtype))
            model, moved = reordered(model, group, order), moved | better
        return model, moved, k + 1

    again = lambda carry: carry[1] & (carry[2] < sweeps)
    return jax.lax.while_loop(again, sweep, (theirs, jnp.ones((), bool), jnp.int32(0)))[0]


__all__ = ["WeightMatching", "WeightMatchingState", "matched"]
