"""DisPFL: every node trains a sparse model of its own, and changes its pattern.

    x_i <- M_i (sum_j W_ij M_j x_j / sum_j W_ij M_j), and x_i where nobody holds the entry
    K times: x_i <- x_i - lr M_i g_i(x_i)
    prune the ceil(a_t m) smallest of the m entries of each leaf, regrow as many of the others at random, at zero

a_t = (rate / 2) (1 + cos(pi t / T)). Leaves with one axis or none (biases) stay dense. Every leaf of node
i keeps the same number of entries for good. Wire: the entries held and one bit per entry of a pruned leaf.
State: the models and their masks.
Reference: Dai, Shen, He, Tian and Tao, DisPFL: towards communication-efficient personalized federated
learning via decentralized sparse training, 2022. Densities are the same in all leaves here (the
authors spread them by layer).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import in_, rate, whole
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree


class DispflState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x_i, [n, ...], zero off the mask
    mask: NodeTree  # M_i, bool [n, ...]


@struct
class Dispfl:
    """Decentralized training of sparse personal models.

    Args:
      lr: step size, >= 0; scalar, [n] or a schedule.
      density: share of entries that a pruned leaf keeps, in (0, 1].
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      prune_rate: share of the kept entries that round 0 exchanges for others, in [0, 1].
      rounds: T, after how many rounds patterns stay; >= 1.
    Update: masked gossip, masked steps, prune and regrow
    Choose it for: sparse personal models
    Raises:
      ValueError: density outside (0, 1]; prune_rate outside [0, 1]; local_steps or rounds < 1.
    Identity: density = 1 is one gossip step and K local steps; entries off the mask are exactly zero.
    Reference: Dai et al., ICML 2022.
    """

    lr: NodeFloatLike = number(check=rate)
    density: FloatLike = number(default=0.5, check=in_(0, 1, "(]"))
    local_steps: LocalSteps = static(default=1, check=local_steps)
    prune_rate: FloatLike = number(default=0.5, check=in_(0, 1))
    rounds: int = static(default=100, check=whole)

    traits = Traits(masks=True, weights=("doubly", "row"))

    def init(self, params: NodeTree, key: PRNGKey) -> DispflState:
        """Dense models, before `start` has drawn what each keeps."""
        del key
        return DispflState(params, tree.map(lambda x: jnp.ones(x.shape, bool), params))

    def start(self, state: DispflState, round: Round) -> DispflState:
        """Patterns drawn per node; models are zero off them."""

        def pattern(i: int, x: jax.Array) -> jax.Array:
            if x.ndim < 3:
                return jnp.ones(x.shape, bool)
            draw = lambda key: jax.random.uniform(key, (x[0].size,))
            score = round.map(draw, round.node_keys(f"pattern{i}"))
            return (_rank(score) < self._kept(score.shape[1])).reshape(x.shape)

        leaves, form = jax.tree.flatten(state.params)
        mask = jax.tree.unflatten(form, [pattern(i, x) for i, x in enumerate(leaves)])
        return DispflState(tree.map(jnp.multiply, state.params, mask), mask)

    def _kept(self, entries: int) -> jax.Array:
        return jnp.maximum(1, jnp.round(self.density * entries))

    def step(self, state: DispflState, round: Round) -> DispflState:
        """Mix what neighbors hold, train under the mask, change the mask."""
        mask, lr = state.mask, round.rate(self.lr)
        bits = sum(x[0].size for x in tree.leaves(mask) if x.ndim >= 3)
        x = tree.map(jnp.multiply, round.gossip(state.params, mask=mask, mask_bits=bits), mask)

        def one(r: Round, x: Tree) -> Any:
            slope = tree.map(jnp.multiply, r.gradient(x), mask)
            return r.keep(tree.sub(x, tree.scale(lr, slope)), x)

        x = round.repeat(self.local_steps, one, x)
        share = self.prune_rate / 2 * (1 + jnp.cos(jnp.pi * jnp.minimum(round.index / self.rounds, 1)))
        leaves, form = jax.tree.flatten(x)
        keys = [round.node_keys(f"regrow{i}") for i in range(len(leaves))]
        change = lambda x, m, key: m if x.ndim < 3 else round.map(lambda x, m, k: _exchanged(x, m, k, share), x, m, key)
        new = jax.tree.unflatten(form, [change(*each) for each in zip(leaves, tree.leaves(mask), keys, strict=True)])
        new = tree.map(lambda a, b: jnp.where(share > 0, a, b), new, mask)
        return DispflState(tree.map(lambda x, m, old: jnp.where(m & old, x, 0), x, new, mask), new)


def _rank(score: jax.Array) -> jax.Array:
    """The rank of each entry of the last axis, 0 for the smallest."""
    return jnp.argsort(jnp.argsort(score, -1), -1)


def _exchanged(x: jax.Array, mask: jax.Array, key: jax.Array, share: jax.Array) -> jax.Array:
    """The mask of one leaf of one node without its smallest entries, and with as many others."""
    flat, held = jnp.abs(x).ravel(), mask.ravel()
    count = jnp.ceil(share * held.sum()).astype(jnp.int32)
    count = jnp.minimum(count, (~held).sum())  # a dense leaf has none to take
    kept = held & (_rank(jnp.where(held, flat, jnp.inf)) >= count)
    grown = _rank(jnp.where(held, jnp.inf, jax.random.uniform(key, flat.shape))) < count
    return (kept | grown).reshape(mask.shape)


__all__ = ["Dispfl", "DispflState"]
