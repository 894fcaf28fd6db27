"""`--set a.b.c=value`: write into the plain values of a config.

The signatures that read a config say what is right here. A field takes another member by its name:
on `method: {dsgd: {lr: 0.1}}`, `method.dsgd.lr=0.2` changes a number, `method.choco.lr=0.1` makes
it `{choco: {lr: 0.1}}`, and `method=choco` a bare name.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import ConfigError, Path
from . import calls, hints
from .hints import Parameter
from .registry import Registry
from .words import nearest
from .yaml import parse_value


def split(assignment: str) -> tuple[Path, Any]:
    """`a.b=1e-3` -> (("a", "b"), 0.001).

    Raises:
      ConfigError: no `=`, an empty name in the path, or a value that is not YAML.
    """
    head, sep, text = assignment.partition("=")
    path = tuple(head.strip().split("."))
    if not sep or not all(path):
        raise ConfigError((), f"--set {assignment!r} is not of the form a.b.c=value, e.g. method.dsgd.lr=0.1.")
    try:
        return path, parse_value(text)
    except ConfigError as error:
        raise ConfigError(path, error.reason, None, f"--set {assignment}") from None


def apply(
    config: dict[str, Any], assignments: Iterable[tuple[Path, Any]], schema: Callable[..., Any], registry: Registry
) -> Any:
    """A copy of `config` with each (path, value) written into it, in order.

    Raises:
      ConfigError: a path that leads nowhere; it names the nearest that exists.
    """
    config = copy.deepcopy(config)
    for path, value in assignments:
        config = _section(config, schema, path, value, (), registry)
    return config


def _section(
    old: object, fn: Callable[..., Any], rest: Path, value: object, path: Path, registry: Registry
) -> dict[str, Any]:
    """Arguments of a call with one of them replaced."""
    params = {p.name: p for p in hints.parameters(fn, registry)}
    key, here = rest[0], (*path, rest[0])
    if key not in params:
        raise ConfigError(here, f"{path[-1] if path else 'a config'} takes no {key!r}.{nearest(key, params)}")
    out = dict(old) if isinstance(old, dict) else {}
    out[key] = _into(out.get(key), params[key], rest[1:], value, here, registry)
    return out


def _into(old: object, p: Parameter, rest: Path, value: object, path: Path, registry: Registry) -> Any:
    if not rest:
        return value
    if p.section is not None and p.many:
        items = list(old) if isinstance(old, list) else []
        if not rest[0].isdigit() or int(rest[0]) >= len(items):
            raise ConfigError((*path, rest[0]), f"{'.'.join(path)} has {len(items)} entries, which count from 0.")
        at = int(rest[0])
        items[at] = _section(items[at], p.section, rest[1:], value, (*path, rest[0]), registry) if rest[1:] else value
        return items
    if p.section is not None:
        return _section(old, p.section, rest, value, path, registry)
    if p.name == "methods" and not path[1:]:
        return _label(old, p, rest, value, path, registry)
    if p.kind is None and hints.takes_schedule(p.hint) and rest[0] in registry.members("schedule"):
        return _slot(old, "schedule", rest, value, path, registry)
    if p.kind is None and (made := hints.of_mapping(p.hint)) is not None and not rest[0].isdigit():
        return _section(old, made, rest, value, path, registry)
    if p.kind is None:
        if isinstance(old, list) and rest[0].isdigit() and int(rest[0]) < len(old) and not rest[1:]:
            return [*old[: int(rest[0])], value, *old[int(rest[0]) + 1 :]]
        raise ConfigError(
            (*path, *rest), f"{p.name} is a plain value ({hints.spoken(p.hint)}); nothing stands below it."
        )
    if p.named:
        named, label, inner = dict(old) if isinstance(old, dict) else {}, rest[0], registry.whole(p.kind, rest[1:])
        slot = lambda: _slot(named.get(label), p.kind or "", inner, value, (*path, label), registry)
        return named | {label: slot() if inner else value}
    rest = registry.whole(p.kind, rest)
    if not p.many:
        return _slot(old, p.kind, rest, value, path, registry)
    items = list(old) if isinstance(old, list) else [] if old is None else [old]
    if rest[0].isdigit():
        at = int(rest[0])
        if at > len(items):
            raise ConfigError((*path, rest[0]), f"{'.'.join(path)} has {len(items)} entries; give 0 to {len(items)}.")
        items += [None] * (at == len(items))
        items[at] = _slot(items[at], p.kind, rest[1:], value, (*path, rest[0]), registry) if rest[1:] else value
        return items
    at = next(
        (i for i, item in enumerate(items) if rest[0] == item or (isinstance(item, dict) and rest[0] in item)),
        len(items),
    )
    items += [None] * (at == len(items))
    items[at] = _slot(items[at], p.kind, rest, value, path, registry)
    return items


def _slot(old: object, kind: str, rest: Path, value: object, path: Path, registry: Registry) -> Any:
    """Return a one-key mapping with the member `rest[0]` in it.

    Arguments of another member are dropped with it.
    """
    members = registry.members(kind)
    name = rest[0]
    if name not in members:
        held = old if isinstance(old, str) else next(iter(old), "") if isinstance(old, dict) else ""
        params = [p.name for p in hints.parameters(members[held], registry)] if held in members else []
        if name in params:
            raise ConfigError(
                (*path, name), f"an argument of {held} stands under its name: {'.'.join((*path, held, name))}."
            )
        raise ConfigError(
            (*path, name), f"no {kind} named {name!r}.{registry.hint(kind, name)}{nearest(name, members)}"
        )
    args = old[name] if isinstance(old, dict) and name in old and old[name] is not None else {}
    if not rest[1:]:
        if value is not None and not isinstance(value, dict):
            calls.read_call(name, members[name], value, (*path, name), registry)  # which refuses it
        return {name: value} if value else name
    return {name: _section(args, members[name], rest[1:], value, (*path, name), registry)}


def _label(old: object, p: Parameter, rest: Path, value: object, path: Path, registry: Registry) -> Any:
    from .names import run

    runs = dict(old) if isinstance(old, dict) else {}
    if rest[0] not in runs and (runs or len(rest) == 1) and not (len(rest) == 1 and isinstance(value, dict)):
        raise ConfigError((*path, rest[0]), f"no run labelled {rest[0]!r}.{nearest(rest[0], runs)}")
    runs[rest[0]] = _section(runs.get(rest[0]), run, rest[1:], value, (*path, rest[0]), registry) if rest[1:] else value
    return runs


def check_used(config: Any, path: Path) -> None:
    """Refuse a path that was written but that no run reads.

    That happens where every label says the same thing itself.

    Raises:
      ConfigError: names the path under `methods.LABEL` that would work.
    """
    if readers(config, path):
        return
    fits = [label for label, over in config.overrides.items() if _holds(over, path)] or list(config.overrides)
    others = f" (labels: {', '.join(config.overrides)})" if len(config.overrides) > 1 else ""
    raise ConfigError(
        path,
        f"no run reads it: each label of methods gives its own {_own(path)}. Write methods.{fits[0]}.{'.'.join(path)}{others}.",
    )


def readers(config: Any, path: Path) -> list[str]:
    """The labels (of `config.runs`) whose runs read what stands at the path."""
    if path[0] == "methods":
        return [run.label for run in config.runs if path[1:2] in ((), (run.label,))]
    labels = zip(config.runs, config.overrides.values(), strict=True)
    return [run.label for run, over in labels if not _overrides(over, config.top.args.get(path[0]), path)]


def _overrides(over: Any, top: Any, path: Path) -> bool:
    """Whether a run gives its own value of the argument at a path of the top level."""
    own = over.args.get(path[0])
    if not (isinstance(own, calls.Call) and own.name is None):  # no section: whole
        return path[0] in over.args
    names = path[1:2] or tuple(top.args)
    return bool(names) and all(name in own.args for name in names)


def _own(path: Path) -> str:
    """The part of a path that a label replaces as a whole: `method`, `network.topology`."""
    return ".".join(path[: 2 if path[0] in ("network", "data") else 1])


def _holds(over: object, path: Path) -> bool:
    """Whether a run's own value is the member that the path goes through."""
    at: Any = over
    for name in _own(path).split("."):
        at = at.args.get(name) if isinstance(at, calls.Call) else None
    return isinstance(at, calls.Call) and path[len(_own(path).split(".")) :][:1] == (at.name,)


__all__ = ["apply", "check_used", "readers", "split"]
