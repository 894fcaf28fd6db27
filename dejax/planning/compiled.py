"""What a compiled program allocates (XLA's analysis) and sends between devices (its text)."""

import math
import re
from collections import Counter
from typing import Any, NamedTuple

OPS = re.compile(
    r"= (.+?) (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(-start)?\((.*)", re.MULTILINE
)
SHAPE = re.compile(r"(pred|[a-z]+(\d+))\[([\d,]*)\]")
PAIRS = re.compile(r"source_target_pairs=\{((?:\{\d+,\d+\},?)*)\}")


class Allocated(NamedTuple):
    """Bytes that a compiled program takes on one device.

    Args:
      arguments, results: what goes in and comes out. aliased: results that lie in arguments.
        scratch: beside both.
      crossing: bytes that all devices of a mesh send each other; 0 without one.
    """

    arguments: int
    results: int
    aliased: int
    scratch: int
    crossing: int = 0

    @property
    def beside(self) -> int:
        """Bytes beside the arguments."""
        return self.results - self.aliased + self.scratch

    @property
    def total(self) -> int:
        """Bytes in all."""
        return self.arguments + self.beside


def allocated(program: Any, devices: int = 1, groups: int = 1) -> Allocated | None:
    """Return what XLA allocates for a compiled program, by its memory analysis.

    None where the back end does not say.

    Args:
      program: of `jax.jit(...).lower(...).compile()`. devices, groups: as for `collectives`, on a
        mesh.
    """
    m = program.memory_analysis()
    if m is None:
        return None
    crossing = sum(collectives(program.as_text(), devices, groups).values()) if devices > 1 else 0
    return Allocated(
        m.argument_size_in_bytes, m.output_size_in_bytes, m.alias_size_in_bytes, m.temp_size_in_bytes, crossing
    )


def collectives(text: str, devices: int, groups: int = 1) -> Counter[tuple[str, str]]:
    """Count the bytes that all devices together send, in a compiled program's text.

    There is one count for each (operation, shape per device). A collective permute sends its buffer
    once per pair of devices that differ; an all-gather sends each part to D - 1 devices; reductions
    are counted as a ring: 2 (D - 1) buffers for an all-reduce, D - 1 for a reduce-scatter's input.
    Operations inside a loop or a branch are counted once.

    Args:
      text: `compiled.as_text()`. devices: D, devices of each group. groups: how many of them do the
        same at once.
    """
    out: Counter[tuple[str, str]] = Counter()
    for match in OPS.finditer(text):
        shapes, op, started, rest = match[1], match[2], match[3], match[4]
        sizes = [_bytes(m) for m in SHAPE.finditer(shapes)]
        # what starts and ends apart makes (operand, result, ...), of which the result counts; an
        # all-reduce has results alone
        size = sizes[1] if started and op != "all-reduce" and len(sizes) > 1 else sum(sizes)
        if op == "collective-permute":
            pairs = PAIRS.search(rest)
            sent = sum(a != b for a, b in re.findall(r"\{(\d+),(\d+)\}", pairs[1])) if pairs else groups * devices
        else:
            sent = (
                groups
                * {
                    "all-reduce": 2 * (devices - 1),
                    "reduce-scatter": devices * (devices - 1),
                    "all-gather": devices - 1,
                    "all-to-all": devices - 1,
                }[op]
            )
        out[op, re.sub(r"\{[^}]*\}", "", shapes)] += size * sent
    return out


def _bytes(match: Any) -> int:
    count = math.prod(int(x) for x in match[3].split(",") if x)
    return count * (1 if match[1] == "pred" else int(match[2]) // 8)


__all__ = ["Allocated", "allocated", "collectives"]
