"""The files that git tracks, and what the tests of this folder share."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".cff", ".ipynb", ".cfg", ".txt", ""}


def tracked() -> list[Path]:
    """Text files under version control; skips the test where there is no git."""
    try:
        out = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout here")
    return [ROOT / line for line in out.splitlines() if (ROOT / line).is_file() and (ROOT / line).suffix in TEXT]
