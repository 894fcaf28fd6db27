"""Read a config as a call: names are callables, mappings arguments, type hints the schema.

    {choco: {lr: 0.1, gamma: 0.4}}   ->   choco(lr=0.1, gamma=0.4)

`read` turns plain values into a `Call` (checked, nothing built), `Call.build()` calls it,
`Call.plain()` writes it back with every default filled in.
"""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ..errors import ConfigError, Path
from .blame import located
from .hints import Parameter, convert, of_mapping, options, parameters, spoken, takes_schedule
from .registry import Registry
from .words import nearest, shown

EXAMPLES = {"method": "dsgd", "topology": "ring", "task": "mlp", "source": "letters"}  # that need nothing else
OMIT = object()  # a default that YAML cannot spell: left out of the resolved form, the callable fills it in again


@dataclasses.dataclass(frozen=True)
class Call:
    """A callable and its checked arguments, at a path of the config.

    `name` is None for a section (`network`, `data`), whose mapping holds the arguments directly.
    """

    name: str | None
    fn: Callable[..., Any]
    args: dict[str, Any]
    path: Path
    registry: Registry

    def build(self, **extra: Any) -> Any:
        """Build the object: arguments first, then the call.

        A ValueError or TypeError comes back as a ConfigError with the path.
        """
        args = {k: build(v) for k, v in self.args.items()}
        with located(self.path, self.fn):
            return self.fn(**args, **extra)

    def plain(self) -> Any:
        """As in the config, every default filled in; defaults that YAML cannot spell are left out."""
        out = {}
        for p in parameters(self.fn, self.registry):
            value = unbuild(self.args[p.name], p.kind, self.registry) if p.name in self.args else OMIT
            if p.section is not None and p.many and self.args.get(p.name):
                value = [overridden(call, self.registry) for call in self.args[p.name]]
            if p.name not in self.args and p.section is not None and not p.switch:
                value = Call(None, p.section, {}, (*self.path, p.name), self.registry).plain()
            elif p.name not in self.args and not p.required:
                value = unbuild(p.default, p.kind, self.registry)
            if value is not OMIT:
                out[p.name] = value
        if self.name is None:
            return out
        return {self.name: out} if out else self.name


# ---- reading
def read(value: object, kind: str, path: Path, registry: Registry) -> Call:
    """One member: a bare name or a one-key mapping `{name: {argument: value}}`.

    Raises:
      ConfigError: no such member, a wrong form, or anything wrong with its arguments.
    """
    members = registry.members(kind)
    if isinstance(value, str):
        name, given = value, {}
    elif isinstance(value, Mapping) and len(value) == 1:
        name, given = next(iter(value.items()))
    else:
        usual = EXAMPLES.get(kind)
        some = usual if usual in members else next(iter(members), "name")
        what = f"{len(value)} keys ({', '.join(map(str, value))})" if isinstance(value, Mapping) else shown(value)
        what = "an empty mapping" if value == {} else what
        raise ConfigError(
            path, f"expected the name of one {kind} or {{name: {{argument: value}}}}, e.g. {some}; got {what}."
        )
    if name not in members:
        raise ConfigError(path, f"no {kind} named {name!r}.{registry.hint(kind, name)}{nearest(name, members)}")
    return read_call(name, members[name], given, (*path, name), registry)


def read_call(
    name: str | None, fn: Callable[..., Any], given: object, path: Path, registry: Registry, partial: bool = False
) -> Call:
    """Read the arguments of one call, each against its hint.

    `partial` leaves the check for missing ones to `require`.
    """
    params = {p.name: p for p in parameters(fn, registry)}
    label = name or (path[-1] if path else "a config")
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        want = _meant(given, params, path, registry, label)
        raise ConfigError(path, f"expected the arguments of {label} by name, got {shown(given)}. {want}.")
    for key in given:
        if key not in params:
            raise ConfigError((*path, key), f"{label} takes no {key!r}.{nearest(key, params)}")
    if not partial:
        require(params, given, path, label)
    args = {key: read_argument(value, params[key], (*path, key), registry, partial) for key, value in given.items()}
    return Call(name, fn, args, path, registry)


def require(params: Mapping[str, Parameter], given: Any, path: Path, label: str) -> None:
    """Raise ConfigError for arguments without default that are not given."""
    missing = [p for p in params.values() if p.required and p.name not in given]
    if missing:
        raise ConfigError(path, f"{label} needs {' and '.join(map(_wanted, missing))}.")


