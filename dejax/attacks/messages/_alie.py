"""ALIE, "a little is enough": adversaries send the honest mean, shifted by z deviations.

    a_i = mean - z std, coordinate-wise, over receiver i and its honest neighbors (std with ddof 1)

Reference: Baruch, Baruch and Goldberg, A little is enough: circumventing defenses for distributed
learning, 2019; per receiver: He, Karimireddy and Jaggi, Byzantine-robust decentralized learning via
ClippedGossip, 2022.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from ...core import checks, tree
from ...core.checks import Number, or_none
from ...core.kinds import Attack
from ...core.struct import number, static, struct
from ...core.types import Context, FloatLike, NodeMask, NodeTree, Values
from ...errors import NULL, bad
from ..adversaries import WHO, Adversaries, adversary_mask


def z_max(n: int, f: int) -> float:
    """Compute the largest z at which a majority still supports the shifted value.

    It is for n nodes of which f are adversaries.

    Phi^-1((n - f - s) / (n - f)) with s = floor(n/2 + 1) - f. Zero or tiny for small networks:
    (10, 2) gives 0.

    Args:
      n: nodes. f: adversaries, 0 <= 2 f < n.
    Returns:
      z >= 0; 0 where the quantile is negative.
    Raises:
      ValueError: f out of range.
    Reference: Baruch, Baruch and Goldberg, A little is enough, 2019.
    Example:
      >>> round(z_max(50, 10), 3)
      0.253
    """
    from scipy.special import ndtri

    if not 0 <= 2 * f < n:
        raise bad(
            "f",
            f,
            says=f"is {f} of n = {n} nodes",
            why="but ALIE's formula for z needs 2 f < n",
            instead="give z a number, e.g. z=1.5",
        )
    support = math.floor(n / 2 + 1) - f
    return max(0.0, float(ndtri((n - f - support) / (n - f))))


@struct
class Alie(Attack):
    """Adversaries send mean - z std of the honest values around a receiver (ALIE).

    "A little is enough". The values are the receiver's own and those of its honest neighbors. The
    attack sees all honest messages of the phase as receivers rebuild them, before links lose any.
    Every receiver gets a message of its own; at a server mean and std are over its honest senders. Of
    parts of models, an entry that a sender does not hold counts as 0, and the adversary claims them all.

    Args:
      adversaries: how many (first of a permutation drawn from `seed`), what share of all nodes, or
        their ids.
      z: shift in standard deviations, a leaf; None takes `z_max(n, f)` of the whole network (at a
        server of those who send), which is 0 at n = 10, f = 2: there the attack sends the honest
        mean. In practice 1 to 1.5; up to 10 on small graphs.
      seed: of the permutation.
    Raises:
      ValueError: adversaries or z out of range; z is None and half of the nodes or more are
        adversaries.
    Identity: with one honest neighborhood the attacked mean moves by (weight of adversaries) z std.
    Reference: Baruch, Baruch and Goldberg, A little is enough: circumventing defenses for
      distributed learning, 2019.
    Example:
      >>> Alie(adversaries=2, z=1.5).is_adversary(10).sum()
      np.int64(2)
    """

    adversaries: Adversaries = static(check=WHO)
    z: FloatLike | None = number(
        default=None,
        check=or_none(Number("a finite number, e.g. 1.5", math.isfinite), "or " + NULL + " for the formula"),
    )
    seed: int = static(default=0, check=checks.seed)

    hook = "message"
    needs_spread = True

    def is_adversary(self, n: int) -> np.ndarray:
        """Bool [n] over global ids."""
        mask = adversary_mask(self, n)
        if self.z is None:
            z_max(n, int(mask.sum()))  # refuses before anything is compiled
        return mask

    def message(self, ctx: Context, own: NodeTree, sent: NodeTree) -> tuple[NodeTree, NodeTree]:
        """(sent, what every adversary delivers to receiver i, at row i)."""
        links, n = ctx.links, ctx.links.n
        honest = ~jnp.asarray(ctx.is_adversary)
        talking = honest if ctx.awake is None else honest & ctx.awake  # sleepers send nothing
        counted = (links.weights() != 0) & talking[links.senders()]  # [n, k]
        count = 1 + counted.sum(1, dtype=jnp.int32)
        z = z_max(n, int(self.is_adversary(n).sum())) if self.z is None else self.z
        wide_own, wide_sent = _widen(own), _widen(sent)
        share = 1 / count.astype(tree.leaves(wide_sent)[0].dtype)
        wide_sent = links.with_neighbors(wide_sent)
        mean = links.weighted(wide_sent, jnp.where(counted, share[:, None], 0), share, wide_own)

        def add_square(
            total: NodeTree, value: NodeTree, s: Values
        ) -> NodeTree:  # squares about the mean: nothing cancels
            new = tree.map(lambda t, v, m: t + jnp.square(v - m), total, value, mean)
            return tree.where(counted[:, s], new, total)

        squares = links.fold(add_square, tree.map(lambda o, m: jnp.square(o - m), wide_own, mean), wide_sent)
        spare = jnp.maximum(count - 1, 1)

        def shifted(mean: jax.Array, squares: jax.Array, like: jax.Array) -> jax.Array:
            std = jnp.sqrt(squares / tree.over(spare, squares).astype(squares.dtype))
            return (mean - jnp.asarray(z, std.dtype) * std).astype(like.dtype)

        return sent, tree.map(shifted, mean, squares, sent)

    def server(self, ctx: Context, sent: NodeTree, is_adversary: NodeMask) -> NodeTree:
        """Return what arrives of senders [m].

        Adversaries' rows are mean - z std over the honest ones that are awake (ctx.mask [m]).
        """
        present = jnp.ones_like(is_adversary) if ctx.mask is None else ctx.mask  # sleepers send nothing
        honest = ~is_adversary & present
        count = jnp.maximum(honest.sum(dtype=jnp.int32), 1)
        if self.z is None:
            m = present.sum(dtype=jnp.int32)  # of whom m - count are adversaries
            support = m // 2 + 1 - (m - count)
            quantile = jax.scipy.special.ndtri((count - support).astype(float) / count.astype(float))
            z = jnp.where(2 * count > m, jnp.maximum(quantile, 0), 0)
        else:
            z = self.z

        def attacked(x: jax.Array) -> jax.Array:
            wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
            mean = jnp.where(tree.over(honest, wide), wide, 0).sum(0) / count.astype(wide.dtype)
            squares = jnp.where(tree.over(honest, wide), jnp.square(wide - mean[None]), 0).sum(0)
            std = jnp.sqrt(squares / jnp.maximum(count - 1, 1).astype(wide.dtype))
            row = (mean - jnp.asarray(z, std.dtype) * std).astype(x.dtype)
            return jnp.where(tree.over(is_adversary, x), row[None], x)

        return tree.map(attacked, sent)


def _widen(values: NodeTree) -> NodeTree:
    return tree.map(lambda x: x.astype(jnp.promote_types(x.dtype, jnp.float32)), values)
