"""The one error of this room: what stands at which path, why it cannot work, what to write instead."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

Path = tuple[str, ...]


class ConfigError(ValueError):
    """A config that cannot become an experiment.

    `path` is where in the config (`("network", "topology", "ring", "n")`), `reason` the sentence without it. `line` and
    `source` (the file) are filled in where they are known.
    """

    def __init__(self, path: Path, reason: str, line: int | None = None, source: str | None = None):
        self.path, self.reason, self.line, self.source = tuple(map(str, path)), reason, line, source
        super().__init__(self.text())

    def text(self) -> str:
        """`FILE, line N: a.b.c: reason`, as far as known."""
        where = [self.source] if self.source else []
        if self.line is not None:
            where.append(f"line {self.line}")
        head = ", ".join(where)
        return ": ".join(part for part in (head, ".".join(self.path), self.reason) if part)

    def at(
        self, source: str | None, lines: Mapping[Path, int], sets: Mapping[Path, str] | None = None
    ) -> "ConfigError":
        """The same error with where its path comes from: an override, or file and line of the longest part that the file holds.

        Args:
          sets: what `--set` wrote, by path; one that wrote the field, a part of it or all around it is to blame, not the file.
        """
        if self.source is not None or self.line is not None:
            return self
        mine = _plain(self.path)
        for path, text in reversed(list((sets or {}).items())):
            theirs = _plain(path)
            if mine and (mine[: len(theirs)] == theirs or theirs[: len(mine)] == mine):
                return ConfigError(self.path, self.reason, None, text)
        held = [self.path[:stop] for stop in range(len(self.path), 0, -1)]
        line = next((lines[path] for path in held if path in lines), None)
        return ConfigError(self.path, self.reason, line, source)


def _plain(path: Path) -> Path:
    """A path without the places in lists, which an override may leave out."""
    return tuple(name for name in path if not name.isdigit())


def nearest(name: Any, known: Iterable[str]) -> str:
    """`Did you mean x? Known: x, y.` for an unknown name."""
    known = list(known)
    lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(str(name).lower().replace("-", "_"), list(lower), 1, 0.6)
    hint = f" Did you mean {lower[close[0]]}?" if close else ""
    return f"{hint} Known: {', '.join(known) or 'none'}."


_WORDS = {tuple: "list", dict: "mapping", str: "text", bool: "truth value", int: "whole number", float: "number"}


def shown(value: Any) -> str:
    """A value as it stands in the config, with its kind: `'fast' (text)`; long ones are cut."""
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else repr(list(value) if isinstance(value, tuple) else value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({_WORDS.get(type(value), type(value).__name__)})"


__all__ = ["ConfigError", "Path", "nearest", "shown"]
