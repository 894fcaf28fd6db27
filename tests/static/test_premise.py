"""What lets tests look at methods and options apart: methods call the verbs of a round and nothing else, options know neither."""

import ast
import inspect
import pathlib
import re

import pytest

import dejax
from dejax.round import Round

PACKAGE = pathlib.Path(dejax.__file__).parent
VERBS = {name for name in dir(Round) if not name.startswith("_")} - {"finish", "slot", "links", "edge_slot", "run_key"}
FIELDS = {"index", "phase", "horizon"}  # numbers of the round that are no properties
EDGES = {"edge_slot"}  # memory on edges, for methods that say per_edge
METHOD_ROOMS = {"core", "errors", "optimizers", "compression", "proximal", "methods"}
OPTION_ROOMS = ("compression", "aggregation", "attacks", "privacy", "faults")
METHODS = sorted(p for p in (PACKAGE / "methods").glob("*/_*.py") if p.name != "__init__.py")
OPTIONS = sorted(p for room in OPTION_ROOMS for p in (PACKAGE / room).rglob("*.py"))
relative = lambda path: str(path.relative_to(PACKAGE))


def imports(path):
    """Absolute names of the modules of the package that a file imports, each with what is taken from it."""
    here = path.relative_to(PACKAGE).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level + 1]
            names = [*base, *(node.module or "").split(".")] if node.module else list(base)
            yield ".".join(names) or node.names[0].name, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names if alias.name.startswith("dejax"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dejax"):
            yield node.module.removeprefix("dejax").lstrip("."), [alias.name for alias in node.names]


def rounds(function):
    """Names that stand for a Round within a step: its argument, views of it, and arguments of functions that verbs call."""
    found = {"round"}
    for _ in range(3):
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                parts = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
                if any(_is_round(part, found) for part in parts):
                    found.add(node.targets[0].id)
        for node in ast.walk(function):  # `one(r, carry)` given to repeat, when or both
            if isinstance(node, (ast.FunctionDef, ast.Lambda)) and node is not function and node.args.args:
                first = node.args.args[0].arg
                if first in ("r", "inner", "view"):
                    found.add(first)
    return found


def _is_round(node, known):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return (
            node.func.attr in ("sample", "pull")
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in known
        )
    return isinstance(node, ast.Name) and node.id in known


def breaches(text):
    """What a method's file does beside calling verbs."""
    tree, found = ast.parse(text), []
    for cls in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for step in (node for node in cls.body if isinstance(node, ast.FunctionDef) and node.name == "step"):
            known = rounds(step)
            for node in ast.walk(step):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
                    if node.attr not in VERBS | FIELDS | EDGES:
                        found.append(f"line {node.lineno}: {node.value.id}.{node.attr} is no verb of a round")
                elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and node.attr != "_replace":
                    found.append(f"line {node.lineno}: private name {node.attr}")
                elif (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in ("getattr", "vars")
                ):
                    found.append(f"line {node.lineno}: {node.func.id}() reaches round the verbs")
    for node in ast.walk(tree):
        of_jnp = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "jnp"
        if of_jnp and node.attr in ("roll", "take", "take_along_axis", "flip", "permute_dims"):
            found.append(f"line {node.lineno}: jnp.{node.attr} moves rows between nodes, which is what exchange is for")
    return found


@pytest.mark.parametrize("path", METHODS, ids=relative)
def test_a_method_calls_verbs_only(path):
    assert breaches(path.read_text()) == []


@pytest.mark.parametrize("path", METHODS, ids=relative)
def test_a_method_imports_what_methods_may(path):
    for module, names in imports(path):
        room = module.split(".")[0]
        assert room in METHOD_ROOMS, f"{relative(path)} imports {module}"
        if room == "methods":
            own = f"methods.{path.parent.name}."  # what members of a family share
            shared = module.startswith(own) and not module.removeprefix(own).startswith("_")
            assert shared or module == "methods._parts" or (module == "methods" and names == ["_parts"]), module


@pytest.mark.parametrize("path", OPTIONS, ids=relative)
def test_an_option_knows_neither_rounds_nor_methods(path):
    for module, _ in imports(path):
        assert module.split(".")[0] not in ("round", "methods", "engine", "problem", "network", "runs"), module


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("round.network.codec", "round.network is no verb"),
        ("round.store.meter('x', 1, 1)", "round.store is no verb"),
        ("round.problem.task", "round.problem is no verb"),
        ("round.sample(2)._ids", "private name _ids"),
        ("view = round.sample(2); view.links", "view.links is no verb"),
        ("round.repeat(2, lambda r, c: r.slot('x', None), 0)", "r.slot is no verb"),
        ("getattr(round, 'network')", "getattr"),
        ("jnp.roll(state.params, 1, 0)", "moves rows between nodes"),
    ],
)
def test_what_goes_round_the_verbs_is_seen(line, why):
    text = f"class Mine:\n    def step(self, state, round):\n        {line}\n        return state\n"
    assert [why in breach for breach in breaches(text)] == [True]


def test_the_verbs_are_those_that_the_class_documents():
    for name in VERBS:
        member = inspect.getattr_static(Round, name)
        function = getattr(member, "fget", None) or getattr(member, "func", None) or member
        assert inspect.getdoc(function), name


KEEPS = re.compile(r"mean\(\S+\) = mean\(|= mean_i|sum_i \w+ = 0|sum\(\w+\) = (0|n)|keeps the mean of \w+ and of")


def keepers():
    """Classes of methods whose docstring names a sum or a mean that stays: (file, class)."""
    for path in METHODS:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and KEEPS.search(
                (ast.get_docstring(node) or "").partition("Identity:")[2]
            ):
                yield path, node


def test_a_method_that_names_a_kept_sum_warns_of_rules_that_are_no_sums():
    found = list(keepers())
    assert {"GradientTracking", "D2", "Scaffold", "CompressedDProxSgt", "Sgp"} <= {node.name for _, node in found}
    silent = [
        f"{relative(path)}: {node.name}"
        for path, node in found
        if not {"sums_keep", "needs_sums"} & {k.arg for k in ast.walk(node) if isinstance(k, ast.keyword)}
    ]
    assert not silent, silent
