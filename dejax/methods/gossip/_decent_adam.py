"""Decentralized Adam and AccumAdam: each node's Adam step on the mean of its neighborhood.

    z_i = sum_j W_ij x_j;   g = g_i(x_i) at the model before mixing;   a <- a + g / s
    m' = m + (1 - b1) g;   v' = v + (1 - b2) g^2;   c = ceil(t / s) after t steps
    x_i <- z_i - lr (m' / (1 - b1^c)) / (sqrt(v' / (1 - b2^c)) + eps) - lr weight_decay z_i
    every s steps:   m <- b1 (m + (1 - b1) a);   v <- b2 (v + (1 - b2) a^2);   a <- 0

s = 1 is decentralized Adam, whose m and v are stored times b1 and b2. With s > 1 (AccumAdam) each step moves the models, but the
stored moments see the mean gradient of s steps alone, which a small batch needs. Moments are never mixed.
W: row sums 1 keep a consensus. Wire: 1 model per directed edge and round. The authors clip per bucket of parameters and take
matchings of nodes for W; `dejax.topology.one_peer_hypercube` and `one_peer_ring` are such.
Reference: Wang, Zhang, Wu and Johansson, From promise to practice: realizing high-performance decentralized training, 2025.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import above, at_least, in_, rate, whole
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeInt, NodeTree, PRNGKey, Round, Tree

BETA = in_(0, 1, "[)")


class DecentAdamState(NamedTuple):
    """What the next round needs; nothing but params is sent."""

    params: NodeTree  # x, one model per node
    mean: NodeTree  # m, first moment, times b1
    square: NodeTree  # v, second moment, times b2
    total: NodeTree  # a, mean gradient of the steps since the moments last moved
    steps: NodeInt  # t, steps that the node has made


@struct
class DecentAdam:
    """Decentralized Adam; with `accumulate` > 1 AccumAdam: moments see means of several steps.

    Args:
      lr: >= 0; scalar, [n] or a schedule. The authors: 1e-3 at the peak of a cosine with warm-up.
      accumulate: s >= 1, static: 1 (default) is Adam; the authors' AccumAdam has 4, and more for more nodes.
      b1, b2: decay of the moments in [0, 1). eps: > 0.
      weight_decay: >= 0, apart from the gradient (AdamW); the authors' runs 0.1. It acts on all leaves.
      l2: >= 0, added to the gradient as l2 z; the authors' runs 1/32768.
    Update: z = W x; Adam's step of g_i(x_i) at z; with accumulate=s (AccumAdam) moments see means of s
      gradients
    Choose it for: networks that Adam trains; s > 1 for small batches
    Raises:
      ValueError: a number out of range; accumulate < 1.
    Identity: s = 1 is dsgd(order="awc") with Adam; one node alone is Adam. The complete graph is not Adam on the mean gradient.
    Reference: Wang, Zhang, Wu and Johansson, From promise to practice, 2025.
    """

    lr: NodeFloatLike = number(default=1e-3, check=rate)
    accumulate: int = static(default=1, check=whole)
    b1: FloatLike = number(default=0.9, check=BETA)
    b2: FloatLike = number(default=0.999, check=BETA)
    eps: FloatLike = number(default=1e-8, check=above(0))
    weight_decay: FloatLike = number(default=0.0, check=at_least(0))
    l2: FloatLike = number(default=0.0, check=at_least(0))

    traits = Traits(weights=("doubly", "row"))

    def init(self, params: NodeTree, key: PRNGKey) -> DecentAdamState:
        """Moments at zero."""
        del key
        n = tree.leaves(params)[0].shape[0]
        return DecentAdamState(
            params, tree.zeros(params), tree.zeros(params), tree.zeros(params), jnp.zeros((n,), jnp.int32)
        )

    def step(self, state: DecentAdamState, round: Round) -> DecentAdamState:
        """Gradient and gossip side by side, then Adam's step at the mixed models."""
        x, s = state.params, self.accumulate
        grads, z = round.both(lambda r: r.gradient(x), lambda r: r.gossip(x))
        grads, steps = tree.axpy(self.l2, z, grads), state.steps + 1
        total = tree.axpy(1 / s, grads, state.total)
        down = self.direction(*self.moments(state, grads), (steps + (s - 1)) // s)
        new = tree.sub(z, tree.scale(round.rate(self.lr), tree.axpy(self.weight_decay, z, down)))

        mean, square = self.moments(state, total)
        moved = tree.scale(self.b1, mean), tree.scale(self.b2, square), tree.zeros(total)
        memory = tree.where(steps % s == 0, moved, (state.mean, state.square, total))
        return DecentAdamState(*round.keep((new, *memory, steps), (z, *state[1:])))

    def moments(self, state: DecentAdamState, grads: Tree) -> tuple[Tree, Tree]:
        """(m + (1 - b1) g, v + (1 - b2) g^2)."""
        squares = tree.map(jnp.square, grads)
        return tree.axpy(1 - self.b1, grads, state.mean), tree.axpy(1 - self.b2, squares, state.square)

    def direction(self, mean: NodeTree, square: NodeTree, cycles: NodeInt) -> Tree:
        """Mean over root of square, without the bias of their start at zero `cycles` [n] ago."""
        unbias = lambda b, tree_: tree.scale(1 / (1 - jnp.asarray(b, float) ** cycles.astype(float)), tree_)
        eps = lambda v: jnp.asarray(self.eps).astype(v.dtype)
        ratio = lambda m, v: m / (jnp.sqrt(v) + eps(v))
        return tree.map(ratio, unbias(self.b1, mean), unbias(self.b2, square))


__all__ = ["DecentAdam", "DecentAdamState"]
