"""FAVANO: a server that never waits, and corrects what it takes for speed.

    each node, whoever is sampled: up to q_i = K steps w_i <- w_i - lr g_i(w_i) since it last heard the server, then it waits
    x <- (x + sum_S u_i) / (s + 1),   u_i = w0_i + (w_i - w0_i) / a_i;   for i in S: w_i, w0_i <- x, q_i <- 0

A round is the time between two events of the server: `interval` units, in each of which node i finishes a step with probability
speed_i. a_i makes E[(w_i - w0_i) / a_i] the same for all speeds while gradients do not change: "deterministic" a_i = E[q_i],
"stochastic" a_i = P(q_i > 0) q_i, and u_i = w0_i where q_i = 0; both at the time of an upload, which comes with probability s / n a
round. Speeds are the method's own, as no method reads the clock: network.clock counts seconds beside them, and nobody waits.
Wire: 1 model up and 1 down per sampled node and round. State: x, and w_i, w0_i, q_i, E[q_i], P(q_i > 0) of every node.
Reference: Leconte, Nguyen and Moulines, FAVANO: federated averaging with asynchronous nodes, 2023. From knowledge of the paper, not its
code: a_i, speeds and K are unconfirmed. a_i supposes that nobody sleeps and no upload is lost.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import choice, in_, rate, whole
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...optimizers import LocalStep
from .._parts import CLIENTS, at_server, check_cohort, cohort_of


class FavanoState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    models: NodeTree  # w_i, [n, ...]
    heard: NodeTree  # w0_i, [n, ...]: the server's model when the node last heard it
    steps: jax.Array  # q_i, int32 [n]
    mean_steps: jax.Array  # E[q_i] at an upload, [n]
    moved: jax.Array  # P(q_i > 0) at an upload, [n]


@struct
class Favano:
    """Asynchronous federated averaging that is unbiased though nodes are of unequal speed.

    Nodes count alike.

    Args:
      lr: step size at the nodes, >= 0; scalar, [n] or a schedule.
      clients: s, nodes that the server hears per round, 1 <= s <= n; None takes all; static. All nodes compute.
      local_steps: K >= 1, steps after which a node waits, static.
      speed: probability that a node finishes a step in a unit of time, in (0, 1]; scalar or [n].
      interval: units of time in a round, >= 1, static.
      alpha: "stochastic" (default) or "deterministic", how a_i is found; static.
    Update: sampled nodes upload what they have done since they last heard x, over a_i, their mean number of
      steps
    Choose it for: servers that do not wait, without bias by speed
    Raises:
      ValueError: speed outside (0, 1]; clients, local_steps or interval < 1; another alpha.
    Identity: x stays where nobody has moved from it; speed 1, interval >= K and all nodes: x moves by the sum of (w_i - x) / K, over n + 1.
    Reference: Leconte et al., FAVANO: federated averaging with asynchronous nodes, 2023.
    """

    lr: NodeFloatLike = number(check=rate)
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: int = static(default=20, check=whole)
    speed: NodeFloatLike = number(default=0.5, check=in_(0, 1, "(]", "a probability"))
    interval: int = static(default=4, check=whole)
    alpha: str = static(default="stochastic", check=choice("stochastic", "deterministic"))

    @property
    def traits(self) -> Traits:
        """A server that hears a cohort while all nodes compute."""
        return Traits(channel="server", server=self.clients or "all")

    def init(self, params: NodeTree, key: PRNGKey) -> FavanoState:
        """All nodes have heard the server's model; `start` finds what a_i needs."""
        del key
        check_cohort(self, params)
        n = tree.leaves(params)[0].shape[0]
        copy = lambda: tree.map(lambda x: x + 0, params)
        ones = lambda: jnp.ones((n,), float)
        return FavanoState(at_server(params), copy(), copy(), jnp.zeros((n,), jnp.int32), ones(), ones())

    def start(self, state: FavanoState, round: Round) -> FavanoState:
        """How many steps a node of its speed has done, on average, when it is sampled."""
        share = 1.0 if self.clients is None else self.clients / round.n
        at_upload = jax.vmap(lambda speed: self._steps_at_upload(speed, share))(self.speeds(round))
        mean = at_upload @ jnp.arange(self.local_steps + 1, dtype=at_upload.dtype)
        return state._replace(mean_steps=mean, moved=1 - at_upload[:, 0])

    def step(self, state: FavanoState, round: Round) -> FavanoState:
        """All nodes go on; the server hears some."""
        speed, q = self.speeds(round), state.steps
        one = lambda key, speed: (jax.random.uniform(key, (self.interval,), float) < speed).sum(dtype=jnp.int32)
        done = jnp.minimum(jax.vmap(one)(round.node_keys("pace"), speed), self.local_steps - q)
        most = min(self.interval, self.local_steps)
        w, _ = round.local_steps(state.models, (), LocalStep(self.lr, None), most, steps=done)
        q = round.keep(q + done, q)

        cohort = cohort_of(self, round)
        mine, start, steps = cohort.take(w), cohort.take(state.heard), cohort.take(q)
        a = cohort.take(state.moved) * steps if self.alpha == "stochastic" else cohort.take(state.mean_steps)
        inverse = jnp.where(steps > 0, 1 / jnp.where(a > 0, a, 1), 0)
        x = tree.tile(state.params, cohort.n)
        unbiased = tree.axpy(inverse, tree.sub(mine, start), start)
        arrived = jnp.ones((cohort.n,), bool) if cohort.uploads is None else cohort.uploads
        share = arrived.sum() / (arrived.sum() + 1)
        new = tree.axpy(share, cohort.average(tree.sub(unbiased, x)), state.params)
        models, heard = (tree.where(arrived, tree.tile(new, cohort.n), old) for old in (mine, start))
        q = cohort.put(q, jnp.where(arrived, 0, steps))
        return state._replace(params=new, models=cohort.put(w, models), heard=cohort.put(state.heard, heard), steps=q)

    def speeds(self, round: Round) -> jax.Array:
        return jnp.broadcast_to(jnp.asarray(round.rate(self.speed), float), (round.n,))

    def _steps_at_upload(self, speed: jax.Array, share: float) -> jax.Array:
        """Probabilities [K + 1] of q steps at an upload, which comes with `share` a round."""
        k = self.local_steps
        unit = jnp.eye(k + 1, dtype=float) * (1 - speed) + jnp.eye(k + 1, k=1, dtype=float) * speed
        unit = unit.at[k, k].set(1.0)  # row: steps before, column: after one unit of time
        one_round = jnp.linalg.matrix_power(unit, self.interval)
        ends = jnp.eye(k + 1, dtype=float) - (1 - share) * one_round  # sum over rounds without an upload
        return share * jnp.linalg.solve(ends.T, one_round[0])


__all__ = ["Favano", "FavanoState"]
