"""The members of dejax, read from the source text, without an import.

Read are names, signatures, first sentences, references.

`dejax list` must answer in a fraction of a second, but importing a folder imports JAX; so the lists
in the folders' `__init__` files are parsed, not executed. The resolver takes the names of each kind
from here too: one list, two readers.
"""

import ast
import functools
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_NO_FIELD = {"ClassVar"}
_SPECIFIERS = {"field", "number", "option", "static"}  # of fields: what stands first in them is the default


@dataclass(frozen=True)
class Member:
    """One name that a folder exports.

    Attributes:
      name: as a config writes it. target: the class or function behind it. file: where it is
        defined.
      summary: first sentence of its docstring. reference: its `Reference:` text, or that of its
        file; "" if none.
      parameters: (name, hint, default) as source text, default "" when required.
      is_class, methods: kind of thing, and the methods and class attributes it has (inherited ones
        too).
      returns: the return hint of a function, as text.
    """

    name: str
    target: str
    file: str
    summary: str
    reference: str
    parameters: tuple[tuple[str, str, str], ...]
    is_class: bool
    methods: frozenset[str]
    returns: str

    @property
    def signature(self) -> str:
        """`name(lr: FloatLike, gamma: FloatLike = 0.4)`."""
        parts = [
            n + (f": {h}" if h else "") + (f" = {d}" if d and h else f"={d}" if d else "")
            for n, h, d in self.parameters
        ]
        return f"{self.name}({', '.join(parts)})"


@functools.lru_cache(maxsize=512)
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _module_file(base: Path, module: str | None, level: int) -> Path | None:
    """The file of `from ..module import` written in a file of folder `base`."""
    folder = base
    for _ in range(level - 1):
        folder = folder.parent
    target = folder.joinpath(*(module or "").split(".")) if module else folder
    for file in (target.with_suffix(".py"), target / "__init__.py"):
        if file.is_file():
            return file
    return None


def find(file: Path, name: str, depth: int = 0) -> tuple[Path, ast.AST] | None:
    """Find where a name is defined, through relative imports.

    Definitions are classes, functions and assignments.
    """
    for node in _tree(file).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return file, node
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            if isinstance(node.value, ast.Name) and depth < 8:
                return find(file, node.value.id, depth + 1)
            return file, node
        if isinstance(node, ast.ImportFrom) and node.level and depth < 8:
            source = _module_file(file.parent, node.module, node.level)
            for alias in node.names:
                if source is None or (alias.asname or alias.name) not in (name, "*"):
                    continue
                found = find(source, name if alias.name == "*" else alias.name, depth + 1)
                if found is not None or alias.name != "*":
                    return found
    return None


def _text(node: ast.AST | None) -> str:
    return "" if node is None else ast.unparse(node)


def _is_class_var(hint: ast.AST) -> bool:
    return _text(hint).split("[")[0].split(".")[-1] in _NO_FIELD


def _class_parts(file: Path, node: ast.ClassDef) -> tuple[dict[str, tuple[str, str]], set[str]]:
    fields: dict[str, tuple[str, str]] = {}
    names: set[str] = set()
    for base in node.bases:
        found = find(file, _text(base).split("[")[0])
        if found and isinstance(found[1], ast.ClassDef):
            inherited, more = _class_parts(found[0], found[1])
            fields |= inherited
            names |= more
    own_init = None
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            if item.target.id.startswith("_"):
                continue
            if _is_class_var(item.annotation):
                names.add(item.target.id)
            else:
                default = _default(item.value)
                if (
                    default is not None and node.decorator_list
                ):  # of a class that is none of data it is an annotation alone
                    fields[item.target.id] = (_text(item.annotation), default)
        elif isinstance(item, ast.Assign):
            names |= {t.id for t in item.targets if isinstance(t, ast.Name)}
        elif isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(item.name)
            own_init = item if item.name == "__init__" else own_init
    if own_init is not None:
        fields = {n: (h, d) for n, h, d in _arguments(own_init)[1:]}
    return fields, names | set(fields)


def _default(value: ast.AST | None) -> str | None:
    """Return the source text of a field's default.

    It is "" when the field is required, None when it is no argument (init=False).
    """
    if not isinstance(value, ast.Call) or _text(value.func).split(".")[-1] not in _SPECIFIERS:
        return _text(value)
    given = {k.arg: k.value for k in value.keywords}
    init = given.get("init")
    if isinstance(init, ast.Constant) and init.value is False:
        return None
    if value.args:
        return _text(value.args[0])
    if "default_factory" in given:
        return _text(given["default_factory"]) + "()"
    return _text(given.get("default"))


def _arguments(fn: ast.FunctionDef | ast.AsyncFunctionDef) -> list[tuple[str, str, str]]:
    a = fn.args
    plain = [*a.posonlyargs, *a.args]
    defaults = [None] * (len(plain) - len(a.defaults)) + list(a.defaults)
    both = [*zip(plain, defaults, strict=True), *zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    return [(p.arg, _text(p.annotation), _text(d)) for p, d in both if not p.arg.startswith("_")]


def _summary(doc: str) -> str:
    first = " ".join(doc.strip().split("\n\n")[0].split())
    found = re.match(r"(.+?\.)(?:\s|$)(?![a-z(])", first)
    return found[1] if found else first


def _reference(doc: str) -> str:
    found = re.search(r"^\s*References?:[ \t]*(.*(?:\n(?!\s*\w[\w ]*:)[ \t]*\S.*)*)", doc, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def member(name: str, target: str, file: Path, node: ast.AST) -> Member:
    doc = (ast.get_docstring(node) or "") if isinstance(node, (ast.ClassDef, ast.FunctionDef)) else ""
    module_doc = ast.get_docstring(_tree(file)) or ""
    fields: list[tuple[str, str, str]] = []
    names: set[str] = set()
    returns = ""
    if isinstance(node, ast.ClassDef):
        parts, names = _class_parts(file, node)
        fields = [(n, h, d) for n, (h, d) in parts.items()]
    elif isinstance(node, ast.FunctionDef):
        fields, returns = _arguments(node), _text(node.returns)
    reference = _reference(doc) or _reference(module_doc)
    summary = _summary(doc or module_doc)
    return Member(
        name,
        target,
        str(file),
        summary,
        reference,
        tuple(fields),
        isinstance(node, ast.ClassDef),
        frozenset(names),
        returns,
    )


def _listed(init: Path) -> list[str]:
    """Return the names in `__all__` of a folder's `__init__`.

    `*family.__all__` is replaced by the names of the family.
    """
    listed: list[str] = []
    for node in _tree(init).body:
        if not isinstance(node, ast.Assign) or _text(node.targets[0]) != "__all__":
            continue
        assert isinstance(node.value, ast.List)
        for element in node.value.elts:
            if isinstance(element, ast.Starred):
                listed += _listed(init.parent / _text(element.value).split(".")[0] / "__init__.py")
            elif isinstance(element, ast.Constant):
                listed.append(str(element.value))
    return listed


@functools.lru_cache(maxsize=64)
def members(folder: str) -> tuple[Member, ...]:
    """Return the lower-case callables of `dejax/FOLDER/__init__.py` and its families.

    They stand in `__all__`, and come in its order. Without such a folder: ().
    """
    init = ROOT / folder / "__init__.py"
    if not init.is_file():
        return ()
    out = []
    for name in _listed(init):
        found = find(init, name)
        if found and isinstance(found[1], (ast.ClassDef, ast.FunctionDef)) and name == name.lower():
            out.append(member(name, getattr(found[1], "name", name), *found))
    return tuple(out)


__all__ = ["ROOT", "Member", "find", "member", "members"]
