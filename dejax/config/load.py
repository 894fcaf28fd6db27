"""Read a config from a file or plain values, with overrides and modules of the user."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any

from ..errors import ConfigError, Path, bad
from . import assign
from .experiment import Config
from .names import experiment
from .registry import Registry
from .words import nearest
from .yaml import MAX_BYTES, check_size, parse


def load(
    source: str | os.PathLike[str] | Mapping[str, Any],
    sets: Iterable[str] = (),
    members: Mapping[str, Mapping[str, Callable[..., Any]]] | None = None,
    imports: Iterable[str] = (),
) -> Config:
    """Read a config.

    Args:
      source: a YAML (or JSON) file, or the plain values themselves.
      sets: overrides such as "method.dsgd.lr=0.1", applied in order.
      members: names of your own, `{"method": {"mine": MyMethod}}`: what a config may then call.
      imports: modules of your own whose classes and functions the config names in full,
        `method: {package.module.MyMethod: {lr: 0.1}}`. They are imported, which runs their code; a
        config alone, whatever its own `imports` say, imports nothing.
    Returns:
      Config, checked; objects are built by `config.runs[i].objects()`.
    Raises:
      ConfigError: no such file, not YAML, anything that is not a call with the right arguments, an
        override that no run reads, or a module that the config imports and the caller does not.
      ValueError: `imports` is no list of names.
    Example:
      >>> config = load("configs/quickstart.yaml", sets=["rounds=10"])
      >>> method, problem, network = config.runs[0].objects()
    """
    lines: dict[Path, int] = {}
    name = None
    if isinstance(source, Mapping):
        values: Any = dict(source)
    else:
        name = os.fspath(source)
        try:
            with FilePath(name).open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
            check_size(raw, name)
            text = raw.decode("utf-8")
        except FileNotFoundError:
            near = (
                sorted(str(p) for p in FilePath(name).parent.glob("*.y*ml")) if FilePath(name).parent.is_dir() else []
            )
            raise ConfigError((), f"no config file {name!r}.{nearest(name, near) if near else ''}") from None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            reason = f"not UTF-8: byte 0x{error.object[error.start]:02x}; save the config as UTF-8"
            raise ConfigError((), reason, line, name) from None
        except OSError as error:
            raise ConfigError((), f"cannot read the config {name!r}: {error}") from None
        values, lines = parse(text, name)
        if values is None:
            raise ConfigError((), f"the config {name!r} is empty; it needs rounds, data, task and method.")
    modules = [None] if isinstance(imports, str) else list(imports)
    if not all(isinstance(module, str) for module in modules):
        raise bad("imports", imports, instead="give a list of names of modules, e.g. ['lab.mine']")
    trusted = tuple(dict.fromkeys(map(str, modules)))
    values = _confirmed(values, trusted)
    registry = Registry(members, imports=trusted)
    written: dict[Path, str] = {}
    for text in sets:
        path, value = assign.split(text)
        try:
            values = assign.apply(values, [(path, value)], experiment, registry)
        except ConfigError as error:
            raise ConfigError(error.path, error.reason, None, f"--set {text}") from None
        written[path] = f"--set {text}"
    config = Config(_confirmed(values, trusted), registry, name, lines, written)
    for path in written:
        try:
            assign.check_used(config, path)
        except ConfigError as error:
            raise config.at(error) from None
    return config


def _confirmed(values: Any, trusted: tuple[str, ...]) -> Any:
    """The values with all imports in them, once each that the config asks for is trusted.

    Raises:
      ConfigError: one is not.
    """
    if not isinstance(values, Mapping):
        return values
    asked = values.get("imports") or []
    asked = [asked] if isinstance(asked, str) else asked
    if not isinstance(asked, (list, tuple)) or not all(isinstance(module, str) for module in asked):
        return values  # which is refused as any value of a wrong form is
    for module in asked:
        if module not in trusted:
            raise ConfigError(
                ("imports",),
                f"the config wants to import {module}, which runs its code; if you trust it, add --import {module} "
                f"(in Python load(..., imports=[{module!r}])).",
            )
    everything = list(dict.fromkeys([*asked, *trusted]))
    return dict(values) | {"imports": everything} if everything else values


__all__ = ["load"]