def _meant(given: object, params: Mapping[str, Parameter], path: Path, registry: Registry, label: str) -> str:
    """Say what to write instead of a value that stands where arguments should.

    That is the value under the name of the first argument, if it may be that.
    """
    if not params:
        return f"Write nothing: {label} takes no arguments"
    first = next(iter(params.values()))
    try:
        read_argument(given, first, path, registry)
    except ConfigError:
        return f"It takes {', '.join(map(_wanted, params.values()))}"
    return f"Write {{{first.name}: {given!r}}}"


def _wanted(p: Parameter) -> str:
    """An argument, and what it may be where that is known: `lr (number)`."""
    what = p.kind or ("section" if p.section else None if Any in options(p.hint) else spoken(p.hint))
    return p.name if what is None else f"{p.name} ({what})"


def read_argument(value: object, p: Parameter, path: Path, registry: Registry, partial: bool = False) -> Any:
    """One argument: a section, a member (or a list of them), or a value converted by the hint."""
    if p.section is not None and value is None and p.switch:
        return None
    if p.section is not None and p.many:
        if not isinstance(value, list) or not value:
            raise ConfigError(path, f"expected a list of {p.name}, [{{...}}, {{...}}]; got {shown(value)}.")
        each = enumerate(value)
        return tuple(read_call(None, p.section, v, (*path, str(i)), registry, partial=True) for i, v in each)
    if p.section is not None:
        return read_call(None, p.section, value, path, registry, partial)
    if p.kind is None and isinstance(value, Mapping) and takes_schedule(p.hint):
        return read(value, "schedule", path, registry)
    if p.kind is None and isinstance(value, Mapping) and (made := of_mapping(p.hint)) is not None:
        return read_call(None, made, value, path, registry)
    if value is None and (p.default is None or (p.kind is not None and type(None) in options(p.hint))):
        return None  # what the default says may be written down
    if p.kind is None:
        return convert(value, p.hint, path)
    if p.named:
        if not isinstance(value, Mapping):
            raise ConfigError(path, f"expected a {p.kind} for each name, {{name: {p.kind}}}; got {shown(value)}.")
        return {k: read(v, p.kind, (*path, k), registry) for k, v in value.items()}
    if not p.many:
        plain = [o for o in options(p.hint) if o in (bool, int, float, str) or typing.get_origin(o) is Literal]
        if plain and not isinstance(value, (str, Mapping)):
            return convert(value, typing.Union[tuple(plain)], path)  # noqa: UP007 (built from a tuple)
        return read(value, p.kind, path, registry)
    if value is None or value == []:
        return ()
    if isinstance(value, list):
        return tuple(read(v, p.kind, (*path, str(i)), registry) for i, v in enumerate(value))
    return (read(value, p.kind, path, registry),)


# ---- building, and back
def build(value: object) -> Any:
    """Calls become objects, also inside tuples and mappings; the rest stays."""
    if isinstance(value, Call):
        return value.build()
    if isinstance(value, dict):
        return {k: build(v) for k, v in value.items()}
    return tuple(build(v) for v in value) if isinstance(value, tuple) else value


def overridden(call: Call, registry: Registry) -> dict[str, Any]:
    """What a mapping overrides, defaults filled in inside members but not in sections."""
    params, out = {p.name: p for p in parameters(call.fn, registry)}, {}
    for name, value in call.args.items():
        p = params[name]
        if p.section is not None and value:
            out[name] = [overridden(v, registry) for v in value] if p.many else overridden(value, registry)
        else:
            out[name] = unbuild(value, None, registry)
    return out


def unbuild(value: Any, kind: str | None, registry: Registry) -> Any:
    """The plain value that reads back as `value`, or OMIT."""
    if isinstance(value, Call):
        return value.plain()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        items = [unbuild(v, kind, registry) for v in value]
        return OMIT if any(i is OMIT for i in items) else items
    if isinstance(value, Mapping):
        items = {k: unbuild(v, None, registry) for k, v in value.items()}
        return OMIT if any(i is OMIT for i in items.values()) else items
    listed = getattr(value, "tolist", None)  # of an array, of NumPy or of JAX
    if listed is not None:
        return listed()
    for name, member in registry.members(kind).items() if kind else ():
        if member is type(value) and dataclasses.is_dataclass(value):
            args = {
                p.name: unbuild(getattr(value, p.name, OMIT), p.kind, registry) for p in parameters(member, registry)
            }
            args = {k: v for k, v in args.items() if v is not OMIT}
            return {name: args} if args else name
    return OMIT


__all__ = ["OMIT", "Call", "build", "overridden", "read", "read_call", "require", "unbuild"]
