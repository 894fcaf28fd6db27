"""Meters: static units times traced int32 counts.

The product is formed on the host, in Python integers.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..core.types import Tree

LOW_BITS = 12
HOSTILE = "hostile/"  # before the names of what adversaries send
NO_NODE = np.int32(2**31 - 1)


def limbs(count: jax.Array) -> dict[str, jax.Array]:
    """Sum int32 counts [n] as two int32 numbers: of the low 12 bits, and of the rest.

    One int32 sum could overflow; these two cannot.
    """
    count = jnp.atleast_1d(jnp.asarray(count, jnp.int32))
    low = jnp.sum(count & (2**LOW_BITS - 1), dtype=jnp.int32)
    return {"lo": low, "hi": jnp.sum(count >> LOW_BITS, dtype=jnp.int32)}


@jax.tree_util.register_pytree_node_class
class Meters:
    """What a round counted.

    `counts[name]` are two-limb int32 counts in units of `units[name]` bits (1 for things that are not bits);
    `values[name]` are means over the honest nodes that computed; `bad_node` is the lowest id of one whose loss was not
    finite, or NO_NODE; `seconds` the virtual time of the slowest node at the round's end (0 without a clock), held in two
    parts, `time` = (int32 whole seconds, the rest), so that it stays exact in runs of any length.
    """

    def __init__(self, counts: Any, values: Tree, bad_node: Any, time: Any, units: dict[str, int]):
        self.counts, self.values, self.bad_node, self.time, self.units = counts, values, bad_node, time, units

    def tree_flatten(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Counts and values are leaves, units are structure."""
        return (self.counts, self.values, self.bad_node, self.time), tuple(sorted(self.units.items()))

    @classmethod
    def tree_unflatten(cls, units: Any, children: Any) -> "Meters":
        """Rebuild from leaves and structure."""
        return cls(*children, dict(units))

    @property
    def seconds(self) -> Any:
        """Virtual seconds: float64 on the host, of JAX's width in a trace."""
        whole, rest = self.time
        if isinstance(whole, Tracer):
            return whole.astype(rest.dtype) + rest
        return np.asarray(jax.device_get(whole), np.float64) + np.asarray(jax.device_get(rest), np.float64)

    def __repr__(self) -> str:
        leaves = jax.tree.leaves((self.counts, self.values, self.bad_node))
        if any(isinstance(x, Tracer) or not isinstance(x, (jax.Array, np.ndarray, np.generic)) for x in leaves):
            return f"Meters of {', '.join(self.units) or 'nothing'}"  # inside a trace, or holes that JAX makes
        rounds = "x".join(map(str, np.shape(self.bad_node))) or "1"
        said = [f"{name} {total:,}{' bits' if '/' in name else ''}" for name, total in self.totals().items()]
        said += [f"{name} {float(np.mean(jax.device_get(v))):.4g} on average" for name, v in self.values.items()]
        return f"Meters of {rounds} rounds: {'; '.join(said) or 'nothing was counted'} (.totals(), .series(), .bytes())"

    def totals(self) -> dict[str, int]:
        """Sum exactly over all leading axes.

        The result is in bits for names under wire/, up/ and down/, and a plain count for the
        others.
        """
        out = {}
        for name, count in self.counts.items():
            lo, hi = (np.asarray(jax.device_get(count[limb])).astype(object) for limb in ("lo", "hi"))
            out[name] = int((lo.sum() + (hi.sum() << LOW_BITS)) * self.units[name])
        return out

    def series(self) -> dict[str, np.ndarray]:
        """Return per-round figures on the host: counts times units, and values.

        Counts times units are float64, since int64 could overflow.
        """
        out = {}
        for name, count in self.counts.items():
            lo, hi = (np.asarray(jax.device_get(count[limb])).astype(np.float64) for limb in ("lo", "hi"))
            out[name] = (lo + hi * 2.0**LOW_BITS) * self.units[name]
        out |= {name: np.asarray(jax.device_get(v)) for name, v in self.values.items()}
        return out | {"seconds": np.asarray(self.seconds), "bad_node": np.asarray(self.bad_node)}

    def bytes(self) -> int:
        """Directed payload bytes of honest nodes: every wire/, up/ and down/ meter."""
        return payload(self.totals())


def payload(totals: dict[str, int], hostile: bool = False) -> int:
    """Directed bytes of honest nodes, or of adversaries, by the bits of each meter."""
    return sum(bits for name, bits in totals.items() if "/" in name and name.startswith(HOSTILE) == hostile) // 8


__all__ = ["HOSTILE", "NO_NODE", "Meters", "limbs", "payload"]
