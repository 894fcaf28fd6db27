"""HeteroFL: nodes of unequal size train the first units of each layer.

    M_i: the first ceil(r_i w) units of every hidden layer of width w;   y_i <- M_i x
    K times: y_i <- y_i - lr M_i g_i(y_i);   x <- x + per entry, the mean of (y_i - x) over the nodes that hold it

Entries that no sampled node holds stay. Wire: the entries of M_i, up and down. State: one model.
Reference: Diao, Ding and Tarokh, HeteroFL: computation and communication efficient federated learning
for heterogeneous clients, 2021. Without its scaling of activations and masking of absent labels.
"""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...core import tree
from ...core.checks import in_, rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import CLIENTS, at_server, check_cohort, cohort_of


class HeteroflState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis


@struct
class Heterofl:
    """Federated averaging of nested sub-models, for nodes of unequal capacity.

    The model is a chain of layers, each with leaves `kernel` [..., inputs, outputs] and `bias` [outputs],
    in the order of their paths: any MLP, or a CNN that ends in dense layers.

    Args:
      lr: step size at the nodes, >= 0; scalar, [n] or a schedule.
      width: r_i, share of the hidden units that a node trains, 0 < r <= 1; scalar or [n].
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
    Update: sub-models of the first units; per entry the mean over owners
    Choose it for: nodes of unequal size
    Raises:
      ValueError: width outside (0, 1]; clients or local_steps < 1.
    Identity: width = 1 is FedAvg with nodes that count alike; the sub-model's answers are those of the
      full model whose other units are zero.
    Reference: Diao et al., ICLR 2021.
    """

    lr: NodeFloatLike = number(check=rate)
    width: NodeFloatLike = number(default=1.0, check=in_(0, 1, "(]"))
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=1, check=local_steps)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients, masks=True)

    def init(self, params: NodeTree, key: PRNGKey) -> HeteroflState:
        """The server's model."""
        del key
        check_cohort(self, params)
        return HeteroflState(at_server(params))

    def step(self, state: HeteroflState, round: Round) -> HeteroflState:
        """Sample, train sub-models, average entry by entry."""
        cohort = cohort_of(self, round)
        x, lr = tree.tile(state.params, cohort.n), cohort.rate(self.lr)
        share = jnp.broadcast_to(cohort.rate(self.width), (cohort.n,))
        mask = jax.vmap(lambda r: first_units(state.params, r))(share)

        def one(r: Round, y: Tree) -> Any:
            slope = tree.map(jnp.multiply, r.gradient(y), mask)
            return r.keep(tree.sub(y, tree.scale(lr, slope)), y)

        held = tree.map(jnp.multiply, x, mask)
        y = cohort.repeat(self.local_steps, one, held)
        return HeteroflState(tree.add(state.params, cohort.average(tree.sub(y, held), mask=mask)))


def first_units(params: Tree, share: jax.Array) -> Any:
    """Mark the entries of the first ceil(share w) units of hidden layers of width w."""
    found = jax.tree_util.tree_leaves_with_path(params)
    name = lambda path: jax.tree_util.keystr(path, simple=True, separator="/")
    # by the numbers in their paths: layer 10 comes after layer 9
    natural = lambda path: [(t.isdigit(), int(t) if t.isdigit() else 0, t) for t in re.split(r"(\d+)", name(path))]
    kernels = sorted((path for path, x in found if x.ndim >= 2), key=natural)
    shapes = {name(path): x.shape for path, x in found}
    units: dict[str, tuple[Any, Any]] = {}  # layer -> which inputs, which outputs
    before, last = None, len(kernels) - 1
    for at, path in enumerate(kernels):
        *_, inputs, outputs = shapes[name(path)]
        wanted = jnp.ceil(share * outputs - 1e-6)
        out = jnp.ones(outputs, bool) if at == last else jnp.arange(outputs) < wanted
        into = jnp.ones(inputs, bool) if before is None else before[np.arange(inputs) % before.shape[0]]
        units[name(path).rpartition("/")[0]] = (into, out)
        before = out

    def mask(path: Any, x: jax.Array) -> jax.Array:
        layer = units.get(name(path).rpartition("/")[0])
        if layer is None:
            return jnp.ones(x.shape, bool)
        into, out = layer
        return jnp.broadcast_to(into[:, None] & out[None] if x.ndim >= 2 else out, x.shape)

    return jax.tree_util.tree_map_with_path(mask, params)


__all__ = ["Heterofl", "HeteroflState", "first_units"]
