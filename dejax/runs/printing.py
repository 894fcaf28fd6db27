"""Print text to streams of any encoding: no letter of a label or a number may end a run."""

import contextlib
import sys
from typing import Any

PLAIN = str.maketrans({"±": "+-", "…": "...", "━": "-", "─": "-", "│": "|", "×": "x", "≥": ">=", "≤": "<="})


def printable(text: str, encoding: str | None) -> str:
    """Replace letters that `encoding` lacks: "±" by "+-", others by escapes."""
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = "".join(c if _has(c, encoding) else c.translate(PLAIN) for c in text)
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:  # a stream whose encoding Python does not know
        return text.translate(PLAIN).encode("ascii", "backslashreplace").decode()
    return text


def _has(letter: str, encoding: str) -> bool:
    try:
        letter.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


class Printed:
    """A stream that takes any text; all but `write` is that of the stream below."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `printable` text."""
        return self._stream.write(printable(text, getattr(self._stream, "encoding", None)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def console(quiet: bool = False, stderr: bool = False) -> Any:
    """A rich console that takes any text; without colours when it is no terminal."""
    from rich.console import Console

    return Console(file=Printed(sys.stderr if stderr else sys.stdout), quiet=quiet, stderr=stderr, highlight=False)


def say(text: str) -> None:
    """Print one line, at once; nothing where the stream is gone or full."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # ValueError: closed; AttributeError: there is none
        stream = Printed(sys.stdout)
        stream.write(text + "\n")
        stream.flush()


__all__ = ["Printed", "console", "printable", "say"]
