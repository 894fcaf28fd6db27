"""A `datasets.Dataset` that the user holds already, as a data set of dejax."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ...errors import bad
from ..dataset import Dataset, source
from ..pixels import Normalize
from ._folders import PARTS
from ._own import from_arrays
from .pictures import GRAY, is_picture, picture

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

    Images become bytes [N, H, W, 3], or [N, H, W] where all parts hold gray ones alone, which tasks see as float32
    (`Pixels`): palettes and CMYK become colors, 16 bits a pixel become 8. Arrays of bytes keep their channels; lists of
    numbers become arrays as in `from_arrays`.

    Args:
      dataset: has `column_names`, a length, and `dataset[column]`; or a mapping with "train" and maybe "test" and
        "validation" (or "val", or "valid").
      test: the same for testing, or None.
      x, y: columns; None: the first of image, img, pixel_values, x, and of label, labels, fine_label, y.
      group: column of the owner of each row of all parts, for `by_group`; None: none.
      num_classes: None: as many as the column's feature has, else the largest label + 1.
      name: for summaries.
      normalize: True: images less the mean and over the std of each channel; or (mean, std), [C] each.
    Raises:
      TypeError, ValueError: not such an object; a part of another name, or two of one; a column that a part lacks; images of
        several sizes or with transparent pixels; lists of several lengths; or as for `from_arrays`.
    Example:
      >>> from_huggingface(datasets.load_from_disk("cifar10"), x="img")  # doctest: +SKIP
    """
    tables = {"train": dataset}
    if isinstance(dataset, Mapping):
        tables = _parts(dataset)
    if test is not None:
        if "test" in tables:
            raise bad(
                "test", owner="from_huggingface", says="is given", why="and so is dataset['test']", instead="give one"
            )
        tables["test"] = test
    for part, table in tables.items():
        if not isinstance(table, Table):
            says, instead = f"is a {type(table).__name__}", "give a datasets.Dataset, loaded before"
            raise bad("test" if part == "test" else "dataset", owner="from_huggingface", says=says, instead=instead)
    names = list(tables["train"].column_names)
    x, y = _column("x", x, IMAGES, names), _column("y", y, LABELS, names)
    for field, column in (("x", x), ("y", y), ("group", group)):
        for part, table in tables.items():
            if column is not None and column not in (there := list(table.column_names)):
                why = f"and no column of the {part} part"
                raise bad(field, column, owner="from_huggingface", why=why, instead=f"there are: {', '.join(there)}")
    columns = {part: _cells(table[x]) for part, table in tables.items()}
    gray = all(v.mode in GRAY for column in columns.values() for v in column if is_picture(v))
    arrays = {part: (_values(column, x, gray), np.asarray(tables[part][y])) for part, column in columns.items()}
    owners = {part: None if group is None else np.asarray(table[group]) for part, table in tables.items()}
    images = all(a.dtype == np.uint8 and a.ndim in (3, 4) for a, _ in arrays.values())
    feature = getattr(tables["train"], "features", None)
    known = getattr(feature[y], "num_classes", None) if isinstance(feature, Mapping) and y in feature else None
    return from_arrays(
        *arrays["train"],
        arrays.get("test"),
        groups=owners["train"],
        test_groups=owners.get("test"),
        validation=arrays.get("validation"),
        validation_groups=owners.get("validation"),
        num_classes=num_classes if num_classes is not None else known,
        name=name,
        pixels=images,
        normalize=normalize,
    )


def _parts(given: Mapping[Any, Any]) -> dict[str, Any]:
    """Tables by the names that dejax has for parts; none is passed over."""
    found: dict[str, Any] = {}
    for key, table in given.items():
        part = PARTS.get(str(key).lower())
        if part is None or part in found:
            why = f"the {part} part, which comes twice" if part else f"which is none of {', '.join(PARTS)}"
            way = "give those that you mean, e.g. {'train': d['train'], 'test': d['test']}"
            raise bad("dataset", owner="from_huggingface", says=f"has the part {key!r}", why=why, instead=way)
        found[part] = table
    if "train" not in found:
        instead = f"give one of them: {', '.join(map(str, given))}"
        raise bad("dataset", owner="from_huggingface", says="is a mapping without 'train'", instead=instead)
    return found


def _column(field: str, given: str | None, usual: tuple[str, ...], names: list[str]) -> str:
    """The name of a column: what is given, else the first usual one."""
    found = next((n for n in usual if n in names), None) if given is None else given
    if found not in names:
        says = "is not given" if given is None else None
        instead = f"there are: {', '.join(names)}"
        raise bad(field, given, owner="from_huggingface", says=says or "", why="and no column fits", instead=instead)
    return found


def _cells(column: Any) -> Any:
    """The cells of a column: pictures as they are, all else as arrays."""
    if isinstance(column, np.ndarray) and column.dtype != object:
        return column
    return [v if is_picture(v) else np.asarray(v) for v in column]


def _values(cells: Any, name: str, gray: bool) -> np.ndarray:
    """A column as an array; images as bytes of one shape."""
    if isinstance(cells, np.ndarray):
        return cells
    place = f"from_huggingface.x[{name!r}]"
    values = [picture(v, f"{place}[{i}]", gray) if is_picture(v) else v for i, v in enumerate(cells)]
    shapes = {v.shape for v in values}
    if len(shapes) > 1:
        some = ", ".join(map(str, sorted(shapes)[:3]))
        texts = all(len(shape) == 1 for shape in shapes)
        instead = f"{'cut or fill its lists' if texts else 'resize images'} before: dataset.map(...)"
        raise bad("x", name, owner="from_huggingface", says=f"holds shapes {some}", why="and not one", instead=instead)
    return np.asarray(values)


__all__ = ["from_huggingface"]
