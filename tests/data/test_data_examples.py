"""Every example in a docstring of the room runs, and every member has what `dejax list` shows."""

import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

from dejax import data

NAMES = {"np": np} | {name: getattr(data, name) for name in data.__all__}
MODULES = [m.name for m in pkgutil.iter_modules(data.__path__) if not m.ispkg]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(f"dejax.data.{name}")
    result = doctest.testmod(module, extraglobs=NAMES)
    assert result.failed == 0


@pytest.mark.parametrize("name", [n for n in data.__all__ if n.islower() and n != "sampling"])
def test_members_are_documented(name):
    member = getattr(data, name)
    text = inspect.getdoc(member)
    assert text.splitlines()[0].endswith(".") and "Example:" in text
    hints = inspect.signature(member)
    assert all(p.annotation is not inspect.Parameter.empty for p in hints.parameters.values())


@pytest.mark.slow
def test_import_touches_no_device():
    """Importing the room creates no array, so that it works before JAX is configured."""
    import subprocess
    import sys

    code = "import dejax.data, jax; jax.config.update('jax_num_cpu_devices', 3); print(len(jax.devices('cpu')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "3"
