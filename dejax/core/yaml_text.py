"""Write plain values as YAML."""

import math
import re
from typing import Any


def inline(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return ".nan"
        if value in (float("inf"), float("-inf")):
            return ".inf" if value > 0 else "-.inf"
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_/][\w./+-]*(?: [\w./+-]+)*", value)
        return value if plain and isinstance(_probe(value), str) else _quoted(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(inline, value)) + "]"
    return "{" + ", ".join(f"{inline(k)}: {inline(v)}" for k, v in value.items()) + "}"


def _quoted(text: str) -> str:
    """Put a text into double quotes, with escapes for what is not printable.

    JSON's pairs of surrogates are not YAML, so `json.dumps` would not do.
    """
    out = ""
    for c in text:
        if c in '"\\':
            out += "\\" + c
        else:
            out += c if c.isprintable() and c != "\ufeff" else f"\\U{ord(c):08x}"
    return f'"{out}"'


def _probe(text: str) -> Any:
    return {"null": None, "true": True, "false": False, "~": None}.get(text.lower(), text)


def dump(value: object, indent: int = 0) -> str:
    """Write plain values as YAML that `parse` reads back to the same values.

    Short mappings stay on one line.
    """
    if not isinstance(value, dict) or not value:
        return " " * indent + inline(value) + "\n"
    out = ""
    for key, item in value.items():
        head = " " * indent + inline(key) + ":"
        flat = inline(item)
        if isinstance(item, dict) and item and (indent == 0 or len(head) + len(flat) > 100):
            out += head + "\n" + dump(item, indent + 2)
        elif isinstance(item, (list, tuple)) and len(head) + len(flat) > 110 and any(isinstance(v, dict) for v in item):
            out += head + "\n" + "".join(" " * indent + "  - " + inline(v) + "\n" for v in item)
        else:
            out += f"{head} {flat}\n"
    return out


__all__ = ["dump"]
