"""Checkpoints: arrays and a little JSON in one directory, written whole or not at all.

Orbax writes the arrays, of several processes each its own part, into a directory that all see;
process 0 does the rest. A manifest of our own holds the size and the sha256 of every file, because
a damaged file would otherwise be restored without a word. Nothing in a checkpoint can run code:
arrays and JSON, never pickles.

    DIR/round_000000600/arrays/...      what orbax writes
    DIR/round_000000600/manifest.json   files, leaves, facts, and the manifest's own sha256
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core import tree
from ..core.types import PathLike, Tree
from ..devices import processes
from ..errors import CheckpointError, Words
from ..report import writing
from .writable import OUT

FORMAT = 1
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what C++ code says as text alone
NOTHING = {"nothing": np.zeros(1, np.int32)}  # written for a state without entries, which orbax refuses
NAME = re.compile(r"round_(\d{9,})")


def save(directory: PathLike, round: int, state: Tree, facts: dict[str, Any], keep: int = 2) -> Path:
    """Write `state` as the checkpoint of `round`.

    A kill at any moment leaves the older checkpoints whole.

    Args:
      directory: of this run's checkpoints; made if needed.
      round: rounds done, >= 0.
      state: tree of arrays; with several processes, which must all call, arrays that lie on all of
        them.
      facts: anything that JSON holds (counters, fingerprints).
      keep: how many checkpoints stay, >= 1; older ones are removed after the new one is complete.
    Returns:
      The checkpoint's directory, `round_000000600`.
    Raises:
      ValueError: keep < 1. OSError: it cannot be written; says where, and why. The older ones are whole.
    """
    import orbax.checkpoint as ocp

    if keep < 1:
        raise ValueError(f"keep is {keep}; give the number of checkpoints to keep, >= 1")
    directory = Path(directory).absolute()
    partial = Path(_begin(directory, round))
    try:
        with _quiet(), ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(partial / "arrays", _named(state) or NOTHING)
    except Exception as error:  # orbax raises what its threads and its C++ code met, with pages of text
        raise _not_written(partial, error) from error
    return Path(_finish(partial, directory / f"round_{round:09d}", _leaves(state), facts, keep))


@processes.led
def _begin(directory: Path, round: int) -> str:
    partial = directory / f".partial-{round:09d}-{os.getpid()}"
    with writing.named(partial):
        directory.mkdir(parents=True, exist_ok=True)
        tidy(directory)
        partial.mkdir()
    return str(partial)


@processes.led
def _finish(partial: Path, final: Path, leaves: list[Any], facts: dict[str, Any], keep: int) -> str:
    directory = final.parent
    manifest = {
        "format": FORMAT,
        "round": round_of(final),
        "facts": facts,
        "leaves": leaves,
        "files": {name: [path.stat().st_size, _sha256(path)] for name, path in _files(partial).items()},
    }
    manifest["sha256"] = _digest(manifest)
    with writing.named(partial):
        with open(partial / "manifest.json", "w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1, sort_keys=True)
        for path in [*_files(partial).values(), *(p for p in partial.rglob("*") if p.is_dir()), partial]:
            _sync(path)
        if final.exists():  # the same round, written again after a resume
            _remove(final)
        os.rename(partial, final)
        _sync(directory)
    for old in existing(directory)[:-keep]:
        _remove(old)
    return str(final)


def existing(directory: Any) -> list[Path]:
    """Complete checkpoints of a directory, oldest round first."""
    directory = Path(directory)
    if not directory.is_dir():
        return []
    return sorted(p for p in directory.iterdir() if NAME.fullmatch(p.name) and p.is_dir())


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint, so that it no longer counts; returns its new place."""
    other = path.with_name(f"damaged_{path.name}")
    if other.exists():
        shutil.rmtree(other)
    os.rename(path, other)
    return other


def latest(directory: PathLike | None) -> Path | None:
    """The checkpoint of the highest round, or None."""
    found = existing(directory)
    return found[-1] if found else None


def round_of(path: Path) -> int:
    """The rounds done at a checkpoint, by its name."""
    return int(path.name.removeprefix("round_"))


def read_manifest(path: PathLike) -> dict[str, Any]:
    """The manifest of a checkpoint, checked against its own sha256.

    Raises:
      CheckpointError: no checkpoint there, or a damaged manifest.
    """
    path = Path(path)
    file = path / "manifest.json"
    if not file.is_file():
        raise CheckpointError(f"{path} is no checkpoint of dejax: it has no manifest.json. " + _advice(path))
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        claimed = manifest.pop("sha256")
        if not {"format", "round", "facts", "leaves", "files"} <= set(manifest):
            raise KeyError("a field")
    except (ValueError, KeyError, AttributeError, TypeError):
        raise CheckpointError(f"{file} is damaged: it is not the JSON that was written. " + _advice(path)) from None
    if claimed != _digest(manifest):
        raise CheckpointError(f"{file} is damaged: its sha256 does not match its content. " + _advice(path))
    if manifest["format"] != FORMAT:
        raise CheckpointError(
            f"{file} has format {manifest['format']}, but this dejax reads format {FORMAT}; use the version of dejax that wrote it"
        )
    return manifest


def verify(path: PathLike) -> dict[str, Any]:
    """Read every file of a checkpoint and compare it with the manifest, which is returned.

    Raises:
      CheckpointError: a file that is missing, truncated, changed or not in the manifest.
    """
    path = Path(path)
    manifest = read_manifest(path)
    found = _files(path)
    for name, (size, digest) in manifest["files"].items():
        file = path / name
        if name not in found:
            raise CheckpointError(f"{file} is missing from the checkpoint. " + _advice(path))
        actual = file.stat().st_size
        if actual != size:
            raise CheckpointError(
                f"{file} has {actual} bytes instead of {size}: it was truncated or changed. " + _advice(path)
            )
        if _sha256(file) != digest:
            raise CheckpointError(
                f"{file} is damaged: its sha256 does not match the manifest (a flipped bit?). " + _advice(path)
            )
    extra = sorted(set(found) - set(manifest["files"]) - {"manifest.json"})
    if extra:
        raise CheckpointError(f"{path / extra[0]} does not belong to the checkpoint; remove that file")
    return manifest


def load(path: Any, like: Tree) -> tuple[Any, dict[str, Any]]:
    """Restore a checkpoint.

    Args:
      path: a directory `round_...`.
      like: tree of arrays or `jax.ShapeDtypeStruct`s: structure, shapes, dtypes (and sharding) that
        are wanted.
    Returns:
      (state, facts); state has the structure of `like`, bit for bit what was saved.
    Raises:
      CheckpointError: damaged, or the leaves differ in name, shape or dtype (a checkpoint of
        another experiment).
    """
    import orbax.checkpoint as ocp

    path = Path(path).absolute()
    manifest = processes.led(verify)(path)
    want, have = _leaves(like), manifest["leaves"]
    if want != have:
        raise processes.met(
            CheckpointError(
                f"{path} is of another experiment: {_difference(have, want)}. Give the directory of this experiment, or start anew "
                "with another " + OUT
            )
        )

    def abstract(x: Tree) -> jax.ShapeDtypeStruct:
        here = getattr(x, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here)

    try:
        with ocp.StandardCheckpointer() as checkpointer:
            got = checkpointer.restore(path / "arrays", {k: abstract(v) for k, v in (_named(like) or NOTHING).items()})
    except Exception as error:  # orbax raises bare Exceptions of a page
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(f"{path / 'arrays'} cannot be read ({first}). " + _advice(path)) from error
    leaves = [_unwrap(got[_name(i)], x) if x.size else _empty(x) for i, x in enumerate(tree.leaves(like))]
    return jax.tree.unflatten(jax.tree.structure(like), leaves), manifest["facts"]


def tidy(directory: PathLike) -> None:
    """Remove what killed writers left behind: names that start with a dot.

    Names of complete checkpoints never do.
    """
    directory = Path(directory)
    for left in [*directory.glob(".partial-*"), *directory.glob(".old-*")] if directory.is_dir() else []:
        shutil.rmtree(left, ignore_errors=True)


