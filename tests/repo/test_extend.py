"""Each page of docs/extend is a module and a config that run as they stand, and keep what their kind must keep."""

import ast
import os
import re
import subprocess
import sys

import pytest
import repository

FOLDER = repository.ROOT / "docs" / "extend"
MOST = 25  # lines of a module
CHECKS = {
    "attack": "testing.check_attack(mine.Shift(f=2, by=3.0))",
    "compressor": "testing.check_compressor(mine.ScaledSign(), bits=lambda d, width: d + width)",
    "fault": """
rounds = [mine.DayAndNight(hours=5).awake(Moment(index=t)) for t in (0, 4, 5, 10)]
assert [list(map(bool, awake)) for awake in rounds] == [[True, False] * 2] * 2 + [[False, True] * 2] + [[True, False] * 2]
""",
    "learning_rule": "testing.check_method(dj.methods.dsgd(lr=0.01))",
    "metric": "",
    "partition": "testing.check_partition(mine.even_and_odd())",
    "rule": "testing.check_rule(mine.ClippedGossip(radius=0.5))",
    "server_method": "testing.check_method(mine.ServerMomentum(lr=0.1))",
    "source": "",
    "topology": """
testing.check_topology(mine.random_shift(8))
testing.check_topology(mine.pairs_then_ring(8))
assert dj.topology.rho(mine.pairs_then_ring(8)) < dj.topology.rho(dj.topology.ring(8))
""",
}
HEADER = """
import dataclasses
import jax.numpy as jnp
import dejax as dj
from dejax import testing
import mine

@dataclasses.dataclass
class Moment:
    index: int
    ids = jnp.arange(4)

from dejax.cli import main

assert not main(["run", "mine.yaml", "--import", "mine", "--set", "out=run"])
"""


def blocks(page: str, language: str) -> list[str]:
    """The blocks of one language on a page."""
    return re.findall(rf"```{language}\n(.*?)```", (FOLDER / f"{page}.md").read_text(), flags=re.DOTALL)


def test_every_page_is_tried_and_listed():
    pages = {path.stem for path in FOLDER.glob("*.md")} - {"index"}
    assert pages == set(CHECKS)
    assert pages <= set(re.findall(r"\((\w+)\.md\)", (FOLDER / "index.md").read_text()))


def counted(code: str) -> int:
    """The lines of a module that are neither blank nor part of an import at its top."""
    imports = {
        line
        for node in ast.parse(code).body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return sum(bool(line.strip()) and at not in imports for at, line in enumerate(code.splitlines(), 1))


def test_lines_are_counted_as_the_page_says():
    assert counted("import a\nfrom b import (\n    c,\n)\n\n# one\ndef two():\n    import three\n\n    return 4\n") == 4
    (most,) = re.findall(r"at most (\d+) lines, blank ones and imports not counted", (FOLDER / "index.md").read_text())
    assert int(most) == MOST


@pytest.mark.parametrize("page", CHECKS)
def test_a_part_takes_few_lines(page):
    """All of its blocks together, which are the module that runs."""
    assert 1 <= counted("\n".join(blocks(page, "python"))) <= MOST


@pytest.mark.slow
@pytest.mark.parametrize("page", CHECKS)
def test_a_page_runs_as_it_stands(page, tmp_path):
    code, (config,) = blocks(page, "python"), blocks(page, "yaml")
    (tmp_path / "mine.py").write_text("\n".join(code))
    (tmp_path / "mine.yaml").write_text(config)
    (tmp_path / "check.py").write_text(HEADER + CHECKS[page])
    done = subprocess.run(
        [sys.executable, "-W", "error", "check.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "accuracy/mean_model" in os.linesep.join(path.read_text() for path in tmp_path.glob("run/**/*.jsonl"))
