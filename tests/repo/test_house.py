"""The house stays tidy: few modules in the hall, no file of two ideas, first lines that fit a list."""

import ast

import repository

PACKAGE = repository.ROOT / "dejax"
FILES = sorted(PACKAGE.rglob("*.py"))
HALL = {"__init__.py", "__main__.py", "errors.py", "population.py"}
LINES, COLUMNS = 400, 90
LONG_FILES = {"network/network.py", "round/wires.py"}  # this set may only shrink
# Docstrings whose first line is longer, by room: these numbers may only shrink, and a room that is not here has none.
LONG_LINES = {
    "aggregation": 17,
    "attacks": 7,
    "cli": 17,
    "compression": 17,
    "config": 35,
    "core": 25,
    "data": 35,
    "devices": 29,
    "engine": 13,
    "errors.py": 3,
    "events": 1,
    "faults": 8,
    "layers": 23,
    "methods": 19,
    "metrics": 8,
    "mixing": 44,
    "network": 4,
    "optimizers": 4,
    "planning": 37,
    "privacy": 11,
    "problem": 10,
    "report": 18,
    "round": 62,
    "runs": 43,
    "tasks": 16,
    "topology": 28,
    "xla": 4,
}


def name(path):
    return path.relative_to(PACKAGE).as_posix()


def test_the_hall_holds_what_is_listed():
    assert {path.name for path in PACKAGE.glob("*.py")} == HALL
    assert len(HALL) <= 6


def test_no_file_is_longer_than_one_idea():
    long = {name(path) for path in FILES if len(path.read_text().splitlines()) > LINES}
    assert long <= LONG_FILES, f"over {LINES} lines: {sorted(long - LONG_FILES)}"


def first_lines(path):
    """(line number, first line) of every docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
            yield node.body[0].lineno, text.splitlines()[0]


def test_first_lines_of_docstrings_fit():
    long = {}
    for path in FILES:
        for number, line in first_lines(path):
            if len(line) > COLUMNS:
                long.setdefault(name(path).split("/")[0], []).append(f"{name(path)}:{number}: {line}")
    grown = {room: lines for room, lines in long.items() if len(lines) > LONG_LINES.get(room, 0)}
    assert not grown, "\n".join(line for lines in grown.values() for line in lines)
