"""Files that appear whole or not at all, and lines that are on the disk once added."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """A stretch that writes `path`; what the system refuses says which file, and what to do.

    Raises:
      OSError: of the same number, in words.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> OSError:
    """The error of a file that cannot be written, in words."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    way = "make room, and resume the run from what was written before" if full else "mend that, and resume the run"
    reason = error.strerror or error
    return OSError(f"{path} cannot be written: {reason}; {way}")


def append(path: Path, text: str) -> None:
    """Add text at the end of a file, on the disk when this returns."""
    with named(path), open(path, "a", encoding="utf-8", errors="backslashreplace", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: readers and kills see the old or the new one."""
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    name = ""
    with named(path):
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            if name:
                Path(name).unlink(missing_ok=True)
            raise


__all__ = ["append", "cannot_write", "named", "write"]
