"""Read YAML to plain values and write it back.

YAML 1.2 scalars, no tags, no key twice, and a line for every path. Only mappings, lists, strings,
numbers, booleans and null come out; a tag such as `!!python/name` is an error, so that nothing in a
config can run code. Against plain `yaml.safe_load`: `1e-3` is a number, `no` and `on` are words,
`010` is 10, `12:30` is a word, and a key given twice is an error instead of the last one winning
silently.
"""

import re
from typing import Any

from ..core.yaml_text import dump as dump
from ..errors import ConfigError, Path

MAX_VALUES = 100_000  # a config is small; aliases of aliases could expand to gigabytes
MAX_BYTES = 250_000  # of text; more would take seconds to read
MAX_DEPTH = 60  # of lists and mappings in each other
TOO_DEEP = (
    f"lists and mappings stand in each other more than {MAX_DEPTH} deep, but no config needs so many; write it flatter"
)


def _loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            """The node, unless it is too deep."""
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise yaml.MarkedYAMLError(problem=TOO_DEEP, problem_mark=self.peek_event().start_mark)
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    Loader.yaml_implicit_resolvers = {}

    for tag, pattern, first in (
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
        (
            "float",
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
            list("-+0123456789."),
        ),
    ):
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)
    return Loader


def _scalar(tag: str, text: str) -> Any:
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    if tag == "int":
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if tag == "float":
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def check_size(text: str | bytes, source: str | None = None) -> None:
    """Raise ConfigError for more than a config can hold, before anything is read."""
    if len(text) > MAX_BYTES:
        reason = f"too large: a config holds at most {MAX_BYTES:,} bytes. Is it the right file? Samples go into one of their own (from_npz)"
        raise ConfigError((), reason, None, source)


def parse(text: str, source: str | None = None) -> tuple[Any, dict[Path, int]]:
    """Parse one YAML (or JSON) document.

    Args:
      text: the document.
      source: its file name, for messages.
    Returns:
      Its plain values, and the line (from 1) at which each path stands.
    Raises:
      ConfigError: not YAML, a key given twice, a key that is not a word, a tag, more than one
        document; text that is larger or deeper than a config is.
    """
    import yaml

    check_size(text, source)
    try:
        root = yaml.compose(text, _loader())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError((), f"not readable as YAML: {reason}", mark.line + 1 if mark else None, source) from None
    lines: dict[Path, int] = {}
    count = 0

    def plain(node: Any, path: Path, parents: tuple[int, ...]) -> Any:
        nonlocal count
        count += 1
        line = node.start_mark.line + 1
        if len(path) >= MAX_DEPTH:
            raise ConfigError(path[:3], TOO_DEEP, line, source)
        if count > MAX_VALUES or id(node) in parents:
            raise ConfigError(
                path, "an alias repeats its own parent or expands to too many values; write it out", line, source
            )
        lines.setdefault(path, line)
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if isinstance(node, yaml.ScalarNode) and kind in ("null", "bool", "int", "float", "str"):
            try:
                return _scalar(kind, node.value)
            except ValueError:
                long = len(node.value) > 4300 and kind == "int"  # as many as Python reads
                reason = (
                    f"a number of {len(node.value):,} digits"
                    if long
                    else f"{node.value!r} is not a value of {node.tag}"
                )
                raise ConfigError(path, reason, line, source) from None
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [plain(v, (*path, str(i)), (*parents, id(node))) for i, v in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode) or kind != "map":
            raise ConfigError(
                path, f"the tag {node.tag!r} is not allowed: a config holds only plain values", line, source
            )
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(path, "a key is a list or a mapping; keys are words", key_line, source)
            key = key_node.value
            if key in out:
                raise ConfigError(
                    (*path, key), f"given twice (first on line {lines[(*path, key)]}); keep one", key_line, source
                )
            lines[(*path, key)] = key_line
            out[key] = plain(value_node, (*path, key), (*parents, id(node)))
        return out

    value = None if root is None else plain(root, (), ())
    return value, lines


def parse_value(text: str) -> Any:
    """Parse the value of one `--set path=value`.

    Such as `0.1`, `[1, 2]`, `{top_k: {k: 3}}`, `ring`; empty is null.
    """
    return parse(text)[0]


__all__ = ["dump", "parse", "parse_value"]
