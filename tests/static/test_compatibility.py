"""Nothing is compiled here: the refusals of all pairs against the committed table, and who may be known by name."""

# ruff: noqa: E402

import ast
import re
import sys
from pathlib import Path

import members
import pytest

import dejax
from dejax.config import listing
from dejax.network.refusals import ADVICE, REFUSALS

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))

import tables


def committed(name):
    """(row, column) -> name of the refusal, or None where the pair acts, as docs/compatibility.md stands."""
    text = (ROOT / "docs" / "compatibility.md").read_text()
    number = dict(re.findall(r"^(\d+)\. \*\*(.+?)\*\*: ", text, re.M))
    block = re.search(rf"<!-- table {name}: .*?-->\n(.*?)<!-- end -->", text, re.S)[1]
    head, _, *lines = [
        [cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in block.split("\n") if line
    ]
    return {
        (line[0], column): None if cell == tables.ACTS else number[cell]
        for line in lines
        for column, cell in zip(head[1:], line[1:], strict=True)
    }


@pytest.mark.parametrize("name", ["options", "graphs", "together"])
def test_all_pairs_act_or_are_refused_as_the_page_says(name):
    found = {
        (row, column): verdict and verdict.name
        for (which, row, column), verdict in tables.verdicts().items()
        if which == name
    }
    written = committed(name)
    assert set(found) == set(written)
    moved = {pair: (written[pair], found[pair]) for pair in found if found[pair] != written[pair]}
    assert not moved, f"pairs that the page says otherwise of (page, now): {moved}; see scripts/tables.py"


OF_SHAPES = ("docs/methods.md",)  # every method is traced for it


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.slow) if page in OF_SHAPES else page for page in tables.TABLES]
)
def test_generated_tables_are_current(page):
    assert (ROOT / page).read_text() == tables.current(page), "run python scripts/tables.py"


def test_every_member_stands_in_the_tables():
    methods = {type(method) for method in members.methods().values()}
    groups = listing.listing()
    assert {m.target for m in groups["methods"]} == {cls.__name__ for cls in methods}
    options = [o for given in members.options().values() for o in given.values()]
    used = {type(o).__name__ for option in options for o in (option if isinstance(option, tuple) else (option,))}
    listed = {m.target for g in ("codecs", "rules", "attacks", "privacy", "faults", "clocks") for m in groups[g]}
    assert listed - used == {"WeightedMean"}, "each option has a row of arguments in tests/harness/members"


def test_refusals_have_names_and_ways_out():
    names = [refusal.name for refusal in REFUSALS]
    assert len(set(names)) == len(names)
    for verdict in tables.verdicts().values():
        if verdict is not None and isinstance(verdict.error, dejax.RefusedError):
            assert len(verdict.text) > 60 and re.search(r"use |leave|set |give ", verdict.text), verdict
            assert "{" not in verdict.text, verdict


def test_advice_names_members_that_exist():
    known = {m.name for group in listing.listing().values() for m in group}
    for text in ADVICE.values():
        words = set(re.findall(r"\b[a-z_]+\b", re.sub(r"\(.*?\)", "", text))) - {"or"}
        assert words and words <= known, text


def said(tree):
    """Identifiers and texts of a module, without docstrings."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield from re.findall(r"\w+", re.sub(r"dejax\.[\w.]+\(.*?\)", "", node.value))


@pytest.mark.parametrize(
    "room", ["network", "round", "engine", "problem", "mixing", "devices", "planning", "runs", "report"]
)
def test_no_method_is_known_by_name_outside_its_file(room):
    names = {name for m in listing.listing()["methods"] for name in (m.name, m.target)}
    names -= {"extra", "led"}  # words of their own, too; their classes say whether methods are meant
    for file in (ROOT / "dejax" / room).rglob("*.py"):
        tree = ast.parse(file.read_text())
        tree.body = [n for n in tree.body if not (isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "ADVICE")]
        assert not names & set(said(tree)), file


def test_no_refusal_knows_an_option_by_name():
    groups = listing.listing()
    options = {
        name
        for g in ("codecs", "compressors", "rules", "attacks", "privacy", "faults", "events")
        for m in groups[g]
        for name in (m.name, m.target)
    }
    for file in (ROOT / "dejax" / "network").rglob("*.py"):
        if file.name == "network.py":  # the defaults of its fields are options
            continue
        tree = ast.parse(file.read_text())
        tree.body = [n for n in tree.body if not (isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "ADVICE")]
        words = set(said(tree)) - {"copies"}  # what a codec's memory is, too
        assert not options & words, options & words
