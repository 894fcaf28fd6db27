"""DIMAT: average neighbors' models with hidden units matched by activations.

    K steps y <- y - lr g(y);   for each neighbor j and group of hidden units, on one batch:
        C <- correlations [w, w] of the own activations with those of y_j;   P_j <- argmax_P sum_a C[a, P(a)]
    x_i <- sum_j W_ij (P_j y_j)

P is a linear assignment, solved exactly on the device. Correlations are covariances over the product
of standard deviations, at least 1e-7, so that units that are dead correlate with none and keep their
order. A function does not depend on the order of its hidden units, so that what j computes is what
P_j y_j computes.

The batch: the released code has one loader of all nodes, `samples="public"` here; by default each
node takes a batch of its own. It merges a complete graph once, in one node's order, and hands the
result to all, where here every node merges in its own order. Statistics of batch normalization stay
at home, where they are those of the own units; the code measures them anew before and after merging.
Wire: 1 model per directed edge and round.
Reference: Saadati et al., DIMAT: decentralized iterative merging-and-training for deep learning
models, 2024. Written from a reading of the released code; the paper trains each model alone for
about 100 epochs first, then 2 epochs between merges.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core.assignment import assignment
from ...core.checks import choice, rate
from ...core.kinds import Slot
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Tree, Values
from ...optimizers import check_step, local_step
from .units import WHY, UnitsCheck, merged, product, reordered, units_of

LEAST = 1e-7  # of the product of two standard deviations


class DimatState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    opt: Any  # optimizer state per node, never mixed


@struct
class Dimat:
    """Local steps, then an average of models whose hidden units were matched by activations.

    The task says what its hidden units answer: `hidden(params, batch)`, a list of [..., w], one for
    each group in order, as tasks of `dejax.tasks.mlp` do.

    Args:
      lr: step size of plain SGD, >= 0; scalar, [n] or a schedule.
      local_steps: K >= 1, between two merges, one number, one per node or `Epochs`; static.
      samples: "own" (default), a batch of each node's own, or "public", the public rows; static.
      units, optimizer: as for `weight_matching`.
    Update: K steps; W y after each neighbor's hidden units are put in the own order, by correlations of
      activations
    Choose it for: models of different starts, or rare contact
    Raises:
      ValueError: units that the model has not; no chain of dense layers, and no units.
      TypeError: there are hidden units, and the task has no `hidden`.
    Identity: a neighbor whose units are the own in another order merges into the own model; no hidden
      units: local_sgd.
    Reference: Saadati et al., CVPR 2024.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    samples: str = static(default="own", check=choice("own", "public"))
    units: Any = static(default=None, check=UnitsCheck())
    optimizer: Any = option(default=None, check=Slot("optimizer"))

    @property
    def traits(self) -> Traits:
        """Models are matched by what hidden units answer, on a node's own samples or on public ones."""
        own = self.samples != "public"
        return Traits(weights=("doubly", "row"), needs_sums=WHY, needs_exact=WHY, raw_losses=own)

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> DimatState:
        """Start from the given models."""
        del key
        units_of(self, params)
        return DimatState(params, local_step(self).init(params))

    def step(self, state: DimatState, round: Round) -> DimatState:
        """Train, match, average."""
        y, opt = round.local_steps(state.params, state.opt, local_step(self), self.local_steps)
        groups = units_of(self, y)
        got = round.exchange(y)
        if not groups:
            return DimatState(merged(got, lambda value, s: value), opt)
        hidden = round.of_task("hidden")
        batch = round.batch("match", of="public" if self.samples == "public" else "train", params=y)
        own = round.forward(lambda model, data, key: _standard(hidden(model, data)), y, batch=batch, name="own")
        links = lambda model, data, key, own: [
            product(a.T, b.T) for a, b in zip(own, _standard(hidden(model, data)), strict=True)
        ]
        orders = round.map(
            jax.vmap(lambda gains: [assignment(gain) for gain in gains]), got.forward(links, own, batch=batch)
        )

        def bring(value: Tree, s: int | Values) -> Any:
            return round.map(
                lambda model, order: _reorder(model, groups, order), value, [order[:, s] for order in orders]
            )

        return DimatState(round.keep(merged(got, bring), state.params), opt)


def _standard(hidden: Tree) -> list[jax.Array]:
    """Activations [samples, w] of each group, without their mean, over std sqrt(samples).

    All but the last axis count as samples. Products of two such columns are correlations.
    """

    def one(x: jax.Array) -> jax.Array:
        x = x.reshape(-1, x.shape[-1]).astype(jnp.promote_types(x.dtype, jnp.float32))
        x = x - x.mean(0, keepdims=True)
        size = jnp.sqrt(jnp.square(x).sum(0, keepdims=True))
        return x / jnp.maximum(size, (LEAST * x.shape[0]) ** 0.5)

    return [one(x) for x in hidden]


def _reorder(model: Tree, groups: Any, orders: Any) -> Any:
    """One model in another order of all its groups."""
    for group, order in zip(groups, orders, strict=True):
        model = reordered(model, group, order)
    return model


__all__ = ["Dimat", "DimatState"]
