"""Whether a directory can be made, found out before anything is computed for it."""

import os
import tempfile
from pathlib import Path

from ..errors import Words

OUT, RESUME = (
    Words("out", "--out"),
    Words("resume", "RUN"),
)  # the arguments of simulate, and what the command calls them


def check_writable(path: str | os.PathLike[str], name: str = OUT) -> None:
    """Make and remove a directory where `path` (or the nearest parent of it that exists) is.

    Raises:
      OSError: that is not possible; says where and why.
    """
    path = Path(path)
    base = next(p for p in (path.absolute(), *path.absolute().parents) if os.path.exists(p))  # which never raises
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".dejax-", dir=base))
    except OSError as error:
        raise OSError(
            name
            + f" is {str(path)!r}, but nothing can be written in {base} ({error.strerror or error}); give another directory"
        ) from None


__all__ = ["OUT", "RESUME", "check_writable"]
