"""Data of your own: arrays, arrays already split among clients, npz files."""

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ...core.made import recorded
from ...core.types import Ids
from ...errors import bad
from .. import columns
from ..dataset import Dataset, node_data, source
from ..nodes import NodeData
from ..parts import Parts
from ..pixels import Normalize, pixels_of
from .files import local

Pair = tuple[Any, Any]


@source
def from_arrays(
    x: Any,
    y: Any,
    test: Pair | None = None,
    *,
    groups: Ids = None,
    test_groups: Ids = None,
    num_classes: int | None = None,
    name: str = "data",
    pixels: bool = False,
    normalize: Normalize = False,
    validation: Pair | None = None,
    validation_groups: Ids = None,
) -> Dataset:
    """A data set from arrays: x [N, ...] and y [N], optionally test=(x, y).

    Args:
      x: [N, ...] floating (kept as float32; float64 where jax_enable_x64 is on) or integer symbols
        such as tokens (int32). Bytes are refused unless you say that they are pixels. Or a dict of
        such arrays of one length N, as modules of several inputs take them.
      y: [N] whole numbers >= 0 (classes), or [N, T], as the next symbols of a sequence; or floating [N, ...]
        (regression targets).
      test: (x, y) of the same kinds, or None.
      groups, test_groups, validation_groups: [N], [M], [V] writer or user ids for `by_group`, or None.
      num_classes: default largest label + 1, or 0 for regression.
      name: for summaries.
      pixels: x is images uint8 [N, H, W] or [N, H, W, C]. They stay bytes on the device, and tasks see float32 in [0, 1]
        (`Pixels`).
      validation: (x, y) by which runs are chosen, or None.
      normalize: of pixels. True: less the mean and over the std of each channel of the training part; or (mean, std).
    Raises:
      ValueError, TypeError: lengths differ, no samples, numbers that are not finite or not so as float32, negative labels,
        labels >= num_classes.
    Example:
      >>> from_arrays(np.zeros((4, 2)), np.array([0, 1, 1, 0])).num_classes
      2
    """
    _check_normalize(normalize, pixels)
    train = _door(x, y, "", pixels)
    tests, chosen = _beside(train, test, "test", pixels), _beside(train, validation, "validation", pixels)
    size = lambda part: 0 if part is None else len(part["y"])
    groups = _ids(groups, size(train), "groups")
    test_groups = _ids(test_groups, size(tests), "test_groups")
    validation_groups = _ids(validation_groups, size(chosen), "validation_groups")
    classes = _num_classes([part["y"] for part in (train, tests, chosen) if part is not None], num_classes)
    seen = pixels_of(train["x"], normalize, "from_arrays") if pixels else None
    return Dataset(
        train,
        tests,
        classes,
        name,
        "given by the user",
        groups,
        test_groups,
        seen,
        validation=chosen,
        validation_groups=validation_groups,
    )


@recorded()
def from_clients(
    clients: Sequence[Pair],
    tests: Sequence[Pair] | None = None,
    test: Pair | None = None,
    *,
    num_classes: int | None = None,
    name: str = "clients",
    pixels: bool = False,
    normalize: Normalize = False,
    validations: Sequence[Pair] | None = None,
    validation: Pair | None = None,
) -> NodeData:
    """The data of nodes that are already split: client i has (x_i [N_i, ...], y_i [N_i]).

    x_i may be a dict of arrays, as for `from_arrays`.

    Args:
      clients: one (x, y) per node, N_i >= 1.
      tests: one (x, y) per node, its own test samples, or None.
      test: (x, y) that everybody is tested on, or None; then the union of `tests` serves.
      num_classes, name, pixels: as for `from_arrays`.
      normalize: of pixels, as for `from_arrays`; the mean and std are those of the rows of all nodes.
      validations: one (x, y) per node, by which runs are chosen, or None.
      validation: (x, y) by which runs of all nodes are chosen, or None.
    Raises:
      ValueError, TypeError: as for `from_arrays`, naming the client.
    Example:
      >>> from_clients([(np.zeros((3, 2)), np.array([0, 0, 1])), (np.zeros((1, 2)), np.array([1]))]).n
      2
    """
    _check_normalize(normalize, pixels)
    train, parts = _stack(clients, "client", pixels)
    tested, own_tests = _for_nodes(train, tests, test, "test", len(parts), pixels)
    chosen, own_validation = _for_nodes(train, validations, validation, "validation", len(parts), pixels)
    classes = _num_classes([part["y"] for part in (train, tested, chosen) if part is not None], num_classes)
    seen = pixels_of(train["x"], normalize, "from_clients") if pixels else None
    whole = Dataset(train, tested, classes, name, "given by the user", pixels=seen, validation=chosen)
    return node_data(whole, parts, own_tests, own_validation)


