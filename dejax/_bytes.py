"""How much memory there is, and bytes in words."""

import os
import re

import jax

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def machine_memory() -> int:
    """Bytes of the device that JAX computes on: the accelerator's, else the machine's (or its container's limit)."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        if "bytes_limit" in stats:
            return int(stats["bytes_limit"])
    limits = []
    try:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        limits.append(8 * 2**30)
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path, encoding="ascii") as file:
                limits.append(int(file.read()))
        except (OSError, ValueError):
            continue
    return min(limits)


def parse_bytes(text: str) -> int:
    """`16GB`, `16GiB`, `500M`, `1e9` -> bytes.

    Raises:
      ValueError: anything else.
    """
    found = re.fullmatch(r"\s*([0-9.]+(?:[eE][0-9]+)?)\s*([kKmMgGtT]?[iI]?)[bB]?\s*", text)
    if not found or found[2].lower() not in UNITS:
        raise ValueError(f"memory is {text!r}; give a number of bytes with a unit, e.g. 16GB or 512MiB")
    return int(float(found[1]) * UNITS[found[2].lower()])


def spoken_bytes(value: float) -> str:
    """1536 -> `1.54 kB` (decimal units)."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 1000 or unit == "TB":
            return f"{value:.0f} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError


__all__ = ["machine_memory", "parse_bytes", "spoken_bytes"]
