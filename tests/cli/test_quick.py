"""`import dejax` and `dejax --help` import nothing that takes long."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax",
    "numpy",
    "scipy",
    "matplotlib",
    "networkx",
    "yaml",
    "rich",
    "jaxtyping",
}
MOST = 30  # modules of dejax itself; all of it is more than 200


@pytest.mark.parametrize(
    "code",
    ["import dejax", "import dejax.cli", "from dejax import cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass"],
    ids=["import", "command", "help"],
)
def test_nothing_heavy_is_imported(code):
    script = f"import sys\n{code}\nprint(*sys.modules)"
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    modules = done.stdout.splitlines()[-1].split()
    assert "dejax" in modules
    assert not HEAVY & set(modules)
    assert sum(name.split(".")[0] == "dejax" for name in modules) <= MOST
