"""Mono-DMFW: online Frank-Wolfe between neighbors, one gradient and one exchange per reward.

One round here is a block of K rewards, which all see what the block plays:

    x^1 = 0;  for k = 1 .. K:  x_i^(k+1) = sum_j W_ij x_j^k + v_i^k / K;      x^(K+1) is played
    for k = 1 .. K, one reward each:
        h_i^k = gradient at x_i^k;   d_i^k = sum_j W_ij (d_j^(k-1) + h_j^k - h_j^(k-1)),  d^0 = h^0 = 0
        s_i^k = (1 - a_k) s_i^(k-1) + a_k d_i^k,   a_k = 2 / (k + 3)^(2/3)
        v_i^k <- proj_C(v_i^k - lr s_i^k)

v^k is the answer of the k-th online linear optimizer, here projected gradient steps; gradients are
of the loss, which is the reward with its sign turned. The paper draws which reward of a block goes
with which k; here batches are drawn anew for each. Answers start at the starts, which lie in C,
convex and with 0: so does all that is played.

W: doubly stochastic. K about rounds^(2/5) of the paper's rounds has regret of order rounds^(4/5).
Wire: K times x and K times d per directed edge and block.
Reference: Zhang, Deng, Jian, Chen, Hu and Yang, Communication-efficient decentralized online
continuous DR-submodular maximization, 2023. Written from knowledge of the paper, without its code.
Uncertain: a_k, and the paper's choice of linear optimizers.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate, whole
from ...core.kinds import Slot
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...proximal import none


class MonoDmfwState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x^(K+1), what each node played
    answers: NodeTree  # v, [n, K, ...]


@struct
class MonoDmfw:
    """Mono-DMFW: decentralized online Frank-Wolfe of DR-submodular rewards, in blocks.

    Args:
      lr: step size of the linear optimizers, >= 0; scalar, [n] or a schedule.
      block: K >= 1, rewards per block, which is one round; static.
      prox: C, by its projection (`dejax.proximal.box`, `budget`); default: everything.
    Update: per block: K times x <- W x + v_k / K from 0; K tracked gradients teach K linear optimizers
    Choose it for: monotone DR-submodular rewards, by answers to linear ones
    Raises:
      ValueError: block < 1.
    Identity: mean(d^k) = mean(h^k); what is played lies in C; K = 1 plays the answers to the gradient at 0.
    Reference: Zhang et al., CIKM 2023.
    """

    lr: NodeFloatLike = number(check=rate)
    block: int = static(default=5, check=whole)
    prox: Any = option(default=none(), check=Slot("prox"))

    traits = Traits(sums_keep="mean(d) = mean(h)")

    def init(self, params: NodeTree, key: PRNGKey) -> MonoDmfwState:
        """Every optimizer answers with the starts."""
        del key
        return MonoDmfwState(params, tree.map(lambda x: jnp.repeat(x[:, None], self.block, 1), params))

    def step(self, state: MonoDmfwState, round: Round) -> MonoDmfwState:
        """Play, then learn from each reward of the block."""
        answers, lr = state.answers, round.rate(self.lr)

        def walk(r: Round, carry: Tree) -> Any:
            x, path, k = carry
            path = tree.map(lambda all_, one: all_.at[:, k].set(one), path, x)
            step = tree.scale(1 / self.block, tree.map(lambda v: v[:, k], answers))
            return tree.add(r.gossip(x), step), path, k + 1

        start = tree.zeros(state.params), tree.zeros(answers), jnp.int32(0)
        x, path, _ = round.repeat(self.block, walk, start, name="play")

        def learn(r: Round, carry: Tree) -> Any:
            v, d, last, s, k = carry
            h = r.gradient(tree.map(lambda p: p[:, k], path))
            d = r.gossip(tree.add(d, tree.sub(h, last)))
            share = 2 / (k + 4.0) ** (2 / 3)  # k counts from 0
            s = tree.add(tree.scale(1 - share, s), tree.scale(share, d))
            moved = tree.sub(tree.map(lambda v: v[:, k], v), tree.scale(lr, s))
            v = tree.map(lambda all_, one: all_.at[:, k].set(one), v, self.prox.prox(lr, moved))
            return v, d, h, s, k + 1

        zeros = [tree.zeros(state.params) for _ in range(3)]
        v, *_ = round.repeat(self.block, learn, (answers, *zeros, jnp.int32(0)), name="learn")
        return MonoDmfwState(round.keep(x, state.params), round.keep(v, answers))


__all__ = ["MonoDmfw", "MonoDmfwState"]
