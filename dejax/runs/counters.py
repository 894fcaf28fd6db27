"""Sums of a run's meters, on the host, as exact integers.

They do not depend on how the rounds were cut into chunks.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.types import Tree
from ..round.meters import HOSTILE, LOW_BITS, NO_NODE, payload


class Counters:
    """Sums over the rounds so far.

    They are the bits of each meter (exact), other counts, the losses since the last record, and
    virtual seconds.
    """

    def __init__(self) -> None:
        self.rounds = 0
        self.totals: dict[str, int] = {}
        self.values: dict[str, float] = {}
        self.seconds = 0.0
        self.loss_sum, self.loss_rounds, self.last_loss = 0.0, 0, math.nan

    @staticmethod
    def add(counters: "Sequence[Counters]", meters: Tree) -> list[tuple[int, int] | None]:
        """Add meters of consecutive rounds to the counters of the first runs.

        meters: on the host, [runs, rounds] each.

        Returns:
          (offset, node) of the first loss that is not finite, or None, for each.
        """
        bad = np.asarray(meters.bad_node)
        for name, count in meters.counts.items():
            low, high = (np.asarray(count[limb]).astype(np.int64).sum(-1).tolist() for limb in ("lo", "hi"))
            for own, lo, hi in zip(counters, low, high, strict=False):
                own.totals[name] = own.totals.get(name, 0) + (lo + (hi << LOW_BITS)) * meters.units[name]
        for name, series in meters.values.items():
            for own, value in zip(counters, series[:, -1].tolist(), strict=False):
                own.values[name] = value
        if "loss" in meters.values:
            series = np.asarray(meters.values["loss"], np.float64).tolist()
            for own, losses, broken in zip(counters, series, bad.tolist(), strict=False):
                for loss, node in zip(losses, broken, strict=True):
                    if math.isnan(loss) and node == NO_NODE:
                        continue  # no honest node computed
                    own.loss_sum += loss
                    own.loss_rounds += 1
                    own.last_loss = loss
        for own, seconds in zip(counters, meters.seconds[:, -1].tolist(), strict=False):
            own.rounds += bad.shape[1]
            own.seconds = max(own.seconds, seconds)
        broken = bad != NO_NODE
        at, any_ = broken.argmax(1).tolist(), broken.any(1).tolist()
        return [(at[i], int(bad[i, at[i]])) if any_[i] else None for i in range(len(counters))]

    def bytes(self) -> int:
        """Directed payload bytes of all honest nodes so far."""
        return payload(self.totals)

    def loss(self) -> dict[str, float]:
        """The mean training loss of the rounds since this was last asked."""
        if not self.loss_rounds:
            return {}
        mean = self.loss_sum / self.loss_rounds
        self.loss_sum, self.loss_rounds = 0.0, 0
        return {"loss": mean}

    def counts(self) -> dict[str, int]:
        """Bytes, gradients and whatever else was counted of honest nodes so far."""
        return {"bytes": self.bytes()} | {name: total for name, total in self.totals.items() if "/" not in name}

    def ways(self) -> dict[str, float]:
        """Bytes of honest nodes so far by who stands at both ends.

        "bytes/wire" between nodes, "bytes/up" from nodes to a server, "bytes/down" from a server to nodes.
        """
        bits = lambda way: sum(total for name, total in self.totals.items() if name.startswith(way))
        return {f"bytes/{way}": bits(f"{way}/") / 8 for way in ("wire", "up", "down")}

    def numbers(self, n: int, an_epoch: int | None = None) -> dict[str, float | int]:
        """What a record says of traffic and time, of n honest nodes; bytes of adversaries apart.

        an_epoch: gradients in which these nodes all go once over their samples (`Problem.an_epoch`); None: nothing is
          said of epochs.
        """
        counts = self.counts()
        out: dict[str, float | int] = {"bytes": counts.pop("bytes"), "bytes/node": self.bytes() / n}
        if any(name.startswith(HOSTILE) for name in self.totals):
            out["bytes/hostile"] = payload(self.totals, hostile=True)
        out |= counts
        out |= {name: value for name, value in self.values.items() if name != "loss"}
        if an_epoch and "gradients" in self.totals:
            out["epochs"] = self.totals["gradients"] / an_epoch
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
