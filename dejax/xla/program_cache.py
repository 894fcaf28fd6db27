"""Compiled programs that later processes read from a folder.

Where JAX has a place for them of its own, that is used instead.
"""

import contextlib
import hashlib
import os
import platform
import threading
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from .cpu_flags import features

OFF = ("0", "off", "no", "false")
MOST = 1 << 30  # bytes; beyond them the programs that were not used for longest go
NAME, SUFFIX = 16, ".xla"  # digits in the name of a folder, the end of the names of its files
DIGEST = 32  # bytes before each entry, by which a damaged one is known

_lock = threading.Lock()
_inside = 0  # stretches that are open, in all threads
_before: dict[str, Any] = {}  # settings of JAX to go back to
_warned = False


@contextlib.contextmanager
def kept_programs() -> Iterator[None]:
    """Read compiled programs from a folder of the user's cache, and write them to it, inside.

    The folder is `dejax/xla` in $XDG_CACHE_HOME (~/.cache), or that of the environment variable
    DEJAX_CACHE, seen from where the process stands at the time; "off" there switches this off.
    Nothing is done where JAX has a compilation cache of its own. After the stretch JAX is as it was
    before.
    """
    global _inside
    with _lock:
        if not _inside:
            _open()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _close()


def folder() -> Path | None:
    """Return the folder of compiled programs; None: there is none.

    Programs of another processor or release lie beside them and are not read.
    """
    chosen = os.environ.get("DEJAX_CACHE", "")
    if chosen.lower() in OFF:
        return None
    if chosen.lower() in ("", "1", "on", "true", "yes"):
        base = os.environ.get("XDG_CACHE_HOME", "")
        try:
            root = (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "dejax" / "xla"
        except RuntimeError:  # a user without a home
            return None
    else:
        root = Path(os.path.abspath(os.path.expanduser(chosen)))  # wherever the process goes later
    machine = [platform.system(), platform.machine(), *sorted(features()), version("jax"), version("jaxlib")]
    return root / hashlib.sha256("\n".join(machine).encode()).hexdigest()[:NAME]


class Folder:
    """A folder that JAX asks for programs: one file each, written whole or not at all.

    A damaged file counts as missing. What the file system refuses is told once; programs are then
    compiled as if there were no folder.
    """

    def __init__(self, path: Path):
        self._path, self.writes, self.wrote = path, True, False

    def get(self, key: str) -> bytes | None:
        """The entry of a key."""
        path = self._path / f"{key}{SUFFIX}"
        try:
            found = path.read_bytes()
        except OSError:
            return None
        digest, value = found[:DIGEST], found[DIGEST:]
        if hashlib.sha256(value).digest() != digest:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used now
        return value

    def put(self, key: str, value: bytes) -> None:
        """Keep an entry."""
        if not self.writes:
            return
        part = self._path / f"part-{os.getpid()}-{threading.get_ident()}{SUFFIX}"
        try:
            self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.write_bytes(hashlib.sha256(value).digest() + value)
            os.replace(part, self._path / f"{key}{SUFFIX}")
            self.wrote = True
        except OSError as error:
            self.writes = False
            with contextlib.suppress(OSError):
                part.unlink()
            _warn(self._path, error)

    def tidy(self, most: int = MOST) -> None:
        """Remove the programs that were not used for longest, until `most` bytes are left.

        These are for all processors and releases together.
        """
        files = []
        for path in self._path.parent.glob(f"{'[0-9a-f]' * NAME}/*{SUFFIX}"):
            with contextlib.suppress(OSError):  # another process removed it
                facts = path.stat()
                files.append((facts.st_mtime, facts.st_size, path))
        left = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if left <= most:
                return
            with contextlib.suppress(OSError):
                path.unlink()
            left -= size


def _open() -> None:
    """Lend JAX the folder, unless it has a cache of its own; with `_lock`."""
    owner = _owner()
    own = getattr(jax.config, "jax_compilation_cache_dir", None) or getattr(owner, "_cache", owner)
    where = folder() if owner is not None and own is None else None
    if where is None:
        return
    for name, value in {
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }.items():
        _before[name] = getattr(jax.config, name)
        jax.config.update(name, value)
    vars(owner)["_cache"] = Folder(where)


def _owner() -> Any:
    """Return the module of JAX that asks for programs.

    A folder in JAX's configuration would hold for the user's own programs, too.
    """
    try:
        from jax._src import compilation_cache
    except ImportError:  # a release that keeps it elsewhere
        return None
    return compilation_cache


def _close() -> None:
    """Take the folder back; with `_lock`."""
    owner = _owner()
    lent = getattr(owner, "_cache", None)
    if isinstance(lent, Folder):
        vars(owner)["_cache"] = None
        if lent.wrote:
            lent.tidy()
    for name, value in _before.items():
        jax.config.update(name, value)
    _before.clear()


def _warn(path: Path, error: OSError) -> None:
    """Say once in a process that nothing is kept."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"compiled programs are not kept for the next start: {path} cannot be written ({error.strerror or error}); "
            "set DEJAX_CACHE to a folder that can, or to off",
            UserWarning,
            stacklevel=2,
        )


__all__ = ["Folder", "folder", "kept_programs"]
