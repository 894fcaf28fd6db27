"""Tasks whose sizes are those of the data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core.checks import whole
from ..core.made import pass_on
from ..core.types import Tree
from ..errors import bad


@dataclass(frozen=True)
class Sized:
    """A task that waits for data: `build(data)` reads input shape and classes, makes the task.

    Args:
      make: (input size, classes) -> task. measure: shape of one example -> input size.
      features, classes: sizes that the caller fixed; None is read from the data. field: what the
        caller calls `features`.
    Raises:
      TypeError, ValueError: classes that are no whole number >= 1.
    """

    make: Callable[[Any, int], Any]
    measure: Callable[[tuple[int, ...]], Any]
    features: Any = None
    classes: int | None = None
    field: str = "features"

    def __post_init__(self) -> None:
        if self.classes is not None:
            object.__setattr__(self, "classes", whole("classes", self.classes))

    def ready(self) -> Any:
        """The task itself when no size is missing, else self."""
        return self if None in (self.features, self.classes) else self.make(self.features, self.classes)

    def build(self, data: Tree) -> Any:
        """The task for this data.

        Raises:
          ValueError: data without classes, or sizes that differ from those the caller fixed.
        """
        arrays = getattr(data, "arrays", None) or data.train
        if isinstance(arrays["x"], dict):
            why = f"but x of {data.name!r} is a dict of {', '.join(arrays['x'])}, which this task cannot join"
            instead = "write a module that takes it, in dejax.tasks.flax(...)"
            raise bad(self.field, says="is taken from the data", why=why, instead=instead)
        size, classes = self.measure(tuple(arrays["x"].shape[1:])), data.num_classes
        if not (self.classes or classes):
            raise ValueError(
                f"data {data.name!r} has num_classes = 0 (regression), but this task classifies; give classes="
            )
        if self.features not in (None, size):
            raise bad(
                self.field,
                self.features,
                why=f"but examples of {data.name!r} have {size}",
                instead=f"leave {self.field} out",
            )
        if self.classes is not None and self.classes < classes:
            raise bad("classes", self.classes, why=f"but {data.name!r} has {classes}", instead="leave classes out")
        return pass_on(self, self.make(size, self.classes or classes))
