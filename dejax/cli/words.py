"""Errors and warnings in words of the command: keys of a config and flags."""

from collections.abc import Sequence

from ..errors import ConfigError, FieldError, as_command

# fields that no config has, and how the command calls them
FLAGS = {"out": "--out", "resume": "RUN", "memory": "--memory", "fallback": "--fallback"}


def on_the_command_line(error: BaseException, command: str = "", over: Sequence[str] = ()) -> str:
    """The message of an error or a warning in the words of the command that was given.

    Args:
      command: the command. over: paths that it sweeps over, which the library knows as overrides.
    """
    if isinstance(error, ConfigError):
        return ConfigError(error.path, error.reason, error.line, _flag(error.source, command, over)).text()
    if isinstance(error, FieldError):
        return as_command(error.sentence(FLAGS.get(error.field)))
    return as_command(error.args[0]) if len(error.args) == 1 else str(error)


def _flag(source: str | None, command: str, over: Sequence[str]) -> str | None:
    """An override as the user gave it: by --set, by --over, or by --rounds."""
    override = (source or "").removeprefix("--set ")
    if override == source or source is None:
        return source
    path, _, value = override.partition("=")
    if command == "resume" and path == "rounds":
        return f"--rounds {value}"
    return f"--over {override}" if path in over else source


__all__ = ["on_the_command_line"]
