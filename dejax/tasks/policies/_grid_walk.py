"""Walk to a corner of a grid: a small world, and the actor and critic that learn in it."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

from ...core.checks import choice, in_, whole
from ...core.made import recorded
from ...core.struct import frozen, static
from ...core.types import Keys, Tree

MOVES = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
LIMIT = 4  # an episode ends after LIMIT * size steps


@dataclasses.dataclass(frozen=True)
class GridWorld:
    """A square of cells; episodes end in the last corner, with reward 1, or after 4 size steps.

    A state is {"at": int32 [2], "age": int32 []}.
    """

    size: int

    def blank(self) -> dict[str, jax.Array]:
        """A state, of which only the form counts."""
        return self.reset(jnp.zeros(2, jnp.int32))

    def reset(self, start: jax.Array) -> dict[str, jax.Array]:
        """An episode begins in the cell `start` [2]."""
        return {"at": jnp.asarray(start, jnp.int32), "age": jnp.zeros((), jnp.int32)}

    def observe(self, state: Tree) -> jax.Array:
        """[2 size]: row and column, one place each."""
        return jax.nn.one_hot(state["at"], self.size, dtype=float).ravel()

    def step(self, state: Tree, action: jax.Array) -> tuple[Any, jax.Array, jax.Array]:
        """(state, reward, over) after an action: stay, or one of four moves; walls stop them."""
        at = jnp.clip(state["at"] + jnp.asarray(MOVES, jnp.int32)[action], 0, self.size - 1)
        there, age = jnp.all(at == self.size - 1), state["age"] + 1
        return {"at": at, "age": age}, there.astype(float), there | (age >= LIMIT * self.size)


@frozen
class GridWalk:
    """Learn to walk to the corner: an actor and a critic on one hidden layer.

    Source of its batches: `dejax.experience.acting`.

    The data are cells in which episodes begin (`dejax.data.cells`). The loss of one world's path of T steps is

        mean_t of   -min(r_t A_t, clip(r_t, 1 - clip, 1 + clip) A_t)   ("ppo"),  or  -A_t log p_t  ("reinforce")
                    + value (V_t - R_t)^2 / 2 - entropy H_t

    with A_t the generalized advantages, R_t = A_t + V_t, r_t = p_t / p_t as the node acted. Measured: the return of
    the likeliest actions, from each cell of the test set, discounted.

    Args:
      size: of the grid, >= 1, static. hidden: width of the layer, static. objective: "ppo" or "reinforce", static.
      discount, trace: gamma and lambda of the advantages, in [0, 1]. clip, value, entropy: see above; static.
    Raises:
      ValueError: numbers outside of their ranges.
    Reference: Schulman, Wolski, Dhariwal, Radford and Klimov, Proximal policy optimization algorithms, 2017; Williams,
      Simple statistical gradient-following algorithms for connectionist reinforcement learning, 1992.
    """

    size: int = static(default=5, check=whole)
    hidden: int = static(default=32, check=whole)
    objective: str = static(default="ppo", check=choice("ppo", "reinforce"))
    discount: float = static(default=0.95, check=in_(0, 1))
    trace: float = static(default=0.95, check=in_(0, 1))
    clip: float = static(default=0.2, check=in_(0, 1))
    value: float = static(default=0.5, check=in_(0, 1))
    entropy: float = static(default=0.01, check=in_(0, 1))

    @property
    def world(self) -> GridWorld:
        """Where it acts."""
        return GridWorld(self.size)

    def init(self, key: jax.Array) -> dict[str, Any]:
        """A random hidden layer; actor and critic that begin at zero."""
        kernel = jax.random.normal(key, (2 * self.size, self.hidden), float)
        dense = lambda kernel: {"kernel": kernel, "bias": jnp.zeros(kernel.shape[1])}
        zero = lambda width: dense(jnp.zeros((self.hidden, width)))
        return {"hidden": dense(kernel), "actor": zero(len(MOVES)), "critic": zero(1)}

    def _both(self, params: Tree, seen: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Log probabilities [..., actions] and values [...] of observations [..., f]."""

        def dense(name: str, x: jax.Array) -> jax.Array:
            y = x @ params[name]["kernel"]
            return y + jnp.broadcast_to(params[name]["bias"], y.shape)

        h = jnp.tanh(dense("hidden", seen))
        return jax.nn.log_softmax(dense("actor", h)), dense("critic", h)[..., 0]

    def act(self, params: Tree, seen: jax.Array, key: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Actions int [copies] drawn by the actor, and their log probabilities."""
        log_p, _ = self._both(params, seen)
        action = jax.random.categorical(key, log_p)
        return action, {"log_p": jnp.take_along_axis(log_p, action[..., None], -1)[..., 0]}

    def loss(self, params: Tree, batch: Tree, key: Keys | None = None) -> jax.Array:
        """[copies]: one loss for each world's path, leaves [copies, T, ...]."""
        del key
        log_p, v = self._both(params, batch["observation"])
        _, last = self._both(params, batch["last"])
        a = lax.stop_gradient(advantages(batch["reward"], batch["over"], v, last, self.discount, self.trace))
        own = jnp.take_along_axis(log_p, batch["action"][..., None], -1)[..., 0]
        if self.objective == "ppo":
            ratio = jnp.exp(own - batch["log_p"])
            gain = jnp.minimum(ratio * a, jnp.clip(ratio, 1 - self.clip, 1 + self.clip) * a)
        else:
            gain = own * a
        error = jnp.square(v - a - lax.stop_gradient(v)) / 2
        entropy = -(jnp.exp(log_p) * log_p).sum(-1)
        return (-gain + self.value * error - self.entropy * entropy).mean(1)

    def metrics(self, params: Tree, batch: Tree) -> dict[str, jax.Array]:
        """{"return": [B]}: discounted, of the likeliest actions, from the cells batch["x"] [B, 2]."""
        world = self.world
        state = jax.vmap(world.reset)(batch["x"])

        def step(carry: Tree, t: jax.Array) -> tuple[Any, None]:
            state, running, total = carry
            action = self._both(params, jax.vmap(world.observe)(state))[0].argmax(-1)
            state, reward, over = jax.vmap(world.step)(state, action)
            total = total + jnp.where(running, reward * self.discount ** t.astype(reward.dtype), 0)
            return (state, running & ~over, total), None

        begin = state, jnp.ones(batch["x"].shape[:1], bool), jnp.zeros(batch["x"].shape[:1])
        return {"return": lax.scan(step, begin, jnp.arange(LIMIT * self.size))[0][2]}


def advantages(
    reward: jax.Array, over: jax.Array, value: jax.Array, last: jax.Array, discount: float, trace: float
) -> jax.Array:
    """Generalized advantages [copies, T].

    A_t = d_t + gamma lambda A_{t+1}, d_t = r_t + gamma V_{t+1} - V_t.

    Where an episode is over at t, V_{t+1} and A_{t+1} are 0. last: [copies], the value after the last step.
    """
    after = jnp.concatenate([value[:, 1:], last[:, None]], 1)
    alive = 1 - over.astype(value.dtype)
    change = reward + discount * alive * after - value

    def back(later: jax.Array, now: Any) -> tuple[jax.Array, jax.Array]:
        change, alive = now
        here = change + discount * trace * alive * later
        return here, here

    return lax.scan(back, jnp.zeros_like(last), (change.T, alive.T), reverse=True)[1].T


@recorded()
def grid_walk(
    size: int = 5,
    hidden: int = 32,
    objective: Literal["ppo", "reinforce"] = "ppo",
    discount: float = 0.95,
    trace: float = 0.95,
    clip: float = 0.2,
    value: float = 0.5,
    entropy: float = 0.01,
) -> GridWalk:
    """Learn to walk to the last corner of a grid, by acting in it: see `GridWalk`.

    Args:
      size: of the grid. hidden: width of the layer. objective: "ppo" or "reinforce".
      discount, trace: gamma and lambda of the advantages. clip: of PPO's ratio. value, entropy: weights of the
        critic's error and of the actor's entropy.
    Raises:
      ValueError: numbers outside of their ranges.
    Reference: Schulman et al., Proximal policy optimization algorithms, 2017.
    """
    return GridWalk(size, hidden, objective, discount, trace, clip, value, entropy)


__all__ = ["GridWalk", "GridWorld", "advantages", "grid_walk"]
