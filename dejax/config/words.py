"""Words for error messages about a config: the nearest known name, a value with its type."""

import difflib
from collections.abc import Iterable

from ..errors import as_shown


def nearest(name: object, known: Iterable[str]) -> str:
    """`Did you mean x? Known: x, y.` for an unknown name."""
    known = list(known)
    lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(str(name).lower().replace("-", "_"), list(lower), 1, 0.6)
    hint = f" Did you mean {lower[close[0]]}?" if close else ""
    return f"{hint} Known: {', '.join(known) or 'none'}."


_WORDS = {tuple: "list", dict: "mapping", str: "text", bool: "truth value", int: "whole number", float: "number"}


def shown(value: object) -> str:
    """A value as it stands in the config, with its kind: `'fast' (text)`; long ones are cut."""
    if value is None:
        return "null"
    text = (
        str(value).lower() if isinstance(value, bool) else as_shown(list(value) if isinstance(value, tuple) else value)
    )
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({_WORDS.get(type(value), type(value).__name__)})"


__all__ = ["nearest", "shown"]
