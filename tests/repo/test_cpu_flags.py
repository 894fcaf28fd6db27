"""fast_cpu(): flags that XLA knows, beside the user's own, and only while they can act."""

import os
import subprocess
import sys

import pytest

from dejax import _cpu


@pytest.fixture
def fresh(monkeypatch):
    """A process that has not computed, on a processor with wide vectors."""
    monkeypatch.setattr(_cpu, "_wide", lambda: True)
    monkeypatch.setattr(_cpu, "_started", lambda: False)
    monkeypatch.setattr(_cpu, "_release", lambda: (0, 10))
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    return monkeypatch


def test_flags_go_behind_the_users_own(fresh):
    assert _cpu.fast_cpu()
    assert os.environ["XLA_FLAGS"].split() == ["--xla_cpu_enable_fast_math=false", *_cpu.FLAGS]
    assert _cpu.fast_cpu()
    assert os.environ["XLA_FLAGS"].count("prefer_vector_width") == 1


def test_flags_of_the_user_stay(fresh):
    fresh.setenv("XLA_FLAGS", "--xla_cpu_prefer_vector_width=256")
    assert not _cpu.fast_cpu()
    assert os.environ["XLA_FLAGS"] == "--xla_cpu_prefer_vector_width=256"


@pytest.mark.parametrize(("name", "value"), [("_wide", False), ("_release", _cpu.TESTED)])
def test_other_processors_and_untested_releases_get_none(fresh, name, value):
    fresh.setattr(_cpu, name, lambda: value)
    assert not _cpu.fast_cpu()
    assert "vector" not in os.environ["XLA_FLAGS"]


def test_too_late_says_so(fresh):
    fresh.setattr(_cpu, "_started", lambda: True)
    with pytest.warns(RuntimeWarning, match="right after the imports"):
        assert not _cpu.fast_cpu()


def test_xla_takes_them():
    """In a process of its own: XLA ends one that gives it a flag it does not know."""
    code = "import dejax as dj; dj.fast_cpu(); import jax; print(jax.jit(lambda x: x + 1)(1)); dj.fast_cpu()"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(_cpu.FLAGS)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=env, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr
