"""How much memory there is, and bytes in words."""

import math
import os
import re
from pathlib import Path, PurePosixPath

from ..errors import bad
from .types import Tree

# where Linux bounds the memory of groups of processes
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def array_bytes(x: Tree) -> int:
    """Bytes of an array, a shape or an abstract value; 0 for what has no shape."""
    shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", None)
    if shape is None or dtype is None:
        return 0
    import jax  # by need: data are drawn without
    import numpy as np

    key = jax.numpy.issubdtype(dtype, jax.dtypes.prng_key)
    return math.prod(shape) * (8 if key else np.dtype(dtype).itemsize)


def machine_memory() -> int:
    """Return the bytes of memory of the device that JAX computes on.

    The accelerator's, else those of the machine (or the limit of its container or job).
    """
    import jax  # by need: data are drawn without

    device = jax.local_devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        if "bytes_limit" in stats:
            return int(stats["bytes_limit"])
    return host_memory()


def host_memory() -> int:
    """Bytes of this machine, or the limit of its container or job."""
    limits = []
    try:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        limits.append(8 * 2**30)
    return min(limits + _cgroup_limits())


def _cgroup_limits() -> list[int]:
    """Return the bytes that the control groups of this process may take.

    These are its own (a SLURM step, a systemd unit, a container) and those around it.
    """
    try:
        groups = [line.split(":", 2)[1:] for line in OWN_CGROUPS.read_text().splitlines()]
    except OSError:
        groups = []
    limits = []
    for controllers, path in [*groups, ["", "/"], ["memory", "/"]]:
        if controllers == "":  # version 2: one tree
            root, name = CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = PurePosixPath(path.lstrip("/"))
        for group in (own, *own.parents):
            try:
                limits.append(int((root / group / name).read_text()))
            except (OSError, ValueError):  # not seen from inside a container; "max"
                continue
    return limits


def parse_bytes(text: str) -> int:
    """`16GB`, `16GiB`, `500M`, `1e9` -> bytes.

    Raises:
      ValueError: anything else, and less than a byte.
    """
    found = re.fullmatch(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)([eE]\+?[0-9]{1,2})?\s*([kKmMgGtT]?[iI]?)[bB]?\s*", text)
    value = float(found[1] + (found[2] or "")) * UNITS.get(found[3].lower(), 0) if found else 0
    if value < 1:
        raise bad("memory", text, instead="give a number of bytes >= 1 with a unit, e.g. 16GB or 512MiB")
    return int(value)


def spoken_bytes(value: float) -> str:
    """1536 -> `1.54 kB` (decimal units)."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 1000 or unit == "TB":
            return f"{value:.0f} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError


__all__ = ["array_bytes", "host_memory", "machine_memory", "parse_bytes", "spoken_bytes"]
