"""Scaffnew (ProxSkip): local steps with corrections, and a mean at the toss of a coin.

    z_i = x_i - lr (g_i(x_i) - h_i);   with probability p: x_i <- mean_j z_j, else x_i <- z_i
    h_i <- h_i + (p / lr) (x_i - z_i)

All nodes see the same coin. Wire: 1 model up and 1 down per node, in a share p of the rounds.
State: x_i and h_i of every node, and the last mean.
Reference: Mishchenko, Malinovsky, Stich and Richtarik, ProxSkip: yes! local gradient steps provably
lead to communication acceleration, 2022.
"""

from typing import Any, NamedTuple

import jax

from ...core import tree
from ...core.checks import in_
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import FloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import LR


class ScaffnewState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x_i, [n, ...]
    controls: NodeTree  # h_i, [n, ...]; they sum to zero
    server: Tree  # the last mean, no node axis


@struct
class Scaffnew:
    """Local gradient steps whose corrections make rare averages enough; exact on unequal data.

    A round is one local step. All nodes take part; nodes count alike.

    Args:
      lr: > 0, as p / lr is divided by it; scalar or a schedule. The theory takes 1 / L.
      p: probability of an average, 0 < p <= 1; the theory's best is 1 / sqrt(kappa).
    Update: x_i - lr (g_i - h_i), a mean with probability p
    Choose it for: rare averages, exactly
    Raises:
      ValueError: lr <= 0; p outside (0, 1].
    Identity: sum_i h_i = 0 always; in the limit x_i = x*, h_i = grad f_i(x*); p = 1 is gradient
      descent on the mean loss.
    Reference: Mishchenko et al., ICML 2022.
    """

    lr: FloatLike = number(check=LR)
    p: FloatLike = number(default=0.2, check=in_(0, 1, "(]"))

    traits = Traits(
        channel="server",
        needs_exact="its corrections sum to zero, which changed messages would break; use scaffold",
        sums_keep="sum(h) = 0 of the corrections",
    )

    def init(self, params: NodeTree, key: PRNGKey) -> ScaffnewState:
        """h_i = 0."""
        del key
        return ScaffnewState(params, tree.zeros(params), tree.map(lambda x: x[0], params))

    def step(self, state: ScaffnewState, round: Round) -> ScaffnewState:
        """Step with the correction; average where the coin says so."""
        lr = round.rate(self.lr)
        slope = tree.sub(round.gradient(state.params), state.controls)
        z = round.keep(tree.sub(state.params, tree.scale(lr, slope)), state.params)
        coin = jax.random.uniform(round.key("coin"), dtype=float) < self.p

        def meet(r: Round, carry: Tree) -> Any:
            x, server = carry
            mean = tree.add(server, r.average(tree.sub(x, tree.tile(server, r.n))))
            return tree.tile(mean, r.n), mean

        x, server = round.when(coin, meet, (z, state.server))
        controls = tree.add(state.controls, tree.scale(self.p / lr, tree.sub(x, z)))
        return ScaffnewState(x, controls, server)


__all__ = ["Scaffnew", "ScaffnewState"]
