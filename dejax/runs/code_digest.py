"""Digests of the code of an experiment's functions.

By these a resumed run notices that a function was edited. Bytecode is compared, not source text, so
that comments, layout and the rest of a line do not count. It differs between versions of Python:
digests are compared where `python()` is the same, and not at all where it differs.
"""

import dataclasses
import dis
import functools
import hashlib
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from ..core.types import Tree

LIBRARIES = {
    "beartype", "builtins", "chex", "dejax", "flax", "jax", "jaxlib", "jaxtyping", "numpy", "optax", "orbax", "scipy", *sys.stdlib_module_names,
} - {"__main__"}  # fmt: skip  # known by name alone: another version of them is no other experiment


def python() -> str:
    """What bytecode depends on: the interpreter, its version and its optimization."""
    return f"{sys.implementation.cache_tag}-O{sys.flags.optimize}"


def functions(value: Tree, path: str) -> dict[str, str]:
    """Map path -> digest for each of the user's functions and classes in a tree.

    The tree consists of dataclasses, containers and objects. A function counts with its constants,
    defaults, what it closes over and the globals that it reads, as far as those are plain values,
    arrays, or functions in turn; a class with its own methods and plain attributes. Those of
    libraries do not count.
    """
    found: dict[str, str] = {}
    _walk(value, path, found, {})
    return found


def _walk(value: Tree, path: str, found: dict[str, str], seen: dict[int, Any]) -> None:
    if id(value) in seen or isinstance(value, (str, bytes, bool, int, float, np.ndarray, jax.Array)):
        return
    seen[id(value)] = value  # kept, so that its id stays its own
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            _walk(value[key], f"{path}.{key}", found, seen)
    elif isinstance(value, (tuple, list)):
        for i, item in enumerate(value):
            _walk(item, f"{path}.{i}", found, seen)
    elif isinstance(value, (type, functools.partial)) or _code(value) is not None:
        _add(value, path, found)
    else:
        _add(type(value), path, found)
        fields = (
            [f.name for f in dataclasses.fields(value)]
            if dataclasses.is_dataclass(value)
            else sorted(getattr(value, "__dict__", ()))
        )
        for name in fields:
            inner = getattr(value, name, None)
            if dataclasses.is_dataclass(value) or callable(inner):
                _walk(inner, f"{path}.{name.lstrip('_')}", found, seen)


def _add(value: Tree, path: str, found: dict[str, str]) -> None:
    digest = _Digest()
    digest.feed(value)
    if digest.users:
        found[path] = digest.text()


def _code(value: Tree) -> types.CodeType | None:
    """The code of a Python function, method or jitted function; None for anything else."""
    value = getattr(value, "__func__", value)
    if getattr(value, "__code__", None) is None and callable(value):
        value = getattr(value, "__wrapped__", value)
    code = getattr(value, "__code__", None)
    return code if isinstance(code, types.CodeType) else None


