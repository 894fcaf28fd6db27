"""Tasks whose sizes are those of the data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


def check_sizes(name: str, sizes: Any, least: int = 0) -> None:
    """Raise ValueError unless `sizes` are `least` or more whole numbers >= 1. name: of the argument, e.g. "mlp.hidden"."""
    several = isinstance(sizes, Sequence) and not isinstance(sizes, str)
    if several and len(sizes) >= least and all(type(size) is int and size >= 1 for size in sizes):
        return
    some = f"{least} or more whole numbers" if least else "whole numbers"
    raise ValueError(f"{name} is {list(sizes) if several else sizes!r}; give a list of {some} >= 1, e.g. [64, 32]")


@dataclass(frozen=True)
class Sized:
    """A task that waits for data: `build(data)` reads input shape and number of classes, and gives the task.

    Args:
      make: (input size, classes) -> task. measure: shape of one example -> input size.
      features, classes: sizes that the caller fixed; None is read from the data.
    """

    make: Callable[[Any, int], Any]
    measure: Callable[[tuple[int, ...]], Any]
    features: Any = None
    classes: int | None = None

    def ready(self) -> Any:
        """The task itself when no size is missing, else self."""
        return self if None in (self.features, self.classes) else self.make(self.features, self.classes)

    def build(self, data: Any) -> Any:
        """The task for this data.

        Raises:
          ValueError: data without classes, or sizes that differ from those the caller fixed.
        """
        arrays = getattr(data, "arrays", None) or data.train
        size, classes = self.measure(tuple(arrays["x"].shape[1:])), data.num_classes
        if not (self.classes or classes):
            raise ValueError(
                f"data {data.name!r} has num_classes = 0 (regression), but this task classifies; give classes="
            )
        if self.features not in (None, size):
            raise ValueError(
                f"features is {self.features}, but examples of {data.name!r} have {size}; leave features out"
            )
        if self.classes is not None and self.classes < classes:
            raise ValueError(f"classes is {self.classes}, but {data.name!r} has {classes}; leave classes out")
        return self.make(size, self.classes or classes)
