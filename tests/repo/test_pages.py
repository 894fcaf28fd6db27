"""The Python in README and docs runs, with fewer nodes and rounds where a page says many."""

import importlib.util
import re
import subprocess
import sys

import pytest
import repository

SMALLER = [
    ("nodes=1024", "nodes=32"),
    ("exponential(1024)", "exponential(32)"),
    ("rounds=600", "rounds=4"),
    ("rounds=100", "rounds=3"),
]
PAGES = [
    "README.md",
    "docs/write-your-own-method.md",
    "docs/running.md",
    "docs/population.md",
    "docs/topology.md",
    "docs/network.md",
    "docs/concepts.md",
    "docs/compatibility.md",
    "docs/testing.md",
    "docs/records.md",
]
# what pages import beside dejax, where it is not installed: the calls that they make, and no more
STANDS_IN = {
    "tensorboardX": """
class SummaryWriter:
    def __init__(self, folder, filename_suffix=""): self.folder = folder
    def add_scalar(self, name, value, step): assert isinstance(name, str) and float(value) == value and step >= 0
    def close(self): pass
"""
}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(page, tmp_path):
    code = "\n".join(re.findall(r"```python\n(.*?)```", (repository.ROOT / page).read_text(), flags=re.DOTALL))
    assert code, f"{page} has no Python"
    for long, short in SMALLER:
        code = code.replace(long, short)
    for module, text in STANDS_IN.items():
        if importlib.util.find_spec(module) is None:
            (tmp_path / f"{module}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_method_takes_about_twenty_lines():
    text = (repository.ROOT / "docs/write-your-own-method.md").read_text()
    first = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0]
    lines = [line for line in first.splitlines() if line.strip() and not line.startswith(("from", "import"))]
    assert len(lines) <= 20
