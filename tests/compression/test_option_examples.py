"""Examples in docstrings of the network's options run, and every member has what `dejax list` shows."""

import doctest
import importlib
import inspect
import pkgutil

import jax.numpy as jnp
import numpy as np
import pytest

from dejax.compression.compressors._identity import Identity
from dejax.compression.compressors._top_k import TopK

ROOMS = ["compression", "aggregation", "attacks", "privacy", "faults"]
NAMES = {"jnp": jnp, "np": np, "Identity": Identity, "TopK": TopK}


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_examples_run(room):
    package = importlib.import_module(f"dejax.{room}")
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"dejax.{room}.{found.name}")
        for test in doctest.DocTestFinder().find(module, globs=NAMES | vars(module)):
            assert doctest.DocTestRunner().run(test).failed == 0, test.name


@pytest.mark.parametrize("room", ROOMS)
def test_members_are_documented(room):
    package = importlib.import_module(f"dejax.{room}")
    for name in package.__all__:
        member = getattr(package, name)
        if inspect.ismodule(member) or not name.islower():
            continue
        text = inspect.getdoc(member)
        assert text.splitlines()[0].endswith((".", ")")) and "Example:" in text, name
        hints = inspect.signature(member).parameters.values()
        assert all(p.annotation is not inspect.Parameter.empty for p in hints), name
