"""Which field of a config a constructor refused: its path, found by the name at the beginning of the message."""

import re
from typing import Any

from ._error import ConfigError, Path
from ._hints import arguments


class located:
    """Re-raise what a constructor refuses as a ConfigError that names the path.

    A message that begins with an argument (`alpha is 0; ...`, `TopK.k is 0; ...`) has that argument's path.
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
        elif isinstance(error, (ValueError, TypeError, OSError, ImportError, OverflowError)):
            reason = str(error) or type(error).__name__
            owner = getattr(self.fn, "__name__", "")
            first = re.match(rf"(?:{re.escape(owner)}(?:[.(]|: ))?(\w+)\)? (?:is|=|has) ", reason) if owner else None
            field = first[1] if first and first[1] in [name for name, *_ in arguments(self.fn)] else None
            if field is not None:
                reason = reason.removeprefix(owner + ".").removeprefix(owner + ": ")
            raise ConfigError((*self.path, field) if field else self.path, reason) from error


__all__ = ["located"]
