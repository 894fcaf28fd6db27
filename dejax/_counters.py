"""What the meters of a run add up to, kept on the host as exact integers, independent of how rounds were cut into chunks."""

import math
from typing import Any

import numpy as np

from .round.meters import LOW_BITS, NO_NODE


class Counters:
    """Sums over the rounds so far: bits by meter (exact), other counts, the losses since the last record, virtual seconds."""

    def __init__(self) -> None:
        self.rounds = 0
        self.totals: dict[str, int] = {}
        self.values: dict[str, float] = {}
        self.seconds = 0.0
        self.loss_sum, self.loss_rounds, self.last_loss = 0.0, 0, math.nan

    def add(self, meters: Any) -> tuple[int, int] | None:
        """Add stacked meters of consecutive rounds (on the host); (offset, node) of the first loss that is not finite."""
        bad = np.asarray(meters.bad_node)
        for name, count in meters.counts.items():
            low, high = (int(np.asarray(count[limb]).astype(np.int64).sum()) for limb in ("lo", "hi"))
            self.totals[name] = self.totals.get(name, 0) + (low + (high << LOW_BITS)) * meters.units[name]
        for name, series in meters.values.items():
            self.values[name] = float(series[-1])
        for value in np.asarray(meters.values.get("loss", ()), np.float64):
            self.loss_sum += float(value)
            self.loss_rounds += 1
            self.last_loss = float(value)
        self.rounds += len(bad)
        self.seconds = max(self.seconds, float(np.asarray(meters.seconds, np.float64)[-1]))
        broken = np.flatnonzero(bad != NO_NODE)
        return (int(broken[0]), int(bad[broken[0]])) if len(broken) else None

    def bytes(self) -> int:
        """Directed payload bytes of all nodes so far."""
        return sum(bits for name, bits in self.totals.items() if "/" in name) // 8

    def loss(self) -> dict[str, float]:
        """The mean training loss of the rounds since this was last asked."""
        if not self.loss_rounds:
            return {}
        mean = self.loss_sum / self.loss_rounds
        self.loss_sum, self.loss_rounds = 0.0, 0
        return {"loss": mean}

    def numbers(self, n: int) -> dict[str, float | int]:
        """What a record says of traffic and time."""
        out: dict[str, float | int] = {"bytes": self.bytes(), "bytes/node": self.bytes() / n}
        out |= {name: total for name, total in self.totals.items() if "/" not in name}
        out |= {name: value for name, value in self.values.items() if name != "loss"}
        if self.rounds and "awake" in self.totals:
            out["participation"] = self.totals["awake"] / (n * self.rounds)
        if self.seconds > 0:
            out["seconds"] = self.seconds
        return out

    def plain(self) -> dict[str, Any]:
        """As JSON (integers are exact, floats read back equal)."""
        out = dict(vars(self))
        out["last_loss"] = None if math.isnan(self.last_loss) else self.last_loss
        return out

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Counters":
        """The inverse of `plain`."""
        out = cls()
        vars(out).update(plain)
        out.last_loss = math.nan if out.last_loss is None else out.last_loss
        return out


__all__ = ["Counters"]
