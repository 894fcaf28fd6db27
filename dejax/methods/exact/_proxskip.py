"""Decentralized ProxSkip: a common coin says in which rounds nodes average.

    z_i = x_i - lr g_i(x_i) + c_i
    with probability p:  x_i' = (1 - mix) z_i + mix sum_j W_ij z_j;   c_i' = c_i + p (x_i' - z_i)
    else:                x_i' = z_i;                                  c_i' = c_i

c_i = 0 before round 0. It is lr h_i of the paper, kept so that no step divides by lr.

W: doubly stochastic and symmetric. `mix` above 2/3 needs eigenvalues above 1 - 4 / (3 mix), as D2
has it for mix = 1; derived for p = 1, and for p < 1 in the mean.
Wire: 1 model per directed edge with probability p.
Reference: Mishchenko, Malinovsky, Stich and Richtarik, ProxSkip: yes! Local gradient steps provably
lead to communication acceleration, 2022; Guo, Alghunaim, Yuan, Condat and Cao, Revisiting
decentralized ProxSkip, 2023 (its 1 / (2 chi) is `mix`). Equations agree with that paper's algorithm as a public program of others has it,
team-decent/decent-bench, whose second step size, free there, is p here.
"""

from typing import Any, NamedTuple

import jax

from ...core import tree
from ...core.checks import in_, rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree


class ProxSkipState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    correction: NodeTree  # c, sums to zero over the nodes; ends at lr g_i


@struct
class ProxSkip:
    """Decentralized ProxSkip: corrected steps, an average in a share p of rounds.

    Args:
      lr: >= 0; scalar, [n] or a schedule.
      p: probability of an average in a round, in (0, 1]; 1 / sqrt(L / mu) is best on a complete graph.
      mix: how far an average goes, in (0, 1].
    Update: z = x - lr g + c; by a common coin x <- (1 - a) z + a W z, c <- c + p (x' - z)
    Choose it for: unequal data, with few averages
    Identity: sum_i c_i = 0. p = 1, mix = 1/2 is exact diffusion, and p = 1, mix = 1 is D2; mix = 1 on the complete graph is Scaffnew.
    Reference: Mishchenko et al., ProxSkip, 2022; Guo et al., Revisiting decentralized ProxSkip, 2023.
    """

    lr: NodeFloatLike = number(check=rate)
    p: FloatLike = number(default=0.2, check=in_(0, 1, "(]"))
    mix: FloatLike = number(default=0.5, check=in_(0, 1, "(]"))

    @property
    def traits(self) -> Traits:
        """How low eigenvalues may be depends on how far an average goes; arrays are not looked at."""
        bound = 1 - 4 / (3 * self.mix) if isinstance(self.mix, (int, float)) else -1.0
        return Traits(symmetric=True, spectrum=bound if bound > -1 else None, sums_keep="sum(c) = 0 of the corrections")

    def init(self, params: NodeTree, key: PRNGKey) -> ProxSkipState:
        """No correction."""
        del key
        return ProxSkipState(params, tree.zeros(params))

    def step(self, state: ProxSkipState, round: Round) -> ProxSkipState:
        """Adapt and correct; average if the coin says so."""
        adapted = tree.sub(state.params, tree.scale(round.rate(self.lr), round.gradient(state.params)))
        z = tree.add(adapted, state.correction)

        def average(r: Round, z: Tree) -> Any:
            return tree.axpy(self.mix, tree.sub(r.gossip(z), z), z)

        x = round.when(jax.random.bernoulli(round.key("coin"), self.p), average, z)
        return ProxSkipState(x, tree.axpy(self.p, tree.sub(x, z), state.correction))


__all__ = ["ProxSkip", "ProxSkipState"]
