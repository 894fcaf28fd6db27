"""The one error of this room: what stands at which path, why it cannot work, what to write instead."""

import difflib
from collections.abc import Iterable
from typing import Any

Path = tuple[str, ...]
BY_SET = 0  # the "line" of what `--set` wrote


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

    def at(self, source: str | None, lines: dict[Path, int]) -> "ConfigError":
        """The same error with file and line: the line of the longest part of its path that the file holds."""
        line = self.line
        for stop in range(len(self.path), 0, -1):
            if line is None and self.path[:stop] in lines:
                line = lines[self.path[:stop]]
        if line == BY_SET:
            return ConfigError(self.path, self.reason, None, "--set")
        return ConfigError(self.path, self.reason, line, source if line is not None else None)


def nearest(name: Any, known: Iterable[str]) -> str:
    """`Did you mean x? Known: x, y.` for an unknown name."""
    known = list(known)
    lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(str(name).lower().replace("-", "_"), list(lower), 1, 0.6)
    hint = f" Did you mean {lower[close[0]]}?" if close else ""
    return f"{hint} Known: {', '.join(known) or 'none'}."


_WORDS = {tuple: "list", dict: "mapping"}


def shown(value: Any) -> str:
    """A value as it stands in the config, with its kind: `'fast' (str)`; long ones are cut."""
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else repr(list(value) if isinstance(value, tuple) else value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({_WORDS.get(type(value), type(value).__name__)})"


__all__ = ["BY_SET", "ConfigError", "Path", "nearest", "shown"]
