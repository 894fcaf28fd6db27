"""DFedSAM: local steps that look uphill first (SAM), then one average, or several (MGS).

    y <- x_i;  K times, on one batch each:  g = g_i(y);  y <- y - lr g_i(y + rho g / (|g| + 1e-12))
    Q times:   y_i <- sum_j W_ij y_j;       x_i <- y_i

|g| is over all leaves of a node's model. W: row sums 1 keep a consensus; column sums 1 too keep the mean of the local results.
Wire: Q models per directed edge and round. Two gradients per step.
Reference: Shi, Shen, Wei, Sun, Yuan, Wang and Tao, Improving the model consistency of decentralized federated learning, 2023. The
local step was read in a repository of others; rho, K and Q are from memory of the paper, unconfirmed.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import at_least, rate, whole
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree


class DFedSamState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node


@struct
class DFedSam:
    """DFedSAM: local sharpness-aware steps, then one average; several make it DFedSAM-MGS.

    Args:
      lr: >= 0; scalar, [n] or a schedule. The paper: 0.1, times 0.998 every round (unconfirmed).
      rho: how far uphill, >= 0, in units of the model's norm; default 0.01 (unconfirmed).
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      gossips: Q >= 1, static: averages per round; 1 (default) is DFedSAM, the paper's MGS has 4 (unconfirmed). Each is a phase of
        its own, so that graphs that change do so in between.
    Update: K steps y <- y - lr g(y + rho g / norm(g)); Q times y <- W y
    Choose it for: flat minima on unequal data; Q > 1 (MGS) on sparse graphs
    Raises:
      ValueError: a number out of range; K or Q < 1.
    Identity: rho = 0 is local SGD; rho = 0, K = Q = 1 is D-PSGD (atc); Q averages under W are one under W^Q; on a linear loss SAM
      is SGD.
    Reference: Shi et al., Improving the model consistency of decentralized federated learning, 2023.
    """

    lr: NodeFloatLike = number(check=rate)
    rho: FloatLike = number(default=0.01, check=at_least(0))
    local_steps: LocalSteps = static(default=5, check=local_steps)
    gossips: int = static(default=1, check=whole)

    traits = Traits(weights=("doubly", "row"))

    def init(self, params: NodeTree, key: PRNGKey) -> DFedSamState:
        """Start from the given models."""
        del key
        return DFedSamState(params)

    def step(self, state: DFedSamState, round: Round) -> DFedSamState:
        """K sharpness-aware steps, then Q times gossip."""

        def one(r: Round, y: Tree) -> Any:
            batch = r.batch(params=y)
            up = r.gradient(y, batch, name="uphill")
            norm = jnp.sqrt(tree.sq_norm(up)) + 1e-12
            above = tree.axpy(jnp.asarray(self.rho).astype(norm.dtype) / norm, up, y)
            return tree.sub(y, tree.scale(r.rate(self.lr), r.gradient(above, batch)))

        y = round.repeat(self.local_steps, one, state.params)
        return DFedSamState(round.repeat(self.gossips, lambda r, z: r.gossip(z), y, name="gossips"))


__all__ = ["DFedSam", "DFedSamState"]
