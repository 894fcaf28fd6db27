"""Local differential privacy of messages: clip what leaves a node, and add Gaussian noise.

    m_i = x_i min(1, C / ||x_i||) + N(0, sigma^2 C^2 I)

Reference: Dwork and Roth, The algorithmic foundations of differential privacy, 2014 (Gaussian
mechanism).
"""

import jax.numpy as jnp

from ..core import tree
from ..core.checks import above, at_least
from ..core.kinds import Privacy
from ..core.struct import number, static, struct
from ..core.types import Context, FloatLike, NodeTree
from . import accountant
from ._delta import DELTA
from ._noise import add_noise


@struct
class GaussianMessage(Privacy):
    """Clip every message to norm C and add noise of deviation sigma C.

    The node goes on from the noisy value itself. Protects a node's whole message against everybody
    else, with one draw for all its neighbors. The value clipped is what the method sends, usually a
    whole model: C must exceed the norm that models reach, or they are shrunk every round. Because
    the node keeps the noisy value too, gossip with doubly stochastic W keeps the mean of the noisy
    values.

    Args:
      clip: C > 0, a leaf.
      noise_multiplier: sigma >= 0, a leaf; 0 clips only, with epsilon = inf.
      delta: in (0, 1), of the epsilon that records hold. Static.
    Raises:
      ValueError: clip, noise_multiplier or delta out of range.
    Reference: Dwork and Roth, The algorithmic foundations of differential privacy, 2014.
    Example:
      >>> GaussianMessage(clip=10.0, noise_multiplier=0.01).hook
      'message'
    """

    clip: FloatLike = number(check=above(0, "a finite norm > 0, e.g. 10.0"))
    noise_multiplier: FloatLike = number(check=at_least(0))
    delta: float = static(default=1e-5, check=DELTA)

    hook = "message"
    gaussian = True

    def message(self, ctx: Context, value: NodeTree) -> tuple[NodeTree, NodeTree, NodeTree]:
        """Return the noisy value three times.

        As what the node goes on from, as its own value in the rule, and as what leaves.
        """
        wide = tree.map(lambda x: x.astype(jnp.promote_types(x.dtype, jnp.float32)), value)
        norm = jnp.sqrt(tree.sq_norm(wide))
        clip = jnp.asarray(self.clip, norm.dtype)
        factor = jnp.minimum(1, clip / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny))
        noisy = add_noise(ctx.node_keys, "gaussian_message", tree.scale(factor, wide), self.noise_multiplier * clip)
        noisy = tree.map(lambda m, x: m.astype(x.dtype), noisy, value)
        return noisy, noisy, noisy

    def epsilon(self, steps: int, sampling_rate: float, delta: float) -> float:
        """Compute the epsilon of one node after `steps` messages.

        A method that sends two a round has 2 per round. Neighbors are any two values of norm <= C,
        which lie 2 C apart. Messages are not sampled: sampling_rate is 1, or the probability with
        which the node, unseen, takes part in a round.
        """
        return accountant.epsilon(float(self.noise_multiplier) / 2, steps, sampling_rate, delta)
