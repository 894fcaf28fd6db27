"""DADAO: accelerated gradients and accelerated gossip, each at times of their own.

Between events the six vectors of a node flow, a linear equation that is solved exactly for the time that passed:

    dX = eta (Xt - X)            dY = a (Yt - Y)                     dZ = a (Zt - Z)
    dXt = eta (X - Xt)           dYt = -theta (nu Xt + Y + Z)        dZt = eta (Z - Zt)

    gradient at i        h = g_i(X_i) - nu X_i - Yt_i;   X_i -= gamma h;  Xt_i -= gamma_t h;  Yt_i += (delta + 1) h
    i and j meet         p = (Y + Z)_i - (Y + Z)_j;      Z_i -= p / 2;  Zt_i -= beta_t p;  j with the other sign

    nu = mu / 2, s = sqrt(nu / L):  a = delta = s / 4;  eta = s / 8;  theta = 1 / (2 s);  gamma = 1 / (4 L);
    gamma_t = 1 / (4 sqrt(L nu));  beta_t = 2 chi / s

X starts at the models, all else at zero. The matrix of the flow has no basis of eigenvectors, so that its
exponential is taken by scaling and squaring.
W: each meeting is a pairwise average, as often as the graph needs: chi is one over the least positive eigenvalue of
the Laplacian of the meetings' rates, where a node takes one gradient per second. Wire: 2 models per meeting.
Reference: Nabli and Oyallon, DADAO: decoupled accelerated decentralized asynchronous optimization, 2023. Equations,
constants and starts are those of the authors' public code, AdelNabli/DADAO.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import above
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import FloatLike, NodeTree, PRNGKey, Round, Tree
from ...errors import bad


class DadaoState(NamedTuple):
    """What the next event needs: each node's vectors as its own last event left them."""

    params: NodeTree  # X
    x_fast: NodeTree  # Xt
    y: NodeTree  # Y, ends at g_i - nu x
    y_fast: NodeTree  # Yt
    z: NodeTree  # Z, ends at minus the gradients
    z_fast: NodeTree  # Zt
    time: jax.Array  # [n], seconds of the node's last event


@struct
class Dadao:
    """DADAO: accelerated gradients and accelerated gossip; neither waits for the other.

    For strongly convex losses; a constant step leads to the optimum of the mean loss at a linear rate.
    Needs `network.events` that tell gradients from meetings, e.g. `dejax.events.decoupled()`. What is evaluated is X of all nodes at one
    time, that of the newest event.

    Args:
      smoothness: L > 0, the largest curvature of any node's loss.
      convexity: mu > 0, the least one; at most L.
      chi: `dejax.topology.edge_rates(topology).connectivity` under the default meetings; > 0.
    Update: at gradients a step of X along g - nu X - Yt; at meetings Z moves by the difference of Y + Z; between
      them X, Y, Z and their fast copies flow into each other
    Raises:
      ValueError: a number <= 0, or convexity above smoothness.
    Choose it for: strongly convex losses on badly connected graphs, where each edge has its own rate
    Identity: at the optimum X = Xt = x*, Y = Yt = g_i - nu x*, Z = Zt = -g_i nothing moves; sum_i Z_i = 0 when all
      nodes are at one time.
    Reference: Nabli and Oyallon, ICML 2023.
    """

    smoothness: FloatLike = number(check=above(0))
    convexity: FloatLike = number(check=above(0))
    chi: FloatLike = number(check=above(0))

    traits = Traits(
        footprint="pair", needs_events="apart", keeps_snapshot=True, sums_keep="sum(Z) = 0 of the dual variables"
    )

    def __post_init__(self) -> None:
        given = (self.smoothness, self.convexity)
        if all(isinstance(x, (int, float)) for x in given) and self.convexity > self.smoothness:
            why = f"but smoothness is {self.smoothness}, and no loss has a least curvature above its largest"
            raise bad("convexity", self.convexity, owner=self, why=why, instead="give convexity <= smoothness")

    def init(self, params: NodeTree, key: PRNGKey) -> DadaoState:
        """All but X at zero."""
        del key
        zero = lambda: tree.zeros(params)
        return DadaoState(params, zero(), zero(), zero(), zero(), zero(), jnp.zeros((tree.nodes(params),)))

    def step(self, state: DadaoState, round: Round) -> DadaoState:
        """Flow, then gradients, then meetings."""
        big, nu, s = self.scales()
        x, xt, y, yt, z, zt = self.flow(state, round.elapsed)
        shift = tree.sub(tree.sub(round.gradient(x), tree.scale(nu, x)), yt)
        h = round.keep(shift, tree.zeros(shift))
        x = tree.axpy(-1 / (4 * big), h, x)
        xt = tree.axpy(-1 / (4 * jnp.sqrt(big * nu)), h, xt)
        yt = tree.axpy(s / 4 + 1, h, yt)
        both = tree.add(y, z)
        half = tree.sub(both, round.gossip(both))  # p / 2 where two meet
        z, zt = tree.sub(z, half), tree.axpy(-4 * self.chi / s, half, zt)
        return DadaoState(x, xt, y, yt, z, zt, state.time + round.elapsed.astype(state.time.dtype))

    def model(self, state: DadaoState) -> NodeTree:
        """X of all nodes at the time of the newest event."""
        return self.flow(state, state.time.max() - state.time)[0]

    def scales(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """L, nu = mu / 2, and sqrt(nu / L)."""
        big, nu = jnp.asarray(self.smoothness), jnp.asarray(self.convexity) / 2
        return big, nu, jnp.sqrt(nu / big)

    def flow(self, state: DadaoState, seconds: jax.Array) -> list[Tree]:
        """The six vectors of each node after so many seconds [n] without an event."""
        _, nu, s = self.scales()
        a, eta, theta, o = s / 4, s / 8, 1 / (2 * s), jnp.zeros_like(s)
        matrix = jnp.stack([
            jnp.stack(row) for row in (
                (-eta, eta, o, o, o, o), (eta, -eta, o, o, o, o), (o, o, -a, a, o, o),
                (o, -theta * nu, -theta, o, -theta, o), (o, o, o, o, -a, a), (o, o, o, o, eta, -eta),
            )
        ])  # fmt: skip
        flows = jax.vmap(lambda t: jax.scipy.linalg.expm(t * matrix.astype(t.dtype)))(seconds)
        six = state[:6]
        weigh = lambda row: tree.map(
            lambda *leaves: sum(tree.over(flows[:, row, k].astype(x.dtype), x) * x for k, x in enumerate(leaves)), *six
        )
        return [weigh(row) for row in range(6)]


__all__ = ["Dadao", "DadaoState"]
