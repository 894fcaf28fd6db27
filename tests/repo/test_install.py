"""Installing into an environment like Colab's changes none of the JAX packages that are there."""

import importlib.util
import json
import subprocess
import sys

import pytest
import repository

COLAB = {"jax": "0.7.2", "jaxlib": "0.7.2", "flax": "0.11.2", "optax": "0.2.8", "orbax-checkpoint": "0.12.4", "numpy": "2.1.3",
         "scipy": "1.16.3", "matplotlib": "3.10.0", "networkx": "3.6.1", "rich": "13.9.4"}  # fmt: skip


@pytest.mark.slow
def test_colab_keeps_its_jax(tmp_path):
    """pip's dry run, told that exactly these versions are wanted: it must be satisfied by them, not by others."""
    wanted = [f"{name}=={version}" for name, version in COLAB.items()]
    report = tmp_path / "report.json"
    python = sys.executable if importlib.util.find_spec("pip") else sys._base_executable
    command = [python, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "--report", str(report)]
    try:
        done = subprocess.run([*command, *wanted, str(repository.ROOT)], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        pytest.skip("the package index did not answer")
    if "No module named pip" in done.stderr or "connection" in done.stderr.lower():
        pytest.skip("no pip, or no package index")
    assert done.returncode == 0, done.stderr[-1500:]
    chosen = {
        item["metadata"]["name"].lower().replace("_", "-"): item["metadata"]["version"]
        for item in json.loads(report.read_text())["install"]
    }
    assert {name: chosen[name] for name in COLAB} == COLAB
    assert "dejax" not in chosen and chosen["dejax-sim"]
