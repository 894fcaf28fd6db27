"""DProxSGT and CDProxSGT: tracked proximal steps for losses f + r, plain and compressed.

    u_i <- y_i + g_i(x_i) - g_i of the previous round;   y_i <- mix(u)_i       tracker
    v_i <- prox_{lr r}(x_i - lr y_i);                    x_i <- mix(v)_i       adapt, then combine

    DProxSGT    mix(u)_i = sum_j W_ij u_j
    CDProxSGT   h_i <- h_i + C(u_i - h_i),  mix(u)_i = u_i + gamma sum_j W_ij (h_j - h_i),  with copies h of its own for u and for v

Trackers, last gradients and copies start at zero. W: doubly stochastic. Wire: 2 models (u, then v) per directed edge and round, or
C of each. The two gradients of a tracker's change are of different batches. The step is along the mixed tracker y: the authors'
script of DProxSGT steps along u, their repository of the compressed form along y.
Sparsity: v is exactly sparse, x is a mean of sparse models and less so.
Reference: Yan, Chen, Chen, Cui, Lu and Xu, Compressed decentralized proximal stochastic gradient method for nonconvex composite
problems with heterogeneous data, 2023.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ...compression import copies
from ...core import tree
from ...core.checks import above, in_, rate
from ...core.kinds import Slot
from ...core.method import Traits
from ...core.struct import number, option, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...proximal import none

CLIP = above(0, "a norm > 0")


class ProxState(NamedTuple):
    """What the next round needs; the copies live with the codecs."""

    params: NodeTree  # x, one model per node
    tracker: NodeTree  # y, estimate of the network-mean gradient
    last_grad: NodeTree  # g_i of the previous round; zeros before round 0


def start(params: NodeTree) -> ProxState:
    """Trackers and last gradients at zero."""
    return ProxState(params, tree.zeros(params), tree.zeros(params))


def advance(method: Any, state: ProxState, round: Round, mix: Any) -> ProxState:
    """One round; mix(round, value, name) is the step of gossip."""
    x, lr = state.params, round.rate(method.lr)
    grad = clipped(method.clip, round.gradient(x))
    change = tree.add(state.tracker, tree.sub(grad, state.last_grad))
    tracker = mix(round, round.keep(change, state.tracker), "tracker")
    adapted = method.prox.prox(lr, tree.sub(x, tree.scale(lr, tracker)))
    return ProxState(mix(round, adapted, "params"), tracker, round.keep(grad, state.last_grad))


def clipped(most: Any, grads: Tree) -> Any:
    """Gradients whose norm, over all leaves of a node, is at most `most`; None: as they are."""
    if most is None:
        return grads
    norm = jnp.sqrt(tree.sq_norm(grads))
    return tree.scale(jnp.minimum(1, jnp.asarray(most).astype(norm.dtype) / jnp.maximum(norm, 1e-12)), grads)


@struct
class DProxSgt:
    """DProxSGT: proximal gradient tracking, exact on unequal data for losses f + r.

    Args:
      lr: >= 0; scalar, [n] or a schedule. The authors' runs: 0.01 (LeNet), 0.02 (ResNet).
      prox: r, by its proximal operator (`dejax.proximal`); default: none.
      clip: largest norm of a node's gradient, > 0; None (default) clips nothing, the authors' runs use 10.
    Update: y <- W (y + g - g_last); x <- W prox(x - lr y)
    Choose it for: unequal data with l1 or bounds (dejax.proximal)
    Raises:
      ValueError: a rate or clip out of range.
    Identity: mean(y) = mean(g) every round; its fixed point minimizes mean(f) + r; no r, W = J and equal starts: centralized SGD.
    Reference: Yan et al., Compressed decentralized proximal stochastic gradient method, 2023.
    """

    lr: NodeFloatLike = number(check=rate)
    prox: Any = option(default=none(), check=Slot("prox"))
    clip: FloatLike = number(default=None, check=CLIP)

    traits = Traits(sums_keep="mean(y) = mean(g), the mean of the trackers and of the gradients")

    def init(self, params: NodeTree, key: PRNGKey) -> ProxState:
        """Trackers and last gradients at zero: the first round sets y = W g."""
        del key
        return start(params)

    def step(self, state: ProxState, round: Round) -> ProxState:
        """Track, mix, descend, shrink, mix."""
        return advance(self, state, round, lambda r, value, name: r.gossip(value, name=name))


@struct
class CompressedDProxSgt:
    """CDProxSGT: DProxSGT whose two messages are compressed differences.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
      gamma: step of gossip of models in (0, 1]; must shrink with the compression. Published: 0.5 for top-30 %, 0.8 for top-40 %.
      compressor: contractive, e.g. `top_k(ratio=0.3)`.
      tracker_gamma: step of gossip of trackers in (0, 1]; None (default): gamma, as published.
      prox: r, by its proximal operator (`dejax.proximal`); default: none.
      clip: largest norm of a node's gradient, > 0; None (default) clips nothing.
    Update: that of dproxsgt, both messages as in choco
    Choose it for: unequal data with l1 or bounds, and few bits
    Raises:
      ValueError: a rate, gamma or clip out of range; a compressor that cannot act on the model.
    Identity: keeps the mean of x and of y for every C and gamma; nothing compressed and gamma = 1 is DProxSGT.
    Reference: Yan et al., Compressed decentralized proximal stochastic gradient method, 2023.
    """

    lr: NodeFloatLike = number(check=rate)
    gamma: FloatLike = number(check=in_(0, 1, "(]"))
    compressor: Any = option(check=Slot("compressor"))
    tracker_gamma: FloatLike = number(default=None, check=in_(0, 1, "(]"))
    prox: Any = option(default=none(), check=Slot("prox"))
    clip: FloatLike = number(default=None, check=CLIP)

    traits = Traits(
        own_codec="compressor", sums_keep="mean(y) = mean(g), the mean of the trackers and of the gradients"
    )

    def init(self, params: NodeTree, key: PRNGKey) -> ProxState:
        """Trackers, last gradients and copies at zero."""
        del key
        return start(params)

    def step(self, state: ProxState, round: Round) -> ProxState:
        """DProxSGT with gossip on copies."""
        own = self.gamma if self.tracker_gamma is None else self.tracker_gamma
        codecs = {"tracker": copies(self.compressor, own), "params": copies(self.compressor, self.gamma)}
        return advance(self, state, round, lambda r, value, name: r.gossip(value, name=name, codec=codecs[name]))


__all__ = ["CompressedDProxSgt", "DProxSgt", "ProxState"]
