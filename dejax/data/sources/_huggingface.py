"""A `datasets.Dataset` that the user holds already, as a data set of dejax."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ...errors import bad
from ..dataset import Dataset, source
from ..pixels import Normalize
from ._own import from_arrays

IMAGES, LABELS = ("image", "img", "pixel_values", "x"), ("label", "labels", "fine_label", "y")


@runtime_checkable
class Table(Protocol):
    """What is used of a `datasets.Dataset`."""

    @property
    def column_names(self) -> list[str]:
        """The columns."""
        ...

    def __len__(self) -> int:
        """Rows."""
        ...

    def __getitem__(self, key: str) -> Any:
        """The values of a column."""
        ...


@source
def from_huggingface(
    dataset: Any,
    test: Any = None,
    *,
    x: str | None = None,
    y: str | None = None,
    group: str | None = None,
    num_classes: int | None = None,
    name: str = "huggingface",
    normalize: Normalize = False,
) -> Dataset:
    """Make a data set of a `datasets.Dataset`, or a dict of them, that was loaded before.

    Nothing is downloaded.

    Images become bytes [N, H, W, C], or [N, H, W] where they have one channel, which tasks see as float32 (`Pixels`);
    lists of numbers become arrays as in `from_arrays`.

    Args:
      dataset: has `column_names`, a length, and `dataset[column]`; or a mapping with "train" and maybe "test" and "validation".
      test: the same for testing, or None.
      x, y: columns; None: the first of image, img, pixel_values, x, and of label, labels, fine_label, y.
      group: column of the owner of each row, for `by_group`; None: none.
      num_classes: None: as many as the column's feature has, else the largest label + 1.
      name: for summaries.
      normalize: True: images less the mean and over the std of each channel; or (mean, std), [C] each.
    Raises:
      TypeError, ValueError: not such an object; a column that is missing; images of several sizes; or as for `from_arrays`.
    Example:
      >>> from_huggingface(datasets.load_from_disk("cifar10"), x="img")  # doctest: +SKIP
    """
    chosen = None
    if isinstance(dataset, Mapping):
        parts = dict(dataset)
        if "train" not in parts:
            instead = f"give one of them: {', '.join(map(str, parts))}"
            raise bad("dataset", owner="from_huggingface", says="is a mapping without 'train'", instead=instead)
        dataset, test = parts["train"], parts.get("test") if test is None else test
        chosen = parts.get("validation")
    tables = [dataset, *(table for table in (test, chosen) if table is not None)]
    for table in tables:
        if not isinstance(table, Table):
            says, instead = f"is a {type(table).__name__}", "give a datasets.Dataset, loaded before"
            raise bad("dataset", owner="from_huggingface", says=says, instead=instead)
    names = list(dataset.column_names)
    x, y = _column("x", x, IMAGES, names), _column("y", y, LABELS, names)
    if group is not None and group not in names:
        raise bad(
            "group", group, owner="from_huggingface", why="and no column", instead=f"there are: {', '.join(names)}"
        )
    arrays = [(_values(t[x], x), np.asarray(t[y])) for t in tables]
    owners = [None if group is None else np.asarray(t[group]) for t in tables]
    images = all(a.dtype == np.uint8 and a.ndim in (3, 4) for a, _ in arrays)
    feature = getattr(dataset, "features", None)
    known = getattr(feature[y], "num_classes", None) if isinstance(feature, Mapping) and y in feature else None
    return from_arrays(
        *arrays[0],
        None if test is None else arrays[1],
        groups=owners[0],
        test_groups=owners[1] if test is not None else None,
        validation=None if chosen is None else arrays[-1],
        num_classes=num_classes if num_classes is not None else known,
        name=name,
        pixels=images,
        normalize=normalize,
    )


def _column(field: str, given: str | None, usual: tuple[str, ...], names: list[str]) -> str:
    found = next((n for n in usual if n in names), None) if given is None else given
    if found not in names:
        says = "is not given" if given is None else None
        instead = f"there are: {', '.join(names)}"
        raise bad(field, given, owner="from_huggingface", says=says or "", why="and no column fits", instead=instead)
    return found


def _values(column: Any, name: str) -> np.ndarray:
    """A column as an array; images as bytes of one shape."""
    values = column if isinstance(column, np.ndarray) else [np.asarray(v) for v in column]
    shapes = {v.shape for v in values}
    if len(shapes) > 1:
        some = ", ".join(map(str, sorted(shapes)[:3]))
        instead = "resize images before: dataset.map(...)"
        raise bad("x", name, owner="from_huggingface", says=f"holds shapes {some}", why="and not one", instead=instead)
    return np.asarray(values)


__all__ = ["from_huggingface"]
