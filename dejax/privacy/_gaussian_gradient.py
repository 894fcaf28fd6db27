"""DP-SGD: clip every example's gradient, add Gaussian noise to their mean.

    g = (1/B) ( sum_s g_s min(1, C / ||g_s||) + N(0, sigma^2 C^2 I) )

Reference: Abadi et al., Deep learning with differential privacy, 2016.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.checks import above, at_least, choice
from ..core.kinds import Privacy
from ..core.struct import number, static, struct
from ..core.types import Context, FloatLike, NodeTree
from . import accountant
from ._delta import DELTA
from ._noise import add_noise


@struct
class GaussianGradient(Privacy):
    """Clip each example's gradient to norm C; add noise of deviation sigma C to the sum.

    Protects single examples against everybody who sees what the node does with its gradients: what is computed from them
    afterwards (momentum, gossip) costs nothing more. B is the number of real examples of the batch, padding left out; under
    `sampling="poisson"` the expected one, as how many were drawn is secret. Sizes of nodes count as public. Every example has a
    key of its own, so that dropout masks differ within a batch, and a learning rule (`Problem(rule=...)`) is asked for the
    direction of every example; one that keeps memory is refused. What a run spends: `dejax.privacy_spent`.

    Args:
      clip: C > 0, a leaf, in units of the gradient's norm over the whole model.
      noise_multiplier: sigma >= 0, a leaf; 0 clips only, with epsilon = inf.
      adjacency: what `epsilon` protects: "add_remove" one example (sensitivity C), or "replace_one"
        (2 C).
      delta: in (0, 1), of the epsilon that records hold; below 1 over the examples of a node. Static.
    Raises:
      ValueError: clip, noise_multiplier, adjacency or delta out of range.
    Reference: Abadi et al., Deep learning with differential privacy, 2016.
    Example:
      >>> round(GaussianGradient(clip=1.0, noise_multiplier=1.0).epsilon(steps=1000, sampling_rate=0.01, delta=1e-5), 4)
      2.1014
    """

    clip: FloatLike = number(check=above(0, "a finite norm > 0, e.g. 1.0"))
    noise_multiplier: FloatLike = number(check=at_least(0))
    adjacency: Literal["add_remove", "replace_one"] = static(
        default="add_remove", check=choice("add_remove", "replace_one")
    )
    delta: float = static(default=1e-5, check=DELTA)

    hook = "gradient"
    gaussian = True
    per_example = True

    def gradient(self, ctx: Context, grads: NodeTree, weight: jax.Array, size: jax.Array | None = None) -> NodeTree:
        """Return the noisy mean [n, ...] of clipped gradients [n, B, ...].

        weight: [n, B], 1 on examples, 0 on padding.
        size: float32 [n], the public size by which the sum is divided; None: the number of real examples.
        """
        real = weight > 0
        wide = tree.map(lambda g: g.astype(jnp.promote_types(g.dtype, jnp.float32)), grads)
        squares = [jnp.sum(jnp.square(g).reshape(*g.shape[:2], -1), 2) for g in tree.leaves(wide)]
        norm = jnp.sqrt(sum(squares[1:], squares[0]))
        clip = jnp.asarray(self.clip, norm.dtype)
        factor = jnp.minimum(1, clip / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny))
        count = jnp.maximum(real.sum(1, dtype=jnp.int32), 1) if size is None else size

        def clipped_sum(g: jax.Array) -> jax.Array:
            return jnp.where(tree.over(real, g), g * tree.over(factor.astype(g.dtype), g), 0).sum(1)

        noisy = add_noise(ctx.node_keys, "gaussian_gradient", tree.map(clipped_sum, wide), self.noise_multiplier * clip)
        return tree.map(lambda s, g: (s / tree.over(count, s).astype(s.dtype)).astype(g.dtype), noisy, grads)

    def epsilon(self, steps: int, sampling_rate: float, delta: float) -> float:
        """Compute the epsilon of one node after `steps` gradients.

        What sampling_rate assumes: see `dejax.privacy.accountant`.
        """
        sensitivity = 1 if self.adjacency == "add_remove" else 2
        return accountant.epsilon(float(self.noise_multiplier) / sensitivity, steps, sampling_rate, delta)
