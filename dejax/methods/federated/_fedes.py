"""FedES: nodes tell a server how losses change along directions that all of them know.

    e_k ~ N(0, I), from a seed that server and nodes share;   s_ik = (f_i(x + sigma e_k) - f_i(x - sigma e_k)) / (2 sigma)
    x <- x - lr (1 / K) sum_k (sum_S w_i s_ik) e_k

Wire: K numbers up and K numbers down per sampled node and round, whatever the size of the model: nodes that know
the means can make the step themselves. (A node that was not sampled would fetch what it missed; that is not
counted.) State: x.
Reference: Salimans, Ho, Chen, Sidor and Sutskever, Evolution strategies as a scalable alternative to
reinforcement learning, 2017, whose workers exchange such scalars.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import above, rate, whole
from ...core.method import Traits
from ...core.noise import normal, rebuilt
from ...core.random import fold_in
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import CLIENTS, WEIGHTS, at_server, check_cohort, cohort_of, upload_weights


class FedesState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis


@struct
class Fedes:
    """Evolution strategies whose only messages are differences of losses.

    Args:
      lr: step size, >= 0; scalar or a schedule.
      sigma: distance of the points, > 0.
      pairs: K >= 1, directions in a round, static.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      weights: uploads count by the nodes' numbers of "samples" (default), are "uniform", or count by
        a list of n numbers >= 0 of your own, one a node; static.
    Update: x <- x - lr mean_k (mean_i s_ik) e_k, s_ik differences of losses along e_k that all know
    Choose it for: large models, few bits; no derivatives
    Raises:
      ValueError: sigma <= 0; clients or pairs < 1.
    Identity: on quadratic losses the mean step is that of gradient descent on the union, whatever sigma.
    Reference: Salimans et al., 2017.
    """

    lr: FloatLike = number(check=rate)
    sigma: FloatLike = number(default=0.1, check=above(0))
    pairs: int = static(default=8, check=whole)
    clients: int | None = static(default=None, check=CLIENTS)
    weights: str | tuple[float, ...] = static(default="samples", check=WEIGHTS)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort. What travels are no models."""
        return Traits(channel="server", cohort=self.clients, raw_losses=True, averages=False)

    def init(self, params: NodeTree, key: PRNGKey) -> FedesState:
        """The common start."""
        del key
        check_cohort(self, params)
        return FedesState(at_server(params))

    def step(self, state: FedesState, round: Round) -> FedesState:
        """Sample, measure along K directions, average the numbers, step."""
        cohort, x, seed = cohort_of(self, round), state.params, round.key("directions")
        batch = cohort.batch(params=tree.tile(x, cohort.n))

        def one(r: Round, carry: Tree) -> Any:
            k, scores = carry
            noise = normal(fold_in(seed, k), x)
            pair = tree.map(lambda x, e: jnp.stack([x + self.at(x) * e, x - self.at(x) * e]), x, noise)
            up, down = r.losses(tree.tile(pair, r.n), batch).T
            return k + 1, scores.at[:, k].set((up - down) / (2 * self.at(up)))

        start = jnp.zeros((cohort.n, self.pairs), jnp.result_type(jnp.float32, *tree.leaves(x)))
        _, scores = cohort.repeat(self.pairs, one, (jnp.int32(0), start), name="measure")
        mean = cohort.average(scores, upload_weights(self, cohort))
        return FedesState(tree.axpy(-jnp.asarray(round.rate(self.lr)), rebuilt(seed, mean, x), x))

    def at(self, like: jax.Array) -> jax.Array:
        """The distance in the dtype of `like`."""
        return jnp.asarray(self.sigma, like.dtype)


__all__ = ["Fedes", "FedesState"]
