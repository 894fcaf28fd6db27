"""Evolution strategies: a direction out of losses at points mirrored around the model.

    direction = (1 / K) sum_k s_k e_k,   s_k = (f(x + sigma e_k) - f(x - sigma e_k)) / (2 sigma),   e_k ~ N(0, I)

It is unbiased for the gradient of f smoothed by a normal law of width sigma; where f is quadratic that is the
gradient of f itself. Where all nodes share the seeds of e_k, the K numbers s_k are the whole message: see `fedes`.
Reference: Salimans, Ho, Chen, Sidor and Sutskever, Evolution strategies as a scalable alternative to
reinforcement learning, 2017.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ...core import tree
from ...core.checks import above, whole
from ...core.kinds import LearningRule
from ...core.noise import normal
from ...core.random import fold_in, fold_name
from ...core.struct import number, static, struct
from ...core.types import FloatLike, Keys, Tree


@struct
class Evolution(LearningRule):
    """Descend along random directions, weighed by differences of losses; no derivative is taken.

    The loss that it gives is the mean over the points.

    Args:
      sigma: distance of the points, > 0.
      pairs: K >= 1 pairs of points for each direction; its variance is about d / K times that of the
        gradient's square; static.
      shared: all nodes take the same e_k in a round (under events, in their events of one number);
        static, default False.
    Raises:
      ValueError: sigma <= 0; pairs < 1.
    Cost: 2 K forward passes.
    Reference: Salimans et al., 2017.
    """

    sigma: FloatLike = number(default=0.1, check=above(0))
    pairs: int = static(default=8, check=whole)
    shared: bool = static(default=False)

    @property
    def work(self) -> float:
        """2 K forward passes, each a third of a gradient."""
        return 2 * self.pairs / 3

    def direction(self, task: Any, params: Tree, batch: Tree, key: Keys, memory: Tree) -> tuple[jax.Array, Any, Any]:
        """Mean loss at the points, direction and memory of one node."""
        seed = task.common if self.shared else fold_name(key, "noise")
        loss: Callable[[Tree], jax.Array] = lambda p: task.loss(p, batch, key)

        def one(total: Tree, k: jax.Array) -> Any:
            noise = normal(fold_in(seed, k), params)
            up, down = loss(tree.axpy(self.sigma, noise, params)), loss(tree.axpy(-self.sigma, noise, params))
            return tree.axpy((up - down) / (2 * self.sigma * self.pairs), noise, total), (up + down) / 2

        total, losses = lax.scan(one, tree.zeros(params), jnp.arange(self.pairs, dtype=jnp.int32))
        return losses.mean(), total, memory


__all__ = ["Evolution"]
