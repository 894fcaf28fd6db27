"""User-level privacy of federated averaging: clip each node's update, noise their sum.

    D = ( sum_S w_i u_i min(1, C / ||u_i||) + N(0, sigma^2 C^2 I) ) / (q W),   w_i = min(n_i / cap, 1),  W = sum of all w_i

The denominator is fixed: it does not tell how many of the cohort S there are, or who.

Reference: McMahan, Ramage, Talwar and Zhang, Learning differentially private recurrent language models, 2018 (DP-FedAvg,
estimator f_f).
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.checks import above, at_least, choice, or_none
from ..core.kinds import Privacy
from ..core.random import fold_in
from ..core.struct import number, static, struct
from ..core.types import Context, FloatLike, NodeTree, Tree, Values
from ..errors import bad
from . import accountant
from ._delta import DELTA
from ._noise import add_noise

CLIP = above(0, "a norm > 0, e.g. 1.0, or inf for none", infinite=True)


@struct
class UserLevel(Privacy):
    """Clip each node's update to norm C; add noise of deviation sigma C to their sum.

    Protects all data of a node, however many local steps it makes, against everybody who sees the server's models. The server sees
    single updates and is trusted; with `noise="shares"` every node of a cohort of m clips by itself and adds its share of the noise, of
    deviation sigma C / sqrt(m), so that a server that forms sums alone need not be. Only methods that average one update for each
    node, weighted by samples or alike, run with it (trait `one_update`).

    Args:
      clip: C > 0, a leaf, in units of the norm of an update over the whole model; inf clips nothing.
      noise_multiplier: sigma >= 0, a leaf; 0 adds none, with epsilon = inf.
      client_sampling: how a method's cohort of m out of n is drawn: "poisson", every node on its own with q = m / n, so that cohorts
        differ in size; or "fixed", m nodes without replacement. Static.
      adjacency: what `epsilon` protects: "add_remove" one node (sensitivity C), or "replace_one" (2 C). A guarantee that counts on
        the cohort being secret exists for "poisson" with "add_remove", and for "fixed" with "replace_one".
      noise: added at the "server", or in "shares". Static.
      cap: samples from which on a node has its whole weight; None: the most that a node has. 1: all nodes count alike. Only where
        the method weighs by samples. Static.
      delta: in (0, 1), of the epsilon that records hold. Static.
    Raises:
      ValueError: an argument out of range.
    Identity: with clip=inf, noise_multiplier=0 and all nodes, the method without it, up to rounding.
    Reference: McMahan et al., ICLR 2018.
    Example:
      >>> round(UserLevel(clip=1.0, noise_multiplier=1.0).epsilon(steps=1000, sampling_rate=0.01, delta=1e-5), 4)
      2.1014
    """

    clip: FloatLike = number(check=CLIP)
    noise_multiplier: FloatLike = number(check=at_least(0))
    client_sampling: Literal["poisson", "fixed"] = static(default="poisson", check=choice("poisson", "fixed"))
    adjacency: Literal["add_remove", "replace_one"] = static(
        default="add_remove", check=choice("add_remove", "replace_one")
    )
    noise: Literal["server", "shares"] = static(default="server", check=choice("server", "shares"))
    cap: float | None = static(default=None, check=or_none(above(0), "or leave it out"))
    delta: float = static(default=1e-5, check=DELTA)

    hook = "upload"
    gaussian = True

    @property
    def at_nodes(self) -> bool:
        """Whether nodes clip, and add their shares of noise, by themselves."""
        return self.noise == "shares"

    def __post_init__(self) -> None:
        plain = isinstance(self.clip, float) and isinstance(self.noise_multiplier, (int, float))
        if plain and math.isinf(self.clip) and self.noise_multiplier > 0:
            why = "but noise of deviation noise_multiplier x clip is asked for"
            raise bad("clip", self.clip, owner=self, why=why, instead="give a finite norm, or noise_multiplier=0")

    def weights(self, counts: Values, all_counts: Values) -> jax.Array:
        """w [m] of nodes with `counts` [m] samples, 0 < w <= 1."""
        cap = jnp.max(all_counts) if self.cap is None else self.cap
        return jnp.minimum(counts.astype(jnp.float32) / jnp.asarray(cap, jnp.float32), 1)

    def clipped(self, ctx: Context, value: NodeTree, weights: Values | None, cohort: float) -> NodeTree:
        """Return w_i u_i min(1, C / ||u_i||) [m, ...], and a share of the noise under "shares".

        cohort: expected number of nodes.
        """
        wide = tree.map(lambda x: x.astype(jnp.promote_types(x.dtype, jnp.float32)), value)
        norm = jnp.sqrt(tree.sq_norm(wide))
        clip = jnp.asarray(self.clip, norm.dtype)
        factor = jnp.minimum(1, clip / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny))
        factor = factor if weights is None else factor * weights.astype(norm.dtype)
        out = tree.scale(factor, wide)
        if self.noise == "shares":
            out = add_noise(ctx.node_keys, "user_level", out, self._std(norm.dtype) / math.sqrt(cohort))
        return tree.map(lambda m, x: m.astype(x.dtype), out, value)

    def released(self, key: jax.Array, value: Tree, total: jax.Array | float) -> Tree:
        """Add the server's noise to a sum that was divided by `total`, a tree without node axis."""
        if self.noise == "shares":
            return value
        rows = tree.map(lambda x: x[None], value)
        std = self._std(jnp.float32) / total
        return tree.map(lambda x: x[0], add_noise(fold_in(key, jnp.zeros(1, jnp.int32)), "user_level", rows, std))

    def _std(self, dtype: jnp.dtype) -> jax.Array:
        """Sigma C; 0 where sigma is, also without a clip."""
        sigma = jnp.asarray(self.noise_multiplier, dtype)
        return jnp.where(sigma == 0, 0, sigma * jnp.where(sigma == 0, 1, jnp.asarray(self.clip, dtype)))

    def epsilon(self, steps: int, sampling_rate: float, delta: float) -> float:
        """Compute the epsilon of one node after `steps` rounds.

        sampling_rate: q = m / n of Poisson sampling, with adjacency "add_remove"; 1 where all nodes take part.
        """
        sensitivity = 1 if self.adjacency == "add_remove" else 2
        return accountant.epsilon(float(self.noise_multiplier) / sensitivity, steps, sampling_rate, delta)