class _Digest:
    """A digest of what is fed to it; `users` says whether code of the user's was among it."""

    def __init__(self) -> None:
        self.digest, self.users = hashlib.sha256(), False
        self.order: dict[int, int] = {}  # what is being fed, so that recursion ends
        self.kept: list[Any] = []  # keeps ids from being used again

    def text(self) -> str:
        return self.digest.hexdigest()[:16]

    def put(self, *words: Any) -> None:
        self.digest.update(("\x1f".join(map(str, words)) + "\x1e").encode())

    def feed(self, value: Tree) -> None:
        """Add a value to the digest.

        Plain values count by what they are, functions and classes by their code, others by their
        type.
        """
        from .fingerprint import feed_plain

        if feed_plain(self.digest, value):
            return
        if id(value) in self.order:
            self.put("again", self.order[id(value)])
            return
        self.order[id(value)] = len(self.order)
        self.kept.append(value)
        if isinstance(value, Mapping):
            self.put("mapping", len(value))
            for key in sorted(value, key=str):
                self.put(key)
                self.feed(value[key])
        elif isinstance(value, (tuple, list)):
            self.put("sequence", len(value))
            for item in value:
                self.feed(item)
        elif isinstance(value, (set, frozenset)):
            self.put("set", *sorted(map(repr, value)))  # their order differs between processes
        elif isinstance(value, types.ModuleType):
            self.put("module", value.__name__)
        elif isinstance(value, type):
            self.cls(value)
        elif isinstance(value, functools.partial):
            self.feed(value.func)
            self.feed(value.args)
            self.feed(value.keywords)
        elif isinstance(value, types.CodeType):
            self.code(value)
        elif _code(value) is not None:
            self.function(value)
        else:
            self.feed(type(value))
            for field in dataclasses.fields(value) if dataclasses.is_dataclass(value) else ():
                self.feed(getattr(value, field.name))

    def function(self, fn: Any) -> None:
        """A function, method or jitted function."""
        if isinstance(fn, types.MethodType):
            self.feed(fn.__self__)
            fn = fn.__func__
        if getattr(fn, "__code__", None) is None:  # jitted, or with a derivative of its own
            for rule in (getattr(fn, name, None) for name in ("jvp", "fwd", "bwd")):
                if callable(rule):
                    self.feed(rule)
            fn = fn.__wrapped__
        self.put("function", fn.__qualname__)
        if _of_library(fn.__globals__.get("__name__")) or fn.__code__.co_filename.startswith(
            "<@"
        ):  # generated: names hold addresses
            inside = [getattr(fn, "__wrapped__", None), *(_content(cell) for cell in fn.__closure__ or ())]
            for inner in inside:  # it may carry a function of the user's
                if callable(inner):
                    self.feed(inner)
            return
        self.users = True
        self.code(fn.__code__, fn.__doc__)
        self.feed(fn.__defaults__)
        self.feed(fn.__kwdefaults__)
        for cell in fn.__closure__ or ():
            self.feed(_content(cell))
        for name in dict.fromkeys(_globals(fn.__code__)):
            if name in fn.__globals__:
                self.put(name)
                self.feed(fn.__globals__[name])

    def code(self, code: types.CodeType, doc: str | None = None) -> None:
        """Instructions, names and constants; neither lines nor files, and no docstring."""
        consts = code.co_consts
        consts = consts[1:] if doc is not None and consts[:1] == (doc,) else consts
        self.put("code", code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        self.put(
            *code.co_names, "|", *code.co_freevars, "|", *code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        )
        self.digest.update(code.co_code)
        self.feed(consts)

    def cls(self, cls: type) -> None:
        """The methods and plain attributes of a class and of its bases."""
        self.put("class", cls.__qualname__)
        for base in cls.__mro__:
            if _of_library(base.__module__):
                continue
            self.users = True
            for name, member in sorted(vars(base).items()):
                inner = getattr(member, "__func__", getattr(member, "fget", member))
                inner = getattr(inner, "own", inner)  # what a class with checked fields checks beside them
                if (not name.startswith("__") or name in ("__call__", "__init__", "__post_init__")) and _is_own(inner):
                    self.put(name)
                    self.feed(inner)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _of_library(module: str | None) -> bool:
    return (module or "").partition(".")[0] in LIBRARIES


def _is_own(member: Any) -> bool:
    """Whether a member of a class says what it computes, and not what Python made for it."""
    generated = isinstance(member, types.FunctionType) and member.__code__.co_filename == "<string>"  # by dataclasses
    plain = isinstance(member, (bool, int, float, str, tuple)) or (
        dataclasses.is_dataclass(member) and not isinstance(member, type)
    )
    return not generated and (_code(member) is not None or plain)


def _globals(code: types.CodeType) -> Iterator[str]:
    """Names of globals that a code object and those inside it read, in order."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(instruction.argval)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _globals(const)


__all__ = ["functions", "python"]
