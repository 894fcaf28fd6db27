"""Test session: float64 on, silent promotion refused, eight simulated CPU devices, warnings are errors."""

import gc
import os
import zlib
from importlib.metadata import version

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["DEJAX_CACHE"] = (
    "off"  # tests leave nothing in the home directory; those of the cache name a folder of their own
)
# The programs of tests are compiled once and run for milliseconds: no optimization, which takes a third of the time, and
# neither MLIR emitters nor modules split over threads, which take three fifths of what compilation is left.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true --xla_cpu_parallel_codegen_split_count=1"
    # XLA from jax 0.11 on does not know the flag, and ends a process that gives it
    + (tuple(map(int, version("jax").split(".")[:2])) < (0, 11)) * " --xla_cpu_use_fusion_emitters=false",
)

import jax
import pytest
import typecheck

typecheck.install()  # before the first import of dejax

# Traces make many objects and few cycles: Python's default of a collection per 700 objects took a seventh of the time.
gc.set_threshold(50_000)

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_collection_modifyitems(items):
    """What runs at night is slow, too: `-m "not slow"` is the common loop."""
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def key(request):
    """A key that depends on the test's name alone."""
    return jax.random.key(zlib.crc32(request.node.name.encode()) & 0x7FFFFFFF)
