"""Every exception of dejax."""

from collections.abc import Mapping
from typing import Any

Path = tuple[str, ...]  # of a field in a config: ("network", "topology", "ring", "n")


class RefusedError(ValueError):
    """A method and a network option that cannot work together; the message says why and what to write instead."""


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


class TooLargeError(ValueError):
    """A run that needs more memory than there is.

    Attributes:
      needed, memory: bytes that the run takes, and that there are. largest: most nodes that fit.
    """

    def __init__(self, text: str, needed: float, memory: float, largest: int):
        self.needed, self.memory, self.largest = needed, memory, largest
        super().__init__(text)


class DivergenceError(ArithmeticError):
    """A loss or a model stopped being finite.

    Attributes:
      round, node, seed, label: where it was first seen. what: "loss" or "model". history: the run so far.
    """

    def __init__(self, label: str, seed: int, what: str, round: int, node: int):
        self.label, self.what, self.round, self.node, self.seed = label, what, round, node, seed
        self.history: Any = None
        where = "after round" if what == "model" else "in round"
        super().__init__(
            f"{label}: the {what} of node {node} is not finite {where} {round} (seed {seed}). The step is probably too long for "
            "this method, graph or attack: lower lr (or gamma), or clip; `error.history` holds the run so far"
        )


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: damaged, incomplete, or of another experiment. Says which file and what to do."""


class PromiseError(AssertionError):
    """A member that does not keep what its kind promises (`dejax.testing`).

    Attributes:
      member: the class. promise: which one broke. found: what was seen. mend: what to write instead.
    """

    def __init__(self, member: str, promise: str, found: str, mend: str):
        self.member, self.promise, self.found, self.mend = member, promise, found, mend
        super().__init__(f"{member} breaks the promise {promise!r}: {found}. To mend it: {mend}")


class ProcessError(RuntimeError):
    """Another process of the job failed; says which, and how."""


def _plain(path: Path) -> Path:
    """A path without the places in lists, which an override may leave out."""
    return tuple(name for name in path if not name.isdigit())


__all__ = [
    "CheckpointError",
    "ConfigError",
    "DivergenceError",
    "ProcessError",
    "PromiseError",
    "RefusedError",
    "TooLargeError",
]
