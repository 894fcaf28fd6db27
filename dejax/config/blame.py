"""Which field of a config was refused: its path, found by the names at the beginning of the message.

Messages of dejax begin with what they are about: `lr is -1; ...`, `TopK.k is 0; ...`, `network.rule ...`, `torus: n is 7, ...`.
"""

import re
from collections.abc import Iterator
from typing import Any

from ..errors import ConfigError, Path
from .hints import arguments

HEAD = re.compile(r"(?:(\w+)(?:\.|\(|: ))?(\w+)\)?(?=[ ,]|: )")
REFUSALS = (ValueError, TypeError, OSError, ImportError, OverflowError)


class located:
    """Re-raise what a constructor refuses as a ConfigError that names the path, with that of the argument where the message has one."""

    def __init__(self, path: Path, fn: Any = None):
        self.path, self.fn = path, fn

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Name the path."""
        if isinstance(error, ConfigError):
            if not error.path:
                raise ConfigError(self.path, error.reason) from error
        elif isinstance(error, REFUSALS):
            reason = str(error) or type(error).__name__
            owner = getattr(self.fn, "__name__", "")
            first = HEAD.match(reason) if owner else None
            if first and first[1] in (None, owner) and first[2] in _fields(self.fn):
                raise ConfigError((*self.path, first[2]), _rest(first)) from error
            raise ConfigError(self.path, reason) from error


class blamed:
    """Re-raise what the objects of a run refuse, alone or together, as a ConfigError with path, line and file.

    Args:
      config: a `Config`. run: one of its runs, or None: the one whose label the error has, or the first that the message fits.
      strict: turn errors that name no field into errors of the run as a whole; else they pass as they are.
    """

    def __init__(self, config: Any, run: Any = None, strict: bool = False):
        self.config, self.run, self.strict = config, run, strict

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Name path, line and file."""
        if isinstance(error, ConfigError):
            raise _as(error, self.config.at(error)) from error.__cause__
        if not isinstance(error, REFUSALS):
            return
        label = getattr(error, "label", None)
        runs = [self.run] if self.run else [r for r in self.config.runs if label in (None, r.label)]
        for run in runs:
            found = locate(run, str(error))
            if found is not None:
                raise _as(error, self.config.at(ConfigError(*found))) from error
        if self.strict:
            said = re.search(
                r"\bnetwork\.(\w+)", str(error)
            )  # in the middle: `AdPsgd is driven by events; give network.events, ...`
            path = self.run.where(said[1], "network") if said else self.run.path
            raise _as(error, self.config.at(ConfigError(path, str(error) or type(error).__name__))) from error


def _as(error: BaseException, new: ConfigError) -> ConfigError:
    """The new error with what others wrote on the old one (which processes know of it)."""
    vars(new).update({k: v for k, v in vars(error).items() if k not in vars(new)})
    return new


def locate(run: Any, text: str) -> tuple[Path, str] | None:
    """Path and message without its head of the field of a run that a message is about; None if it begins otherwise."""
    found = HEAD.match(text)
    if found is None:
        return None
    owner, field, reason = found[1], found[2], _rest(found)
    if owner in ("network", "Network"):
        return run.where(field, "network"), reason
    if owner == "Problem" or (owner is None and field in ("rounds", "seed", "mesh")):
        return (run.where(field), reason) if field in run.names else None
    if owner is None:
        return (run.where(field, "eval"), reason) if field in run.names_of("eval") else None
    for call in _calls(run.args):
        if owner in (getattr(call.fn, "__name__", ""), call.name) and field in _fields(call.fn):
            return (*call.path, field), reason
    return None


def _rest(head: re.Match[str]) -> str:
    """A message from its field on: `sgd(lr) has shape (2,)` -> `lr has shape (2,)`."""
    return head[2] + head.string[head.end() :]


def _calls(value: Any) -> Iterator[Any]:
    """All calls among the arguments of a run, outer ones first."""
    if isinstance(value, dict):
        for v in value.values():
            yield from _calls(v)
    elif isinstance(value, tuple):
        for v in value:
            yield from _calls(v)
    elif hasattr(value, "args") and hasattr(value, "fn"):
        yield value
        yield from _calls(value.args)


def _fields(fn: Any) -> list[str]:
    return [name for name, *_ in arguments(fn)]


__all__ = ["blamed", "locate", "located"]
