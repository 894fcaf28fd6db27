"""What a compiled program sends between devices, read from its text."""

import math
import re
from collections import Counter
from typing import Any

OPS = re.compile(
    r"= (.+?) (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\((.*)", re.MULTILINE
)
SHAPE = re.compile(r"(pred|[a-z]+(\d+))\[([\d,]*)\]")
PAIRS = re.compile(r"source_target_pairs=\{((?:\{\d+,\d+\},?)*)\}")


def collectives(text: str, devices: int) -> Counter[tuple[str, str]]:
    """Bytes that all devices together send for each (operation, shape per device) of a compiled program's text.

    A collective permute sends its buffer once per pair of devices that differ; an all-gather sends each part to D - 1
    devices; reductions are counted as a ring: 2 (D - 1) buffers for an all-reduce, D - 1 for a reduce-scatter's input.
    Operations inside a loop or a branch are counted once.

    Args:
      text: `compiled.as_text()`. devices: D, devices of each group.
    """
    out: Counter[tuple[str, str]] = Counter()
    for match in OPS.finditer(text):
        shapes, op, rest = match[1], match[2], match[3]
        size = sum(_bytes(m) for m in SHAPE.finditer(shapes))
        if op == "collective-permute":
            pairs = PAIRS.search(rest)
            sent = sum(a != b for a, b in re.findall(r"\{(\d+),(\d+)\}", pairs[1])) if pairs else devices
        else:
            sent = {
                "all-reduce": 2 * (devices - 1),
                "reduce-scatter": devices * (devices - 1),
                "all-gather": devices - 1,
                "all-to-all": devices - 1,
            }[op]
        out[op, re.sub(r"\{[^}]*\}", "", shapes)] += size * sent
    return out


def _bytes(match: Any) -> int:
    count = math.prod(int(x) for x in match[3].split(",") if x)
    return count * (1 if match[1] == "pred" else int(match[2]) // 8)


__all__ = ["collectives"]
