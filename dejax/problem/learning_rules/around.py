"""Learning rules around another one: what they say of themselves is what that one says."""

from typing import Annotated, Any

import jax

from ...core.kinds import LearningRule
from ...core.types import Keys, Task, Tree

Inside = Annotated[Any, "learning_rule"]  # for configs, in which `rule` alone would be one of a network


class Around(LearningRule):
    """Do as the rule inside does, in all that a class does not write anew."""

    rule: Inside  # the rule inside, a field of each class

    @property
    def per_example(self) -> bool:
        """As of the rule inside."""
        return self.rule.per_example

    @property
    def any_loss(self) -> bool:
        """As of the rule inside."""
        return self.rule.any_loss

    @property
    def work(self) -> float:
        """As of the rule inside."""
        return self.rule.work

    def init(self, params: Tree, key: Keys) -> Any:
        """The memory of the rule inside."""
        return self.rule.init(params, key)

    def check(self, task: Task) -> None:
        """As the rule inside."""
        self.rule.check(task)

    def direction(self, task: Task, params: Tree, batch: Tree, key: Keys, memory: Tree) -> tuple[jax.Array, Any, Any]:
        """That of the rule inside."""
        return self.rule.direction(task, params, batch, key, memory)

    def finish(self, params: Tree, memory: Tree, key: Keys) -> tuple[Any, Any]:
        """As the rule inside."""
        return self.rule.finish(params, memory, key)


class Changing(Around):
    """Do so, and change the direction: of the mean over a batch, and of the task's own loss."""

    @property
    def per_example(self) -> bool:
        """No: what is changed is the mean over a batch, not what each example gives."""
        return False

    @property
    def any_loss(self) -> bool:
        """No: what a method makes of losses of its own may be no direction of descent."""
        return False


__all__ = ["Around", "Changing", "Inside"]
