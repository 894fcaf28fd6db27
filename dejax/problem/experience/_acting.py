"""Acting: every node acts in worlds of its own, and learns from what happens there."""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.architectures import tasks_of
from ...core.checks import whole
from ...core.kinds import Experience
from ...core.random import draw_index, fold_in, fold_name, uniform
from ...core.struct import static, struct
from ...core.types import PRNGKey, Round, Tree
from ...errors import bad, call
from ..batch import Batch


@runtime_checkable
class HasWorld(Protocol):
    """A task that acts in a world."""

    world: Any
    act: Any


@struct
class Acting(Experience):
    """Act for a few steps in several worlds, which go on in the next round.

    The task has `world`, with `blank()`, `reset(start)`, `observe(state)` and
    `step(state, action) -> (state, reward, over)` of one world, and
    `act(params, observation, key) -> (action, facts)`, where facts is a dict of what its loss needs of that moment.
    An episode begins at a random row of the node's own data, where the last one is over.

    A batch has leaves [copies, steps, ...]: "observation", "action", "reward", "over" and the facts; and "last", the
    observation after the last step. Recorded as `reward`: the mean reward of a step.

    Args:
      steps: T >= 1 steps of each world for one batch, static.
      copies: worlds of each node, static.
    Raises:
      ValueError: steps or copies < 1; a task without a world.
    """

    steps: int = static(default=16, check=whole)
    copies: int = static(default=8, check=whole)
    world: Any = static(default=None, repr=False)

    def build(self, task: Any) -> "Acting":
        """The source for the worlds of this task."""
        tasks = tasks_of(task)  # one, or that of each architecture
        if not all(isinstance(own, HasWorld) for own in tasks):
            raise bad(
                "source",
                self,
                owner="Problem",
                why="which needs a world to act in, and the task has no world and act(params, observation, key)",
                instead="give a task that has them, e.g. " + call("dejax.tasks.grid_walk", size=5),
            )
        if any(own.world != tasks[0].world for own in tasks):
            why = "but the tasks of the architectures have worlds that differ"
            raise bad("source", self, owner="Problem", why=why, instead="give them worlds of one form")
        return dataclasses.replace(self, world=tasks[0].world)

    def init(self, key: PRNGKey, n: int) -> Any:
        """Worlds whose episodes are over."""
        del key
        return tree.tile(tree.tile(self.world.blank(), self.copies), n), jnp.ones((n, self.copies), bool)

    def collect(self, task: Any, params: Tree, memory: Tree, round: Round) -> tuple[Batch, Any]:
        """Act with each node's model."""
        data, rows = round.problem.data, round._rows
        del task
        one = lambda *own: self._of_node(round.of_task("act"), data.arrays["x"], *own)
        index, count = rows(data.index), rows(data.count)
        batch, memory = round.map(one, params, memory, round.call_keys, index, count)
        round.report("reward", batch["reward"].mean((1, 2)))
        return Batch(batch), memory

    def _of_node(
        self, act: Any, cells: jax.Array, params: Tree, memory: Tree, key: PRNGKey, index: jax.Array, count: jax.Array
    ) -> tuple[Any, Any]:
        world = self.world

        def step(memory: Tree, t: jax.Array) -> tuple[Any, Any]:
            (state, over), now = memory, fold_in(key, t)
            place = draw_index(uniform(fold_name(now, "start"), (self.copies,)), count)
            fresh = jax.vmap(world.reset)(jnp.asarray(cells)[index[place]])
            state = tree.where(over, fresh, state)
            seen = jax.vmap(world.observe)(state)
            action, facts = act(params, seen, fold_name(now, "act"))
            state, reward, over = jax.vmap(world.step)(state, action)
            return (state, over), {"observation": seen, "action": action, "reward": reward, "over": over, **facts}

        memory, path = jax.lax.scan(step, memory, jnp.arange(self.steps, dtype=jnp.int32))
        batch = tree.map(lambda x: jnp.moveaxis(x, 0, 1), path)
        return batch | {"last": jax.vmap(world.observe)(memory[0])}, memory


__all__ = ["Acting"]