@source
def from_npz(
    path: str | os.PathLike[str], name: str | None = None, *, pixels: bool = False, normalize: Normalize = False
) -> Dataset:
    """Read a data set from an .npz file with arrays x and y.

    Optional arrays: x_test, y_test, x_validation, y_validation, groups, test_groups, validation_groups. Nothing in the file can
    run code: pickled arrays are refused.

    Args:
      path: of the file.
      name: for summaries; default the file's stem.
      pixels, normalize: x is bytes of images; as for `from_arrays`.
    Raises:
      FileNotFoundError: no such file. ValueError: not an npz file, arrays missing or pickled, or as
        for `from_arrays`.
    Example:
      >>> from_npz("mine.npz").partition(iid(), nodes=8)  # doctest: +SKIP
    """
    path = local(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"from_npz: there is no file {path}; write one with np.savez({path.name!r}, x=x, y=y, x_test=..., y_test=...)"
        )
    try:
        with path.open("rb") as raw:  # closed also when the file is no archive
            loaded = np.load(raw, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise OSError("a single array, not an archive")
            arrays = {k: loaded[k] for k in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as e:
        says, instead = (
            f"is {str(path)!r}, which cannot be read ({e})",
            "write plain arrays with np.savez(path, x=x, y=y)",
        )
        raise bad("path", path, owner="from_npz", says=says, instead=instead) from e
    pairs = {"x_test": "y_test", "x_validation": "y_validation"}
    known = {"x", "y", *pairs, *pairs.values(), "groups", "test_groups", "validation_groups"}
    alone = any((x in arrays) != (y in arrays) for x, y in pairs.items())
    if not {"x", "y"} <= arrays.keys() or not arrays.keys() <= known or alone:
        says = f"is {str(path)!r}, which holds {sorted(arrays)}"
        instead = (
            "it needs x and y, and may hold x_test with y_test, x_validation with y_validation, groups, test_groups, "
            "validation_groups"
        )
        raise bad("path", path, owner="from_npz", says=says, instead=instead)
    return from_arrays(
        arrays["x"],
        arrays["y"],
        (arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else None,
        validation=(arrays["x_validation"], arrays["y_validation"]) if "x_validation" in arrays else None,
        groups=arrays.get("groups"),
        test_groups=arrays.get("test_groups"),
        validation_groups=arrays.get("validation_groups"),
        name=name or path.stem,
        pixels=pixels,
        normalize=normalize,
    )


def _beside(train: dict[str, Any], pair: Pair | None, what: str, pixels: bool) -> dict[str, Any] | None:
    """Another part of the same shapes and kinds."""
    if pair is None:
        return None
    part = _door(*_pair(pair, what), f"{what} ", pixels)
    _check_alike(train, part, what)
    return part


def _for_nodes(
    train: dict[str, Any], pairs: Sequence[Pair] | None, common: Pair | None, what: str, nodes: int, pixels: bool
) -> tuple[dict[str, Any] | None, Parts | None]:
    """A part of common rows, then those of each node; and which rows are whose."""
    everybody = _beside(train, common, what, pixels)
    if pairs is None:
        return everybody, None
    own, parts = _stack(pairs, f"{what} of client", pixels)
    if len(parts) != nodes:
        says = f"holds {len(parts)} pairs for {nodes} clients"
        raise bad(f"{what}s", len(parts), says=says, instead="give one (x, y) per client")
    _check_alike(train, own, f"{what}s")
    if everybody is None:
        return own, parts
    both = {k: _join([everybody[k], own[k]], f"{what} {k}") for k in own}
    return both, Parts(parts.rows + len(everybody["y"]), parts.offsets)


def _check_alike(train: dict[str, Any], part: dict[str, Any], what: str) -> None:
    """Refuse a part of other shapes or kinds than those of the training part."""
    form = lambda part: {name: a.shape[1:] for name, a in columns.named(part["x"]).items()}
    if form(part) != form(train) or part["y"].dtype.kind != train["y"].dtype.kind:
        shapes = [f"{_shown(p['x'])} with y {p['y'].dtype}" for p in (part, train)]
        instead = "give both parts the same shapes and kinds"
        raise bad(what, says=f"x is {shapes[0]}", why=f"but x is {shapes[1]}", instead=instead)


def _check_normalize(normalize: Normalize, pixels: bool) -> None:
    """Refuse to normalize what is no pixels."""
    if normalize is not False and not pixels:
        raise bad("normalize", normalize, why="but x is no pixels", instead="give pixels=True, or leave normalize out")


def _pair(pair: Any, what: str) -> Pair:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise bad(what, type(pair).__name__, instead="give a pair (x, y) of arrays")
    return pair[0], pair[1]


def _door(x: Any, y: Any, what: str, pixels: bool = False) -> dict[str, Any]:
    """Checked arrays: int32, float32, float64 where JAX keeps it, or bytes where x is pixels.

    x may be a dict of arrays, but not of pixels.
    """
    x, y = _arrays(x, what + "x"), _array(y, what + "y")
    parts = [(f"{what}x" + (f".{path.replace('/', '.')}" if path else ""), a) for path, a in columns.named(x).items()]
    for name, a in parts:
        if a.ndim < 1 or y.ndim < 1 or len(a) != len(y):
            says = f"is {list(a.shape)} and {what}y is {list(y.shape)}"
            raise bad(name, says=says, instead="give one label or target per row of x, x [N, ...], y [N]")
        if len(a) == 0:
            raise bad(name, says="is empty", instead="give at least one sample")
        if pixels and (a is not x or a.dtype != np.uint8 or a.ndim not in (3, 4)):
            instead = "give bytes of images, one array uint8 [N, H, W] or [N, H, W, C]"
            raise bad(name, says=f"is {a.dtype}{list(a.shape)}", why="but pixels is True", instead=instead)
        if a.dtype.itemsize == 1 and not pixels:
            instead = "give pixels with pixels=True, or as x / 255.0; symbols as x.astype('int32')"
            raise bad(name, says=f"is {a.dtype}", why="pixels or symbols?", instead=instead)
    for name, a in (*parts, (f"{what}y", y)):
        if a.dtype.kind not in "iuf":
            raise bad(name, says=f"is {a.dtype}", instead="give numbers")
        if a.dtype.kind == "f" and not np.isfinite(a).all():
            row = int(np.argwhere(~np.isfinite(a))[0, 0])
            raise bad(name, says=f"is not finite in row {row}", instead="remove or fill such rows first")
    if y.dtype.kind in "iu":
        if y.ndim > 2 or y.shape[1:] == (1,):
            says = f"is whole numbers {list(y.shape)}"
            instead = "give one class per sample, [N], those of a sequence, [N, T], or floating targets"
            raise bad(f"{what}y", says=says, instead=instead)
        if y.min() < 0:
            raise bad(
                f"{what}y", int(y.min()), says=f"goes down to {y.min()}", instead="number the classes 0, 1, 2, ..."
            )
        if y.max() >= 2**31:
            raise bad(f"{what}y", int(y.max()), says=f"goes up to {y.max()}", instead="number the classes 0, 1, 2, ...")
    if pixels:
        return {"x": np.array(x), "y": _cast(y, f"{what}y")}
    made = jax.tree.unflatten(jax.tree.structure(x), [_cast(a, name) for name, a in parts])
    return {"x": made, "y": _cast(y, f"{what}y")}


def _cast(a: np.ndarray, name: str) -> np.ndarray:
    """Numbers as int32, float32, or float64 where JAX keeps it.

    Raises:
      ValueError: one that is too large for that.
    """
    wide = a.dtype.itemsize >= 8 and jax.config.read("jax_enable_x64")
    kind = np.dtype(np.int32 if a.dtype.kind != "f" else np.float64 if wide else np.float32)
    with np.errstate(over="ignore"):
        made = a.astype(kind)
    held = np.isfinite(made) if kind.kind == "f" else made == a
    if not held.all():
        at = tuple(np.argwhere(~held)[0])
        way = "scale the numbers" if kind.kind == "f" else "number the symbols 0, 1, ..."
        says, why = f"is {a[at]} in row {int(at[0])}", f"which {kind.name} cannot hold"
        raise bad(name, a[at], says=says, why=why, instead=way)
    return made


def _arrays(values: Any, name: str) -> Any:
    """An array, or a dict of them, in turn of dicts."""
    if not isinstance(values, Mapping):
        return _array(values, name)
    if not values or not all(isinstance(key, str) for key in values):
        raise bad(
            name, list(values), says=f"has the keys {list(values)}", instead="give a dict of arrays by their names"
        )
    return {key: _arrays(v, f"{name}.{key}") for key, v in values.items()}


def _shown(x: Any) -> Any:
    """The shape of an array, or those of a dict."""
    return list(x.shape) if isinstance(x, np.ndarray) else {name: list(a.shape) for name, a in columns.named(x).items()}


def _array(values: Any, name: str) -> np.ndarray:
    """Values as an array; 16-bit floats that NumPy does not know (bfloat16) as float32."""
    try:
        a = np.asarray(values)
    except (ValueError, TypeError) as error:  # rows of different lengths
        raise bad(name, says=f"is no array ({error})", instead="give rows of one shape") from None
    return a.astype(np.float32) if a.dtype.name == "bfloat16" else a


def _ids(ids: Any, size: int, what: str) -> np.ndarray | None:
    if ids is None:
        return None
    ids = np.asarray(ids)
    if ids.shape != (size,):
        raise bad(what, list(ids.shape), instead=f"give one id per sample, [{size}]")
    return ids


def _num_classes(labels: list[np.ndarray], given: int | None) -> int:
    if labels[0].dtype.kind == "f":
        if given:
            raise bad(
                "num_classes",
                given,
                why="but y is floating",
                instead="give whole-number labels, or leave num_classes out",
            )
        return 0
    largest = max(int(y.max()) for y in labels)
    if given is not None and given <= largest:
        raise bad(
            "num_classes",
            given,
            why=f"but a label is {largest}",
            instead=f"give num_classes >= {largest + 1}, or leave it out",
        )
    return largest + 1 if given is None else given


def _stack(pairs: Sequence[Pair], what: str, pixels: bool = False) -> tuple[dict[str, np.ndarray], Parts]:
    if not len(pairs):
        raise bad(what + "s", says="is empty", instead="give at least one pair (x, y)")
    doors = [_door(*_pair(p, f"{what} {i}"), f"{what} {i}: ", pixels) for i, p in enumerate(pairs)]
    offsets = np.cumsum([0] + [len(d["y"]) for d in doors])
    joined = {k: _join([d[k] for d in doors], f"{k} of {what}") for k in ("x", "y")}
    return joined, Parts(np.arange(offsets[-1]), offsets)


def _join(arrays: list[Any], what: str) -> Any:
    """Arrays, or equal dicts of them, one after the other."""
    forms = [columns.named(a) for a in arrays]
    for i, form in enumerate(forms):
        if form.keys() != forms[0].keys():
            says, why = (
                f"has {', '.join(form) or 'one array'}",
                f"but {what} 0 has {', '.join(forms[0]) or 'one array'}",
            )
            raise bad(f"{what} {i}", says=says, why=why, instead="give all the same arrays")
        for name, first in forms[0].items():
            a, of = form[name], f"{name} of " if name else ""
            if a.shape[1:] != first.shape[1:] or a.dtype.kind != first.dtype.kind:
                why = f"but {of}{what} 0 is {first.dtype}{list(first.shape)}"
                instead = "give all the same trailing shape and kind"
                raise bad(f"{of}{what} {i}", says=f"is {a.dtype}{list(a.shape)}", why=why, instead=instead)
    return columns.joined(arrays)
