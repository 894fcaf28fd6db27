"""Semi-decentralized SGD: gossip, and every H rounds K sampled nodes average at a server.

    x_i <- sum_j W_ij (x_j - lr g_j(x_j));   if t + 1 is a multiple of H: m = (1/K) sum_S x_j over K sampled nodes, and
    S2S (to = "sampled"): x_i <- m for i in S;        S2A (to = "all"): x_i <- m for all i

The graph may fall into components: W makes nodes of one alike, the server alone brings components together.
W: row sums 1 keep a consensus; column sums 1 too keep the mean.
Wire: 1 model per directed edge and round; every H rounds K up, and K (S2S) or n (S2A) down. S2A uploads differences to its last
result, which all know; who slept through that one has to fetch it, uncounted. State: x_i, and for S2A the last result.
Who sleeps keeps its model, in S2S also whose upload is lost; where no upload arrives all do.
Reference: Rodio, Neglia, Chen and Larsson, A unified convergence analysis for semi-decentralized learning: sampled-to-sampled vs.
sampled-to-all communication, 2025 (AAAI 2026), after a summary of it; in which rounds of the first H the server meets its nodes
is taken from no code.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import choice, rate, whole
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import CLIENTS, check_cohort, cohort_of


class SemiDecentralizedState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # x, one model per node
    server: Tree  # S2A: the server's last result, no node axis; S2S: ()


@struct
class SemiDecentralized:
    """Gossip, and every H rounds an average of K sampled nodes at a server: S2S or S2A.

    Args:
      lr: step size, >= 0; scalar, [n] or a schedule.
      every: H >= 1, rounds from one meeting at the server to the next, static; the paper takes 5 to 20.
      clients: K, nodes sampled, 1 <= K <= n; None takes all; static; the paper takes n / 5.
      to: who gets the result: those "sampled" (S2S, default) or "all" (S2A); static.
    Update: x <- W (x - lr g); every H rounds K sampled nodes average at a server, to="sampled" (S2S) or
      to="all" (S2A)
    Choose it for: components that no link joins
    Raises:
      ValueError: every or clients < 1; another value of to.
    Identity: with D = sum_i ||x_i - xbar||^2 before a meeting, S2S keeps xbar and leaves (n - K) / (n - 1) D on average; S2A leaves 0 and
      moves xbar by (n - K) / (n K (n - 1)) D on average, squared. K = n: both are Gossip-PGA after an average with neighbors. H longer
      than the run is D-PSGD (atc).
    Reference: Rodio, Neglia, Chen and Larsson, A unified convergence analysis for semi-decentralized learning, 2025.
    """

    lr: NodeFloatLike = number(check=rate)
    every: int = static(default=10, check=whole)
    clients: int | None = static(default=None, check=CLIENTS)
    to: str = static(default="sampled", check=choice("sampled", "all"))

    @property
    def traits(self) -> Traits:
        """Gossip, and a server that averages sampled nodes."""
        return Traits(weights=("doubly", "row"), server=self.clients or "all")

    def init(self, params: NodeTree, key: PRNGKey) -> SemiDecentralizedState:
        """Start from the given models; uploads of S2A first differ from their mean."""
        del key
        check_cohort(self, params)
        server = tree.map(lambda x: x.mean(0), params) if self.to == "all" else ()
        return SemiDecentralizedState(params, server)

    def step(self, state: SemiDecentralizedState, round: Round) -> SemiDecentralizedState:
        """One step, an average with neighbors, and at times one at the server."""
        z = tree.sub(state.params, tree.scale(round.rate(self.lr), round.gradient(state.params)))
        x = round.gossip(round.keep(z, state.params))
        meet = self.sampled_to_sampled if self.to == "sampled" else self.sampled_to_all
        now = (round.index + 1) % self.every == 0
        return SemiDecentralizedState(*round.when(now, meet, (x, state.server)))

    def sampled_to_sampled(self, round: Round, carry: Tree) -> Any:
        x, server = carry
        cohort = cohort_of(self, round)
        return cohort.put(x, cohort.merge(cohort.take(x))), server

    def sampled_to_all(self, round: Round, carry: Tree) -> Any:
        x, server = carry
        cohort = cohort_of(self, round)
        far = tree.sub(cohort.take(x), tree.tile(server, cohort.n))
        mean = tree.add(server, cohort.average(far, downloads=0))
        heard = jnp.asarray(True) if cohort.uploads is None else cohort.uploads.any()
        gets = heard if round.awake is None else heard & round.awake
        return tree.where(jnp.broadcast_to(gets, (round.n,)), round.broadcast(mean), x), mean


__all__ = ["SemiDecentralized", "SemiDecentralizedState"]
