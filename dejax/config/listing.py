"""What `dejax list` prints: every member of every folder, by kind, from the source text."""

import ast
import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from . import catalog
from .catalog import Member
from .registry import AROUND, KINDS, OPTAX_SCHEDULES, OPTIMIZERS, SCHEDULES
from .words import nearest

HELPERS = "helpers"  # members of the folders that no field of a config takes: spectral facts, accountants, readers


def listing() -> dict[str, list[Member]]:
    """Return group -> members, in the order of the folders' lists.

    The last group holds what only Python calls.
    """
    groups: dict[str, list[Member]] = {}
    seen: set[tuple[str, str]] = set()
    for kind, entry in KINDS.items():
        if not entry.folder:
            groups[entry.plural] = optimizers() if kind == "optimizer" else schedules()
            continue
        found = [m for m in catalog.members(entry.folder) if entry.belongs(m)]
        if kind == "metric":  # the view is given by the run
            found = [dataclasses.replace(m, parameters=m.parameters[1:]) for m in found]
        groups[entry.plural] = found
        seen |= {(entry.folder, m.name) for m in found}
    rest = []
    for folder in sorted({entry.folder for entry in KINDS.values()} - {""}):
        rest += [m for m in catalog.members(folder) if (folder, m.name) not in seen]
    groups[HELPERS] = rest
    return groups


def chosen(words: list[str]) -> dict[str, list[Member]]:
    """The groups named by `words`, singular or plural; all of them without words.

    Raises:
      ConfigError: an unknown group; it names the nearest.
    """
    groups = listing()
    if not words:
        return {name: members for name, members in groups.items() if members}
    names = {kind: entry.plural for kind, entry in KINDS.items()} | {
        entry.plural: entry.plural for entry in KINDS.values()
    }
    names |= {HELPERS: HELPERS, "topologys": "topologies", "partitioners": "partitions", "data": "sources"}
    out = {}
    for word in words:
        key = word.lower().replace("-", "_")
        if key not in names:
            raise ConfigError((), f"dejax list knows no {word!r}.{nearest(word, groups)}")
        out[names[key]] = groups[names[key]]
        if key == "data":
            out["partitions"] = groups["partitions"]
    return out


def optimizers() -> list[Member]:
    """The optax factories that a config may name, read from optax's source where it is found."""
    more = [*((name, "NodeFloatLike", "None") for name in AROUND), ("restart", "bool | None", "None")]
    return _of_optax("_src/alias.py", OPTIMIZERS, more)


def _of_optax(module: str, names: tuple[str, ...], more: list[tuple[str, str, str]]) -> list[Member]:
    """Factories of optax by name; `more`: arguments that each has in a config beside its own."""
    spec = importlib.util.find_spec("optax")
    file = Path(spec.origin).parent.joinpath(*module.split("/")) if spec is not None and spec.origin else None
    found: dict[str, Member] = {}
    if file is not None and file.is_file():
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name in names:
                member = catalog.member(node.name, node.name, file, node)
                known = {name for name, *_ in member.parameters}
                added = tuple(p for p in more if p[0] not in known)
                found[node.name] = dataclasses.replace(member, parameters=member.parameters + added)
    empty = lambda name: Member(name, name, "", f"optax.{name}.", "optax", (), False, frozenset(), "")
    return [found.get(name, empty(name)) for name in names]


def schedules() -> list[Member]:
    """Learning-rate schedules: they may stand where a number that is a leaf may."""
    file = catalog.ROOT / "optimizers" / "__init__.py"
    found = [catalog.find(file, target) for target in SCHEDULES.values()]
    own = [catalog.member(name, target, *at) for (name, target), at in zip(SCHEDULES.items(), found, strict=True) if at]
    return own + _of_optax("schedules/_schedule.py", OPTAX_SCHEDULES, [("unit", "Unit", "'rounds'")])


def as_json(groups: dict[str, list[Member]]) -> dict[str, Any]:
    """Plain values for `dejax list --json`."""
    return {
        group: [
            {
                "name": m.name,
                "signature": m.signature,
                "summary": m.summary,
                "reference": m.reference,
                "parameters": [{"name": n, "hint": h, "default": d, "required": not d} for n, h, d in m.parameters],
            }
            for m in members
        ]
        for group, members in groups.items()
    }


__all__ = ["HELPERS", "as_json", "chosen", "listing", "optimizers", "schedules"]
