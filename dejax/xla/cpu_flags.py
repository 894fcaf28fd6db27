"""Which processor this is, and compiler flags for it: measured in docs/performance-log.md."""

import functools
import os
import sys
import warnings
from pathlib import Path

# Vectors of 512 bits, and no unrolling of short loops before they are made vectors (XLA would leave
# the inner loop over 32 hidden units as 32 scalar additions). Either alone gains little or loses;
# together they take a third off a round of small models.
WIDE = ("--xla_cpu_prefer_vector_width=512", "--xla_backend_extra_options=xla_cpu_disable_loop_unrolling")
# No operation goes to YNNPACK, whose products of jax 0.10 take up to three times as long as Eigen's
# on vectors of 256 bits; the releases before and after it do not.
NARROW = ("--xla_cpu_experimental_ynn_fusion_type=",)
TESTED = (0, 13)  # XLA ends a process that gives it a flag it does not know: releases of JAX from here on get none


def fast_cpu() -> bool:
    """Have XLA compile faster programs for this processor.

    Call it before JAX computes anything (the `dejax` command does). The flags go to `XLA_FLAGS` of
    this process, after what stands there, and hold for all JAX programs of the process: other ones
    for processors whose 512-bit vectors run at full speed (Intel from Ice Lake on, AMD from Zen 4
    on), and, with jax 0.10, for those that have vectors of 256 bits and no more (measured on a Zen
    3). Numbers change by rounding, as between two machines. Programs for GPUs and TPUs are not
    affected.

    Returns:
      Whether flags are set. False: another processor or a release of JAX for which none were found
      to help, flags of your own of these names, or too late.
    Warns:
      RuntimeWarning: too late; JAX has computed in this process, and reads flags only once.
    """
    flags, own = _flags(), os.environ.get("XLA_FLAGS", "")
    if flags and all(flag in own.split() for flag in flags):
        return True
    if not flags or any(flag.split("=")[0] in own for flag in flags):
        return False
    if _started():
        warnings.warn(
            "fast_cpu() came too late: JAX has already computed in this process; call it right after the imports",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    os.environ["XLA_FLAGS"] = " ".join([*own.split(), *flags])
    return True


def narrow() -> bool:
    """Return whether this processor has vectors of 256 bits (AVX2) and no longer ones.

    As far as Linux tells.
    """
    return "avx2" in features() and "avx512f" not in features()


def _flags() -> tuple[str, ...]:
    """Those that help on this processor with this release of JAX."""
    now = release()
    if "avx512_vbmi2" in features():
        return WIDE if now < TESTED else ()
    return NARROW if narrow() and now == (0, 10) else ()


@functools.cache
def features() -> frozenset[str]:
    """What the first processor can do, in the words of Linux."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return frozenset(next((line.split() for line in lines if line.startswith("flags")), ()))


@functools.cache
def release() -> tuple[int, ...]:
    """Major and minor version of JAX."""
    from importlib.metadata import version  # a tenth of a second that the command does not need for --help

    return tuple(int(part) for part in version("jax").split(".")[:2])


def _started() -> bool:
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bool(getattr(bridge, "backends_are_initialized", lambda: False)())


__all__ = ["fast_cpu", "features", "narrow", "release"]
