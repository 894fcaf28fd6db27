"""Hold a run directory for one process: a lock that the system drops when its holder dies."""

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

from .writable import OUT

NAME = ".lock"


class Lock:
    """Hold `DIR/.lock`, which names its holder, from `take` to `drop`."""

    def __init__(self, directory: Path):
        self.path, self._file = directory / NAME, None

    def take(self) -> None:
        """Take the lock; where the file system has no locks, go without.

        Raises:
          BlockingIOError: another run has it; says which process of which host.
        """
        try:
            import fcntl
        except ImportError:  # Windows
            return
        while self._file is None:
            file: Any = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115  held until `drop`
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                file.close()
                raise BlockingIOError(
                    f"{self.path.parent} is in use by {holder}; wait until that run ends, or stop it, or give another "
                    + OUT
                ) from None
            except OSError:
                file.close()
                return
            if _same(file, self.path):  # else its holder has removed it since
                self._file = file
            else:
                file.close()
        with contextlib.suppress(OSError):  # on a full disk the lock holds without a name
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            self._file.flush()

    def drop(self) -> None:
        """Let others have it."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def holder_died(directory: Path) -> bool:
    """Whether the process that took the lock was one of this host that is no more.

    The lock is not touched.
    """
    try:
        _, pid, _, host = (directory / NAME).read_text(encoding="utf-8").split()
        if host != socket.gethostname() or os.name != "posix":
            return False
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _same(file: Any, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


__all__ = ["NAME", "Lock", "holder_died"]
