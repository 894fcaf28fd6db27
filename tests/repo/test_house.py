"""The house stays tidy: few modules in the hall, no file of two ideas, first lines that fit a list."""

import ast

import repository

PACKAGE = repository.ROOT / "dejax"
FILES = sorted(PACKAGE.rglob("*.py"))
HALL = {"__init__.py", "__main__.py", "errors.py", "population.py"}
LINES, COLUMNS = 400, 90
LONG_FILES: set[str] = set()  # this set may only shrink


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
    long = [
        (len(line), f"{name(path)}:{n}: {line}")
        for path in FILES
        for n, line in first_lines(path)
        if len(line) > COLUMNS
    ]
    longest = "\n".join(line for _, line in sorted(long, reverse=True)[:20])
    assert not long, f"{len(long)} first lines over {COLUMNS} columns. The longest:\n{longest}"


ANY, LADDERS = 0.10, 8  # most that may be; both may only shrink


def parameters():
    """(file, function, parameter) of all functions but for self and cls."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                a = node.args
                for parameter in (*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))):
                    if parameter.arg not in ("self", "cls"):
                        yield path, node, parameter


def test_few_parameters_are_of_any_type():
    found = list(parameters())
    loose = [
        f"{name(p)}:{fn.lineno} {fn.name}({a.arg})"
        for p, fn, a in found
        if a.annotation and ast.unparse(a.annotation) == "Any"
    ]
    assert len(found) > 3000 and len(loose) > 10  # it looks at something
    assert len(loose) < ANY * len(found), f"{len(loose)} of {len(found)} parameters are Any: {loose}"


def test_few_places_ask_what_a_value_has():
    asked = [
        f"{name(path)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "hasattr"
    ]
    assert len(asked) <= LADDERS, f"write a Protocol or a base class in place of hasattr: {asked}"
