"""fast_cpu(): flags that XLA knows, beside the user's own, and only while they can act."""

import os
import subprocess
import sys

import pytest

from dejax.xla import cpu_flags

pytestmark = pytest.mark.worlds

NARROW = {"sse2", "avx2"}
WIDE = NARROW | {"avx512f", "avx512_vbmi2"}


@pytest.fixture
def fresh(monkeypatch):
    """A process that has not computed, on a processor with wide vectors."""
    monkeypatch.setattr(cpu_flags, "features", lambda: WIDE)
    monkeypatch.setattr(cpu_flags, "_started", lambda: False)
    monkeypatch.setattr(cpu_flags, "release", lambda: (0, 10))
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    return monkeypatch


def test_flags_go_behind_the_users_own(fresh):
    assert cpu_flags.fast_cpu()
    assert os.environ["XLA_FLAGS"].split() == ["--xla_cpu_enable_fast_math=false", *cpu_flags.WIDE]
    assert cpu_flags.fast_cpu()
    assert os.environ["XLA_FLAGS"].count("prefer_vector_width") == 1


def test_flags_of_the_user_stay(fresh):
    fresh.setenv("XLA_FLAGS", "--xla_cpu_prefer_vector_width=256")
    assert not cpu_flags.fast_cpu()
    assert os.environ["XLA_FLAGS"] == "--xla_cpu_prefer_vector_width=256"


@pytest.mark.parametrize(
    ("release", "features", "flags"),
    [
        ((0, 7), WIDE, cpu_flags.WIDE),
        (cpu_flags.TESTED, WIDE, ()),
        ((0, 10), NARROW, cpu_flags.NARROW),
        ((0, 9), NARROW, ()),
        ((0, 11), NARROW, ()),
        ((0, 10), NARROW | {"avx512f"}, ()),
        ((0, 10), set(), ()),
    ],
)
def test_each_processor_and_release_gets_what_helps_it(fresh, release, features, flags):
    fresh.setattr(cpu_flags, "features", lambda: features)
    fresh.setattr(cpu_flags, "release", lambda: release)
    assert cpu_flags.fast_cpu() == bool(flags)
    assert os.environ["XLA_FLAGS"].split()[1:] == list(flags)


def test_too_late_says_so(fresh):
    fresh.setattr(cpu_flags, "_started", lambda: True)
    with pytest.warns(RuntimeWarning, match="right after the imports"):
        assert not cpu_flags.fast_cpu()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [cpu_flags.WIDE, cpu_flags.NARROW])
def test_xla_takes_them(flags):
    """In a process of its own: XLA ends one that gives it a flag it does not know."""
    if flags is cpu_flags.NARROW and cpu_flags.release() != (0, 10):
        pytest.skip("these are for jax 0.10 alone")
    code = "import dejax as dj; dj.fast_cpu(); import jax; print(jax.jit(lambda x: x + 1)(1)); dj.fast_cpu()"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(flags)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=env, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr
