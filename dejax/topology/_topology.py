"""A topology: mixing weights per phase, as data.

With the few facts about them that change what a method may do.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import mixing
from ..core.arrays import device_array
from ..core.struct import static, struct
from ..core.types import Dtype, Keys, Values
from ..errors import bad
from ..mixing import Edges, Links

TOLERANCE = 1e-9  # on row and column sums, in float64


@struct
class Topology:
    """Who hears whom with which weight, in every phase.

    W_t[i, j] is the weight that receiver i gives to sender j; one gossip step is X <- W_t X. The
    leaves are the weights and neighbor lists of one period, on the host in float64 when built by
    this package, and are cast to `dtype` by `at`: facts and checks have full precision, and rounds
    mix in the precision of the model.

    Args:
      links: a mixing kernel whose leaves have a leading period axis; with period 0, an object with
        `draw(key) -> Links`.
      name: what it is, e.g. "ring". Static, as all below.
      kind: "doubly", "row" or "column" stochastic.
      symmetric: every W_t is symmetric.
      connected: the union of the graphs of one period is (strongly) connected.
      period: number of phases; 1 for a fixed graph, 0 when each phase is drawn afresh.
      dtype: of the weights that `at` and `matrix` give. None: in a run that of the model (float32 for lower ones), elsewhere
        float64 where jax_enable_x64 is on, and else float32.
    Example:
      >>> ring(4).matrix()[0].round(2).tolist()
      [0.33, 0.33, 0.0, 0.33]
    """

    links: Any
    name: str = static()
    kind: str = static()
    symmetric: bool = static()
    connected: bool = static()
    period: int = static(default=1)
    dtype: str | None = static(default=None)

    def at(self, phase: int | Values = 0, key: Keys | None = None) -> Links:
        """W of this phase, its weights in `dtype`.

        Args:
          phase: int or traced int32; taken modulo the period.
          key: needed when period is 0, ignored otherwise; give every phase its own.
        Raises:
          ValueError: period is 0 and there is no key.
        """
        if self.period == 0:
            if key is None:
                raise ValueError(f"{self.name} is drawn afresh in each phase, and key is None; give at(phase, key)")
            return jax.tree.map(self._cast, self.links.draw(key))
        if self.period == 1:
            return jax.tree.map(lambda a: self._cast(a[0]), self.links)
        phase = phase % self.period
        return jax.tree.map(lambda a: self._cast(jnp.asarray(a)[phase]), self.links)

    def _cast(self, a: Any) -> Any:
        if isinstance(a, (np.ndarray, np.generic)):
            return device_array(a, self._width if a.dtype.kind == "f" else None)
        a = jnp.asarray(a)
        return a.astype(self._width) if jnp.issubdtype(a.dtype, jnp.floating) else a

    @property
    def _width(self) -> str:
        return jnp.result_type(float).name if self.dtype is None else self.dtype

    def astype(self, dtype: Dtype) -> "Topology":
        """The same graph with weights in float64 (needs jax x64) or float32, whatever the model."""
        name = np.dtype(dtype).name
        if name == "float64" and not jax.config.jax_enable_x64:
            raise bad(
                "dtype",
                "float64",
                says="is float64 but jax_enable_x64 is off",
                instead="switch it on first, or keep float32",
            )
        if name not in ("float32", "float64"):
            raise bad(
                "dtype", name, instead="weights are kept in float32 or float64: kernels sum lower dtypes in float32"
            )
        return dataclasses.replace(self, dtype=name)

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.links.n

    @property
    def fixed(self) -> bool:
        """The same W in every phase."""
        return self.period == 1

    def host(self, phase: int = 0, key: Keys | None = None) -> Edges:
        """W of this phase as weighted edges in float64 on the host: the sparse form of `matrix`."""
        if self.period == 0:
            links = self.at(phase, key)
        else:
            links = jax.tree.map(lambda a: np.asarray(a)[phase % self.period], self.links)
        return links.host_edges()

    def matrix(self, phase: int = 0, key: Keys | None = None) -> np.ndarray:
        """Return dense W of this phase [n, n], in `dtype`: the numbers that `at` gives.

        `host(phase).matrix()` has those of float64.
        """
        return self.host(phase, key).matrix().astype(self._width)

    def edges(self, phase: int = 0, key: Keys | None = None) -> np.ndarray:
        """[m, 2] directed edges (receiver, sender) of this phase, self loops excluded."""
        e = self.host(phase, key)
        return np.stack([e.receivers, e.senders], 1)

    @property
    def max_degree(self) -> int:
        """Largest number of messages that a node sends in a phase."""
        if self.period == 0:
            return self.links.max_degree
        return max(int(self.host(p).out_degrees().max(initial=0)) for p in range(self.period))

    @property
    def mean_degree(self) -> float:
        """Messages sent per node and phase, averaged over nodes and the period."""
        if self.period == 0:
            return self.links.mean_degree
        return sum(len(self.host(p).receivers) for p in range(self.period)) / (self.period * self.n)

    def __repr__(self) -> str:
        phases = {0: ", drawn each phase", 1: ""}.get(self.period, f", period {self.period}")
        kernel = type(self.links).__name__
        return f"Topology({self.name}, n={self.n}{phases}, {self.kind} stochastic, {kernel})"


def build(
    name: str,
    phases: Edges | Sequence[Edges],
    allow_disconnected: bool = False,
    want: str | None = None,
    tolerance: float = TOLERANCE,
) -> Topology:
    """Make a topology from weighted edges per phase.

    The sums of W, symmetry and connectivity are found and checked here.

    Raises:
      ValueError: some W_t is neither row- nor column-stochastic, or not of the kind `want`; the
        union of the graphs of a period is not strongly connected and `allow_disconnected` is False.
    """
    sequence = [phases] if isinstance(phases, Edges) else list(phases)
    kind = kind_of(name, sequence, want, tolerance)
    parts = components(sequence)
    if parts > 1 and not allow_disconnected:
        raise ValueError(
            f"{name} of n = {sequence[0].n} falls into {parts} parts that do not all reach each other, so the nodes can "
            "never agree. Use more edges or another seed, or say allow_disconnected=True if that is meant."
        )
    links = mixing.choose(sequence)
    return Topology(links, name, kind, all(symmetric(e) for e in sequence), parts == 1, len(sequence))


def kind_of(name: str, sequence: list[Edges], want: str | None, tolerance: float) -> str:
    """Which sums of W are 1 in every phase; an error where none is, or not those of `want`."""
    kinds = {"row", "column"}
    worst = {}
    for e in sequence:
        for kind, sums in (("row", e.row_sums()), ("column", e.column_sums())):
            node = int(np.argmax(np.where(np.isfinite(sums), np.abs(sums - 1), np.inf)))
            off = abs(float(sums[node]) - 1)
            if not off <= tolerance:
                kinds.discard(kind)
                if kind not in worst or not off <= worst[kind][0]:
                    worst[kind] = (off, node, float(sums.min()), float(sums.max()))
    found = "doubly" if len(kinds) == 2 else next(iter(kinds), None)
    if found is None or (want is not None and want != found and found != "doubly"):
        missing = "row" if want in (None, "row", "doubly") and "row" in worst else "column"
        _, node, low, high = worst[missing]
        fix = {
            "row": "Divide each row by its sum, or use metropolis() weights, or uniform_neighbour() on directed graphs.",
            "column": "Use metropolis() weights on an undirected graph, or push_sum() with a push-sum method on a directed one.",
        }[missing]
        raise ValueError(
            f"{missing} sums of W ({name}) lie between {low:.6g} and {high:.6g} (furthest: node {node}), but they must be 1. {fix}"
        )
    return found


def components(sequence: list[Edges]) -> int:
    """Into how many strongly connected parts the graphs of all phases together fall."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = sequence[0].n
    if len(sequence) == 1 and len(sequence[0].receivers) == n * (n - 1):
        return 1
    receivers = np.concatenate([e.receivers[e.weights != 0] for e in sequence])
    senders = np.concatenate([e.senders[e.weights != 0] for e in sequence])
    graph = coo_array((np.ones(len(receivers), np.int8), (receivers, senders)), shape=(n, n))
    return int(connected_components(graph.tocsr(), directed=True, connection="strong", return_labels=False))


def symmetric(e: Edges) -> bool:
    """Whether W = W^T."""
    order = np.lexsort((e.receivers, e.senders))
    return (
        np.array_equal(e.receivers, e.senders[order])
        and np.array_equal(e.senders, e.receivers[order])
        and bool(np.allclose(e.weights, e.weights[order], rtol=0, atol=1e-12))
    )


def is_power_of(base: int, n: int) -> bool:
    """n == base^k for an integer k >= 0."""
    k = round(math.log(n, base)) if n > 0 else -1
    return k >= 0 and base**k == n


__all__ = ["Topology", "build", "components", "is_power_of", "kind_of", "symmetric"]
