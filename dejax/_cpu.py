"""Compiler flags for processors: measured in docs/performance.md."""

import os
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

# Vectors of 512 bits, and no unrolling of short loops before they are made vectors (XLA would leave the inner loop over 32 hidden
# units as 32 scalar additions). Either alone gains little or loses; together they take a third off a round of small models.
FLAGS = ("--xla_cpu_prefer_vector_width=512", "--xla_backend_extra_options=xla_cpu_disable_loop_unrolling")
TESTED = (0, 13)  # XLA ends a process that gives it a flag it does not know: releases of JAX from here on get none


def fast_cpu() -> bool:
    """Have XLA compile faster programs for this processor; call it before JAX computes anything (the `dejax` command does).

    The flags go to `XLA_FLAGS` of this process, after what stands there, on processors whose 512-bit vectors run at full speed (Intel
    from Ice Lake on, AMD from Zen 4 on), and hold for all JAX programs of the process. Numbers change by rounding, as between two
    machines. Programs for GPUs and TPUs are not affected.

    Returns:
      Whether the flags are set. False: another processor or a release of JAX with which they were not tested, flags of your own of
      these names, or too late.
    Warns:
      RuntimeWarning: too late; JAX has computed in this process, and reads flags only once.
    """
    own = os.environ.get("XLA_FLAGS", "")
    if all(flag in own for flag in FLAGS):
        return True
    if any(flag.split("=")[0] in own for flag in FLAGS) or not _wide() or _release() >= TESTED:
        return False
    if _started():
        warnings.warn(
            "fast_cpu() came too late: JAX has already computed in this process; call it right after the imports",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    os.environ["XLA_FLAGS"] = " ".join([*own.split(), *FLAGS])
    return True


def _wide() -> bool:
    """Whether 512-bit vectors run at full speed, as far as Linux tells."""
    info = Path("/proc/cpuinfo")
    return info.exists() and "avx512_vbmi2" in info.read_text()


def _release() -> tuple[int, ...]:
    return tuple(int(part) for part in version("jax").split(".")[:2])


def _started() -> bool:
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bool(getattr(bridge, "backends_are_initialized", lambda: False)())


__all__ = ["FLAGS", "fast_cpu"]
