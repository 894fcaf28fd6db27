"""Find which field of a config was refused, by the field that the error names."""

from collections.abc import Iterator
from typing import Any

from ..errors import ConfigError, FieldError, Path
from .hints import arguments

REFUSALS = (ValueError, TypeError, OSError, ImportError, OverflowError)


class located:
    """Re-raise what a constructor refuses as a ConfigError that names the path.

    The path ends in the argument, where the error names one.
    """

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
            parts = [name for name in getattr(error, "field", "").split(".") if name]
            if self.fn is not None and parts[1:] and parts[0] == self.fn.__name__:
                parts = parts[1:]
            if self.fn is not None and parts and parts[0] in _fields(self.fn):  # a field of it, or of a section in it
                raise ConfigError((*self.path, *parts), _reason(error, parts[-1])) from error
            raise ConfigError(self.path, _reason(error)) from error


class blamed:
    """Re-raise what the objects of a run refuse, alone or together, as a ConfigError.

    It names path, line and file.

    Args:
      config: a `Config`. run: one of its runs, or None: the one whose label the error has, or the
        first that has its field.
      strict: turn errors that name no field into errors of the run as a whole; else they pass as
        they are.
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
            found = locate(run, error)
            if found is not None:
                raise _as(error, self.config.at(ConfigError(found, _reason(error, _field(error)[1])))) from error
        if self.strict:
            raise _as(error, self.config.at(ConfigError(self.run.path, _reason(error)))) from error


def _as(error: BaseException, new: ConfigError) -> ConfigError:
    """The new error with what others wrote on the old one (which processes know of it)."""
    vars(new).update({k: v for k, v in vars(error).items() if k not in vars(new)})
    return new


def locate(run: Any, error: BaseException) -> Path | None:
    """Find where a run has the field that an error is about.

    None where the run has none, or the error names none.
    """
    owner, field = _field(error)
    head, *rest = f"{owner}.{field}".strip(".").split(".")
    if head.startswith("phases["):
        return (*run.where("phases"), head.removeprefix("phases[").removesuffix("]"), *rest)
    if owner in ("network", "Network"):
        return run.where(field, "network")
    if owner == "mesh":
        return (*run.where("mesh"), field)
    if owner == "Problem" or (owner == "" and field in ("rounds", "seed", "mesh")):
        return run.where(field) if field in run.names else None
    if owner == "":
        return run.where(field, "eval") if field in run.names_of("eval") else None
    for call in _calls(run.args):
        if owner in (getattr(call.fn, "__name__", ""), call.name) and field in _fields(call.fn):
            return (*call.path, field)
    return None


def _field(error: BaseException) -> tuple[str, str]:
    """Return owner and name of the field of an error: ("Dsgd", "lr"), ("", "rounds"), ("", "")."""
    owner, _, name = getattr(error, "field", "").rpartition(".")
    return owner, name


def _reason(error: BaseException, field: str | None = None) -> str:
    """What an error says, as a sentence about the field where its path stands before it."""
    if isinstance(error, FieldError):
        return error.sentence(field)
    return (
        error.args[0] if len(error.args) == 1 and isinstance(error.args[0], str) else str(error) or type(error).__name__
    )


def _calls(value: Any) -> Iterator[Any]:
    """All calls among the arguments of a run, outer ones first."""
    from .calls import Call  # which imports `located`

    if isinstance(value, dict):
        for v in value.values():
            yield from _calls(v)
    elif isinstance(value, tuple):
        for v in value:
            yield from _calls(v)
    elif isinstance(value, Call):
        yield value
        yield from _calls(value.args)


def _fields(fn: object) -> list[str]:
    return [name for name, *_ in arguments(fn)]


__all__ = ["blamed", "locate", "located"]
