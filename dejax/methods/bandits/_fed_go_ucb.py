"""Fed-GO-UCB: nodes pull arms by optimism, and add up what they learned when it pays.

In the first `explore` rounds a node pulls an arm at random, and a server descends along the squared errors: w0 <- w0 - lr
mean_i grad e_i. From then on w0 stays, and f is linear around it. Node i, with q_a = grad f_a(w_i), pulls

    a = argmax f_a(w_i) + sqrt(beta q_a' S_i^-1 q_a),   w_i = S_i^-1 (b_i + lam w0)
    q = grad f_a(w0);   S_i <- S_i + q q';   b_i <- b_i + q (q' w0 + y_a - f_a(w0))

S_i starts at lam I, b_i at 0. Where rounds since the last sum times log(det S_i / det(S_i before what it has not sent)) > gamma
at any node, all send what they have added; the server adds it up, and all go on from its S and b.

Arms of a round are the rows of a node's batch, with reward batch["y"], where the task says one number of a row; else pairs of a
row and a class, with reward 1 where the class is right: one row a batch is the usual contextual bandit.
Wire: d^2 + d numbers each way per node and sum, and 1 model each way in a round of exploring. Memory: 2 (d^2 + d) numbers per
node, for models of a few hundred parameters. Work: a gradient of every arm in each round, counted as one forward pass. `regret`
is reported: the best reward of the batch less that of the arm.
Reference: Li, Liu and Wang, Communication-efficient federated non-linear bandit optimization, 2024: phases and trigger after
public reviews, formulas from knowledge; the score above is the linearized one. Their regression before the second phase is here
one step of descent for each arm pulled.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import above, at_least, natural, rate
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import at_server

GRAMS = "sums of outer products must stay as they are; leave it out"


class Evidence(NamedTuple):
    """What was learned of the reward: S (or what is added to it) and b."""

    gram: jax.Array  # [..., d, d]
    target: jax.Array  # [..., d]


class FedGoUcbState(NamedTuple):
    """What the next round needs."""

    params: Tree  # w0, no node axis
    server: Evidence  # lam I and all that was sent, no node axis
    known: Evidence  # per node: the server's as it was last heard, and what it has added since
    unsent: Evidence  # per node: what it has added since
    since: jax.Array  # int32 [n], rounds since the last sum


@struct
class FedGoUcb:
    """Federated bandits with a nonlinear reward: explore, then optimism around the fitted model.

    The task needs `answer`, and the data "y". Evaluated is S^-1 (b + lam w0) of the server.

    Args:
      lr: step of the server in rounds of exploring, >= 0; a number or a schedule.
      explore: T0, rounds of exploring, >= 0, static.
      beta: squared width of the confidence ball, >= 0; 0 is greedy.
      lam: > 0, weight of w0.
      gamma: threshold of a sum, >= 0; 0 adds up in every round, a large one never.
    Update: pull argmax f_a + sqrt(beta) norm(grad f_a) in S^-1; S <- S + q q'; sums where a node has
      learned enough
    Choose it for: rewards of what nodes choose, nonlinear, by models of a few hundred parameters
    Raises:
      ValueError: beta or gamma < 0; lam <= 0; explore < 0.
      TypeError: a task without `answer`.
    Identity: S of the server = lam I + all that was sent; S_i less what is not sent = the last S that node i heard. As
      lam -> 0 a reward linear in w makes w0 cancel: event-triggered federated LinUCB. gamma = 0: all nodes know all pulls.
    Reference: Li, Liu and Wang, ICLR 2024.
    """

    lr: FloatLike = number(default=0.1, check=rate)
    explore: int = static(default=10, check=natural)
    beta: FloatLike = number(default=1.0, check=at_least(0))
    lam: FloatLike = number(default=1.0, check=above(0))
    gamma: FloatLike = number(default=1.0, check=at_least(0))

    traits = Traits(channel="server", raw_losses=True, averages=False, needs_sums=GRAMS, needs_exact=GRAMS)

    def init(self, params: NodeTree, key: PRNGKey) -> FedGoUcbState:
        """The common start; S = lam I, b = 0."""
        del key
        flat = tree.flat(params)
        (n, d), dtype = flat.shape, jnp.promote_types(flat.dtype, jnp.float32)
        server = Evidence(jnp.asarray(self.lam, dtype) * jnp.eye(d, dtype=dtype), jnp.zeros((d,), dtype))
        unsent = Evidence(jnp.zeros((n, d, d), dtype), jnp.zeros((n, d), dtype))
        return FedGoUcbState(
            at_server(params), server, tree.add(unsent, tree.tile(server, n)), unsent, jnp.zeros((n,), jnp.int32)
        )

    def model(self, state: FedGoUcbState) -> Tree:
        """The server's estimate of w, which is w0 while nothing was sent."""
        return at_server(self.estimate(tree.map(lambda x: x[None], state.server), state.params))

    def estimate(self, known: Evidence, start: Tree) -> NodeTree:
        """S^-1 (b + lam w0) of evidence with a leading axis: models [n, ...]."""
        n, w0 = len(known.target), tree.flat(tree.map(lambda x: x[None], start)).astype(known.target.dtype)
        right = known.target + jnp.asarray(self.lam, w0.dtype) * w0
        solved = jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(known.gram), True), right[..., None])[..., 0]
        return tree.unflat(solved, tree.tile(start, n))

    def step(self, state: FedGoUcbState, round: Round) -> FedGoUcbState:
        """Explore, or pull by optimism and add up where it pays."""
        exploring = round.index < self.explore
        rewards = _rewards(round.of_task("answer"))
        batch = round.batch()
        carry = state, jnp.zeros((round.n,), state.server.target.dtype)
        carry = round.when(exploring, lambda r, carry: self.fit(r, carry[0], batch, rewards), carry, name="explore")
        pull = lambda r, carry: self.pull(r, carry[0], batch, rewards)
        state, regret = round.when(~exploring, pull, carry, name="pull")
        round.report("regret", regret)
        return state

    def fit(self, round: Round, state: FedGoUcbState, batch: Any, rewards: Callable[..., Any]) -> Any:
        """One arm at random at every node, and a step along their squared errors."""

        def one(whole: Tree, rows: Any, key: PRNGKey, w: Tree) -> Any:
            paid = rewards(w, whole, rows)[1]
            arm = jax.random.randint(key, (), 0, len(paid))
            slope = jax.grad(lambda w: 0.5 * jnp.square(rewards(w, whole, rows)[0][arm] - paid[arm]))(w)
            return slope, paid.max() - paid[arm]

        at = tree.tile(state.params, round.n)
        slopes, regret = round.forward(one, at, at, batch=batch)
        w = tree.axpy(-jnp.asarray(round.rate(self.lr)), round.average(slopes), state.params)
        return FedGoUcbState(w, *state[1:]), regret.astype(state.server.target.dtype)

    def pull(self, round: Round, state: FedGoUcbState, batch: Any, rewards: Callable[..., Any]) -> Any:
        """The arm of the best case at every node, and a sum where one of them asks for it."""

        def one(whole: Tree, rows: Any, key: PRNGKey, at: Tree, start: Tree, gram: jax.Array) -> Any:
            del key
            said, paid = rewards(at, whole, rows)
            slopes = tree.flat(jax.jacrev(lambda w: rewards(w, whole, rows)[0])(at)).astype(gram.dtype)  # [arms, d]
            wide = jnp.square(jax.scipy.linalg.solve_triangular(jnp.linalg.cholesky(gram), slopes.T, lower=True)).sum(0)
            arm = jnp.argmax(said.astype(wide.dtype) + jnp.sqrt(jnp.asarray(self.beta, wide.dtype) * wide))
            f, slope = jax.value_and_grad(lambda w: rewards(w, whole, rows)[0][arm])(start)
            q, w0 = (tree.flat(tree.map(lambda x: x[None], one))[0].astype(gram.dtype) for one in (slope, start))
            gained = jnp.vdot(q, w0, precision="highest") + (paid[arm] - f).astype(gram.dtype)
            return Evidence(q[:, None] * q[None], q * gained), (paid.max() - paid[arm]).astype(gram.dtype)

        start = tree.tile(state.params, round.n)
        at = self.estimate(state.known, state.params)
        new, regret = round.forward(one, at, at, start, state.known.gram, batch=batch)
        known, unsent = (round.keep(tree.add(old, new), old) for old in (state.known, state.unsent))
        since = round.keep(state.since + 1, state.since)
        grown = _log_det(known.gram) - _log_det(known.gram - unsent.gram)
        asks = since.astype(grown.dtype) * grown > jnp.asarray(self.gamma, grown.dtype)
        asks = asks if round.awake is None else asks & round.awake
        state = FedGoUcbState(state.params, state.server, known, unsent, since)
        return round.when(asks.any(), self.add_up, state, name="sum"), regret

    def add_up(self, round: Round, state: FedGoUcbState) -> FedGoUcbState:
        """All send what they have added, and go on from the sum; who is not heard sends later."""
        heard = jnp.ones((round.n,), bool) if round.uploads is None else round.uploads
        mean = round.average(state.unsent)
        server = tree.axpy(heard.sum().astype(mean.target.dtype), mean, state.server)
        unsent = tree.where(heard, tree.zeros(state.unsent), state.unsent)
        known = tree.add(tree.tile(server, round.n), unsent)
        return FedGoUcbState(state.params, server, known, unsent, jnp.where(heard, 0, state.since))


def _rewards(answer: Callable[..., Any]) -> Callable[..., Any]:
    """(own leaves, whole model, batch) -> what is expected of each arm, and what it pays."""

    def rewards(w: Tree, whole: Tree, rows: Any) -> tuple[jax.Array, jax.Array]:
        said, y = answer(tree.join(w, whole), rows), rows["y"]
        if said.shape == (*y.shape, 1):
            said = said[..., 0]
        paid = y if said.ndim == y.ndim else jax.nn.one_hot(y, said.shape[-1])
        return said.reshape(-1), paid.reshape(-1).astype(said.dtype)

    return rewards


def _log_det(gram: jax.Array) -> jax.Array:
    """[n]: log det of positive definite matrices [n, d, d]."""
    return 2 * jnp.log(jnp.diagonal(jnp.linalg.cholesky(gram), axis1=-2, axis2=-1)).sum(-1)


__all__ = ["Evidence", "FedGoUcb", "FedGoUcbState"]
