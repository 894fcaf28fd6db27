"""The exceptions of dejax, and texts that Python and a config spell differently.

For example `None` and `null`, a call and a mapping.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

Path = tuple[str, ...]  # of a field in a config: ("network", "topology", "ring", "n")


class Words(str):
    """A text in the words of Python, with the same for configs and the command as `.command`.

    `+` keeps both. An f-string keeps the words of Python alone, so that texts with such pieces are
    put together by `+`.
    """

    command: str

    def __new__(cls, python: str, command: str) -> "Words":
        """Keep both."""
        made = super().__new__(cls, python)
        made.command = command
        return made

    def __add__(self, other: str) -> "Words":
        return Words(str(self) + str(other), self.command + as_command(other))

    def __radd__(self, other: str) -> "Words":
        return Words(str(other) + str(self), as_command(other) + self.command)

    def __reduce__(self) -> tuple[Any, ...]:
        return Words, (str(self), self.command)


def as_command(text: object) -> str:
    """A text in the words of configs and the command."""
    return text.command if isinstance(text, Words) else str(text)


NULL = Words("None", "null")
LONGEST = 200  # characters of a value that a message shows
_SPELLED = {None: "null", True: "true", False: "false"}


def spelled(value: object) -> str:
    """Spell a value as Python does, and as a config does where that differs.

    None and null, True and true.
    """
    if isinstance(value, Words):
        return value
    if value is None or isinstance(value, bool):
        return Words(repr(value), _SPELLED[value])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if len(repr(value)) > LONGEST or "\n" in repr(value):
            return a_name(value)
        inner = [keyword(f.name, getattr(value, f.name)).command for f in dataclasses.fields(value) if f.repr]
        return Words(repr(value), f"{type(value).__name__}({', '.join(inner)})")
    return as_shown(value)


def as_shown(value: object) -> str:
    """A value as Python shows it; of whole numbers with over 40 digits how many they have."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return f"a whole number of about {int(value.bit_length() * math.log10(2)) + 1} digits"
    if isinstance(value, list):
        return f"[{', '.join(map(as_shown, value))}]"
    text = repr(value)
    return a_name(value) if len(text) > LONGEST or "\n" in text or " at 0x" in text else text


def a_name(value: object) -> str:
    """A value by its name or kind: `a Problem`, `the function loss`.

    For those that would be many lines.
    """
    name = getattr(value, "__name__", None)
    if isinstance(value, type):
        return f"the class {name}"
    if isinstance(name, str) and callable(value):
        return "a lambda" if name == "<lambda>" else f"the function {name}"
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    if isinstance(value, str):
        return repr(value if len(value) <= LONGEST else value[: LONGEST - 3] + "...")
    if isinstance(shape, tuple):
        return f"an array of shape {shape}"
    return f"{'an' if kind[:1].lower() in 'aeio' else 'a'} {kind}"


def keyword(name: str, value: object) -> Words:
    """One argument: `lr=0.1` and `lr: 0.1`."""
    value = spelled(value)
    return Words(f"{name}={value}", f"{name}: {as_command(value).strip(chr(39))}")


def call(path: str, *given: Any, **named: Any) -> Words:
    """Spell a call: `dejax.faults.churn(p=0.1)` and `{churn: {p: 0.1}}`.

    What is given by position stands in Python alone.
    """
    arguments = [keyword(name, value) for name, value in named.items()]
    name, inner = path.split(".")[-1], ", ".join(a.command for a in arguments)
    return Words(
        f"{path}({', '.join([*map(spelled, given), *arguments])})", f"{{{name}: {{{inner}}}}}" if inner else name
    )


def _rebuild(cls: type[BaseException], args: tuple[Any, ...], facts: dict[str, Any]) -> BaseException:
    """An error as it was, in another process."""
    error = cls.__new__(cls, *args)
    error.args = args
    vars(error).update(facts)
    return error


class _Portable:
    """Errors that reach the parent of a process pool whole, whatever their constructors take."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), getattr(self, "args", ()), vars(self))


class FieldError(_Portable, ValueError, TypeError):
    """A field or an argument that cannot be right: `Dsgd.lr is -1.0; give a finite number >= 0`.

    Args:
      text: the whole message, where it is no sentence about its field.
      field: dotted path of Python names: "Dsgd.lr", "network.topology", "rounds"; "" where no
        single one is to blame.
      got: the value. says: the predicate, where it is not `is VALUE`: "has shape (2,)".
      why: why that cannot work, "but there are 5 nodes". instead: what would be right, "give at
        most 5".
    """

    def __init__(
        self, text: str = "", *, field: str = "", got: object = None, says: str = "", why: str = "", instead: str = ""
    ):
        self.field, self.got, self.says, self.why, self.instead = field, got, says, why, instead
        self.text = text
        super().__init__(text or self.sentence())

    def sentence(self, name: str | None = None) -> str:
        """Return the message as a sentence about the field, under a name of the caller's choice.

        A text that was given as a whole stays.
        """
        if self.text or not self.field:
            return self.text
        says = self.says or "is " + spelled(self.got)
        text = (name or self.field) + ("" if says[0] == "[" else " ") + says  # over['lr'] holds ...
        text = text + ", " + self.why if self.why else text
        return text + "; " + self.instead if self.instead else text


class RefusedError(FieldError):
    """A method and a network option that cannot work together.

    The message says why and what to write instead.
    """


class ConfigError(_Portable, ValueError):
    """A config that cannot become an experiment.

    `path` is where in the config (`("network", "topology", "ring", "n")`), `reason` the sentence
    without it, in the words of a config. `line` and `source` (the file) are filled in where they
    are known.
    """

    def __init__(self, path: Path, reason: str, line: int | None = None, source: str | None = None):
        self.path, self.reason, self.line, self.source = tuple(map(str, path)), as_command(reason), line, source
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
        """Return the same error with where its path comes from.

        That is an override, or file and line of the longest part that the file holds.

        Args:
          sets: what `--set` wrote, by path; one that wrote the field, a part of it or all around it
            is to blame, not the file.
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


class TooLargeError(FieldError):
    """A run that needs more memory than there is.

    Attributes:
      needed, memory: bytes that the run takes, and that there are. largest: most nodes that fit.
      history: of the runs before it, where it is found out that late; None where none ran.
    """

    def __init__(self, text: str, needed: float, memory: float, largest: int, **field: Any):
        self.needed, self.memory, self.largest = needed, memory, largest
        self.history: Any = None
        super().__init__(text, **field)


class DivergenceError(_Portable, ArithmeticError):
    """A loss or a model stopped being finite.

    Attributes:
      round, node, seed, label: where it was first seen. what: "loss" or "model". history: the run
        so far.
    """

    def __init__(self, label: str, seed: int, what: str, round: int, node: int):
        self.label, self.what, self.round, self.node, self.seed = label, what, round, node, seed
        self.history: Any = None
        where = "after round" if what == "model" else "in round"
        super().__init__(
            f"{label}: the {what} of node {node} is not finite {where} {round} (seed {seed}). The step is probably too long for "
            "this method, graph or attack: lower lr (or gamma), or clip; "
            + Words("`error.history` holds the run so far", "what was measured before that is in the run directory")
        )


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: damaged, incomplete, or of another experiment.

    The message says which file and what to do.
    """


class PromiseError(_Portable, AssertionError):
    """A member that does not keep what its kind promises (`dejax.testing`).

    Attributes:
      member: the class. promise: which one broke. found: what was seen. mend: what to write
        instead.
    """

    def __init__(self, member: str, promise: str, found: str, mend: str):
        self.member, self.promise, self.found, self.mend = member, promise, found, mend
        super().__init__(f"{member} breaks the promise {promise!r}: {found}. To mend it: {mend}")


class ProcessError(RuntimeError):
    """Another process of the job failed; says which, and how."""


def bad(
    field: str, got: object = None, *, owner: object = None, says: str = "", why: str = "", instead: str = "",
    error: type[FieldError] = FieldError,
) -> FieldError:  # fmt: skip
    """Make the error of one field or argument.

    `raise bad("lr", lr, owner=self, instead="give a finite number >= 0")`.

    Args:
      owner: the object that has the field, or the name of a function or a section; None: `field` is all there is.
      error: a kind of FieldError, such as RefusedError.
    """
    name = owner if isinstance(owner, str) else "" if owner is None else type(owner).__name__
    return error(field=".".join(filter(None, (name, field))), got=got, says=says, why=why, instead=instead)


def _plain(path: Path) -> Path:
    """A path without the places in lists, which an override may leave out."""
    return tuple(name for name in path if not name.isdigit())


__all__ = [
    "NULL",
    "CheckpointError",
    "ConfigError",
    "DivergenceError",
    "FieldError",
    "ProcessError",
    "PromiseError",
    "RefusedError",
    "TooLargeError",
    "Words",
    "a_name",
    "as_command",
    "as_shown",
    "bad",
    "call",
    "keyword",
    "spelled",
]
