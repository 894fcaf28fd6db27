"""The list of mutants fits the code: each text stands once in its file, each room has a fault, each test is there."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {
    "devices",
    "planning",
    "round",
    "errors",
    "__main__",
}  # rooms that are being rebuilt, or hold no rule of their own


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import mutants

    yield mutants
    sys.modules.pop("mutants")


def test_every_mutant_applies_to_the_code_as_it_is(tool, tmp_path):
    listed = tool.mutants()
    assert len(listed) >= 25
    for mutant in listed:
        target = tmp_path / mutant.file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text((ROOT / mutant.file).read_text())
        mutant.apply(tmp_path)
        assert target.read_text() != (ROOT / mutant.file).read_text()
        if target.suffix == ".py":
            compile(target.read_text(), mutant.file, "exec")
        tests = [t for t in mutant.tests if t.startswith("tests")]
        assert tests and all((ROOT / t.split("::")[0]).exists() for t in tests), mutant.name


def test_every_room_has_a_mutant(tool):
    rooms = {p.name.removesuffix(".py") for p in (ROOT / "dejax").iterdir() if not p.name.startswith(("_", "py."))}
    assert rooms - {m.room for m in tool.mutants()} <= ELSEWHERE


def test_a_text_that_is_gone_is_an_error(tool, tmp_path):
    import dataclasses

    mutant = dataclasses.replace(tool.mutants()[0], old="no such text")
    with pytest.raises(ValueError, match="holds its text 0 times; it must be there once: write the mutant anew"):
        mutant.apply(ROOT)
    with pytest.raises(ValueError, match="is gone"):
        mutant.apply(tmp_path)


def test_what_caught_a_mutant_is_read_off_the_output_of_pytest(tool):
    output = "x\nFAILED tests/a/test_b.py::test_c[1] - AssertionError: no\n1 failed"
    assert tool.caught_by(1, output) == "tests/a/test_b.py::test_c[1]"
    assert tool.caught_by(0, "1 passed") is None
    with pytest.raises(RuntimeError, match="pytest ended with 5"):
        tool.caught_by(5, "no tests ran")
