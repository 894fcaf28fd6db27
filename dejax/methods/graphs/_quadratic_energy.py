"""Quadratic energy: nodes minimise one energy over the graph, each by updates of its own.

    E(h) = sum_i f_i(h_i) + (coupling / 4) sum_ij W_ij |h_i - h_j|^2       each edge stands twice in the sum

    h_i <- h_i - lr (g_i(h_i) + coupling (h_i - sum_j W_ij h_j))           dE/dh_i, from values heard of neighbors

Where every f_i is quadratic, so is E: its minimum solves (A_i + coupling (1 - W)) h = b, a linear
system over the graph. Where f_i has curvature from m > 0 to L and lr (L + coupling (1 - W_ii)) <= 1, an
update shrinks the largest distance to the minimum, max_i |h_i - h*_i|, by 1 - lr m. So updates in any
order, from values of any bounded age, come to that one point, while an explicit network of layers whose
nodes act out of step gives other numbers for every order.
W: doubly stochastic and symmetric, so that E exists. Wire: 1 model per neighbor and update.
Reference: Solodova, Richardson, Oktay and Adams, Graph neural networks gone hogwild, 2025 (energies of
graph networks under asynchrony); Vanhaesebrouck, Bellet and Tommasi, Decentralized collaborative
learning of personalized models over networks, 2017 (this energy over models).
"""

from typing import NamedTuple

from ...core import tree
from ...core.checks import constant_rate, rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round


class QuadraticEnergyState(NamedTuple):
    """What the next update needs."""

    params: NodeTree  # h, one value per node


@struct
class QuadraticEnergy:
    """Personal models that minimise an energy over the graph, in rounds or each at its own time.

    Runs in rounds, and under `network.events`, e.g. `dejax.events.updates(age=3)`.

    Args:
      lr: step size, >= 0; scalar, [n] or a schedule.
      coupling: price of the distance of neighbors, >= 0, in units of curvature.
    Update: h <- h - lr (g(h) + coupling (h - W h)), W h of what was heard last
    Choose it for: personal models that lean on neighbors; nobody waits
    Identity: with quadratic f_i the fixed point solves the linear system, whatever the order and the
      ages of what was heard; with lr coupling = 1 a round is dsgd(order="awc"); coupling = 0 is local
      training.
    Reference: Solodova et al., 2025; Vanhaesebrouck et al., 2017.
    """

    lr: NodeFloatLike = number(check=rate)
    coupling: FloatLike = number(default=1.0, check=constant_rate)

    traits = Traits(footprint="neighbors", symmetric=True)

    def init(self, params: NodeTree, key: PRNGKey) -> QuadraticEnergyState:
        """Values start at the models."""
        del key
        return QuadraticEnergyState(params)

    def step(self, state: QuadraticEnergyState, round: Round) -> QuadraticEnergyState:
        """One descent along the energy at each node that acts."""
        h = state.params
        pull = tree.sub(h, round.gossip(h, heard=True))
        slope = tree.axpy(self.coupling, pull, round.gradient(h))
        return QuadraticEnergyState(tree.axpy(tree.map(lambda v: -v, round.rate(self.lr)), slope, h))


__all__ = ["QuadraticEnergy", "QuadraticEnergyState"]