# ---- inside
@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep failing threads of orbax from printing what is raised anyway."""
    own = threading.excepthook

    def hook(failed: Any) -> None:
        frames = traceback.extract_tb(failed.exc_traceback)
        if not any(f"{os.sep}orbax{os.sep}" in frame.filename for frame in frames):
            own(failed)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = own


def _not_written(partial: Path, error: Exception) -> OSError:
    """Make the error of a checkpoint that cannot be written; remove its part."""
    shutil.rmtree(partial, ignore_errors=True)
    if isinstance(error, OSError) and error.errno is not None:
        return writing.cannot_write(partial, error)
    text = str(error).strip()
    known = next((code for code in FULL if os.strerror(code) in text), None)
    if known is not None:
        return writing.cannot_write(partial, OSError(known, os.strerror(known)))
    return writing.cannot_write(partial, OSError((text.splitlines() or [type(error).__name__])[0][:200]))


def _named(state: Tree) -> dict[str, Any]:
    """Map short names, which are file names, to the leaves.

    Typed keys become their bits. Leaves without entries are left out, since orbax refuses them.
    """
    out = {}
    for i, x in enumerate(tree.leaves(state)):
        if x.size == 0:
            continue
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            if isinstance(x, jax.ShapeDtypeStruct):
                bits = jax.eval_shape(jax.random.key_data, x)
                x = jax.ShapeDtypeStruct(bits.shape, bits.dtype, sharding=x.sharding)
            else:
                x = jax.random.key_data(x)
        out[_name(i)] = x
    return out


def _name(i: int) -> str:
    return f"leaf_{i:05d}"


def _empty(like: Tree) -> Any:
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        bits = jax.eval_shape(jax.random.key_data, like)
        return _unwrap(jnp.zeros(bits.shape, bits.dtype), like)
    return jnp.zeros(like.shape, like.dtype)


def _unwrap(got: Tree, like: Tree) -> Any:
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        kinds: list[Any] = []
        jax.eval_shape(lambda key: kinds.append(jax.random.key_impl(key)), like)  # `like` may be a mere shape
        return jax.random.wrap_key_data(got, impl=kinds[0])
    return got


def _leaves(state: Tree) -> list[list[Any]]:
    """[path, shape, dtype] of every leaf, in tree order."""
    found = jax.tree_util.tree_leaves_with_path(state)
    return [[jax.tree_util.keystr(p), list(x.shape), str(x.dtype)] for p, x in found]


def _difference(have: list[Any], want: list[Any]) -> str:
    """The first leaf in which two checkpoints differ."""
    a, b = ({name: (shape, dtype) for name, shape, dtype in side} for side in (have, want))
    for name, facts in b.items():
        if name not in a:
            return f"it has no leaf {name}"
        if a[name] != facts:
            return f"its leaf {name} is {a[name][1]}{a[name][0]}, wanted {facts[1]}{facts[0]}"
    return f"its leaf {next((n for n in a if n not in b), '')} is not in this experiment"


def _files(path: Path) -> dict[str, Path]:
    return {p.relative_to(path).as_posix(): p for p in sorted(path.rglob("*")) if p.is_file()}


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(manifest: dict[str, Any]) -> str:
    text = json.dumps({k: v for k, v in manifest.items() if k != "sha256"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """Take a checkpoint away: first out of sight in one step, then its files."""
    hidden = path.with_name(f".old-{path.name}-{os.getpid()}")
    os.rename(path, hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _advice(path: Path) -> str:
    older = [p for p in existing(path.parent) if p.name < path.name]
    if older:
        way = f"Remove the directory {path} to go on from {older[-1].name}, or resume with "
        return way + Words("fallback=True", "--fallback")
    return f"Restore {path} from a copy, or start anew with another " + OUT


__all__ = ["existing", "latest", "load", "read_manifest", "save", "set_aside", "tidy", "verify"]
