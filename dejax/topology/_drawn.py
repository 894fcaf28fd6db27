"""A graph of one's own that is drawn anew in each phase, on the device."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from ..core.checks import choice, or_none, whole
from ..core.made import recorded
from ..core.struct import static, struct
from ..core.types import Keys, Values
from ..errors import a_name, bad
from ..mixing import Edges, NeighborLists
from ._topology import Topology, components, kind_of, symmetric

Draw = Callable[[Keys], tuple[Values, Values, Values]]
DRAWS = 8  # phases that are looked at before a run
TOLERANCE = 1e-5  # on sums of weights in float32


@struct
class Drawn:
    """A user's function as the links of one phase.

    Args:
      fn: key to senders int32 [n, k], their weights [n, k] and own weights [n]. Static, as all below.
      size: n.
      num_ports: k.
      max_degree: the largest number of messages that a node sends in a phase.
      mean_degree: messages per node and phase.
    """

    fn: Draw = static()
    size: int = static()
    num_ports: int = static()
    max_degree: int = static()
    mean_degree: float = static()

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.size

    def draw(self, key: Keys) -> NeighborLists:
        """The links of one phase."""
        senders, weights, own = self.fn(key)
        return NeighborLists(jnp.asarray(senders, jnp.int32), jnp.asarray(weights), jnp.asarray(own))


@recorded()
def from_draw(
    draw: Draw,
    n: int,
    *,
    sends: int | None = None,
    kind: Literal["doubly", "row", "column"] = "doubly",
    allow_disconnected: bool = False,
    name: str = "from_draw",
) -> Topology:
    """A topology that is drawn anew in each phase, on the device, by a function of your own.

    Eight phases are drawn here, before any run, and looked at: what is wrong in them is refused.

    Args:
      draw: a function of a key, which JAX can trace, that gives who is heard in one phase: senders int
        [n, k], the weight of each [n, k], and own weights [n]. A port that hears nobody holds the
        node's own id and weight 0.
      n: number of nodes.
      sends: the most messages that a node sends in a phase; left out, k.
      kind: "doubly", "row" or "column": which sums of W are 1 in every phase.
      allow_disconnected: accept a graph whose eight phases together leave it in parts.
      name: what to call it.
    Raises:
      ValueError: wrong shapes, ids outside 0..n-1, weights that are not finite or whose sums are not
        as `kind` says, a node that sends more than `sends`, or nodes that never hear of each other.
    Example:
      >>> def shift(key):
      ...     near = (jnp.arange(6) + jax.random.randint(key, (), 1, 6)) % 6
      ...     return near[:, None], jnp.full((6, 1), 0.5), jnp.full(6, 0.5)
      >>> from_draw(shift, 6)
      Topology(from_draw, n=6, drawn each phase, doubly stochastic, Drawn)
    """
    n = int(whole("from_draw.n", n))
    or_none(whole, "or leave it out")("from_draw.sends", sends)
    choice("doubly", "row", "column")("from_draw.kind", kind)
    ports = _ports(draw, n)
    fn = jax.jit(draw)
    phases = [_edges(n, *map(np.asarray, fn(key))) for key in jax.random.split(jax.random.key(0), DRAWS)]
    for phase in phases:
        kind_of(name, [phase], kind, TOLERANCE)
    most = max(int(phase.out_degrees().max(initial=0)) for phase in phases)
    limit = ports if sends is None else sends
    if most > limit:
        why = "but a node sent more messages than that in one of the phases drawn"
        raise bad(
            "sends",
            sends,
            owner="from_draw",
            says=f"is {limit}",
            why=why,
            instead=f"give at least {most}, the most that a node may send",
        )
    if components(phases) > 1 and not allow_disconnected:
        says = f"leaves nodes of {DRAWS} phases in parts that never hear of each other, so that they cannot agree"
        raise bad(
            "draw",
            draw,
            owner="from_draw",
            says=says,
            instead="let links reach all nodes in time, or say allow_disconnected=True",
        )
    mean = sum(len(phase.receivers) for phase in phases) / (DRAWS * n)
    links = Drawn(draw, n, ports, limit, mean)
    return Topology(
        links, name, kind, symmetric=all(map(symmetric, phases)), connected=not allow_disconnected, period=0
    )


def _ports(draw: Draw, n: int) -> int:
    """Return k, from the shapes that `draw` gives."""
    wants = f"give senders int [{n}, k], weights [{n}, k] and own weights [{n}]"
    given = jax.eval_shape(draw, jax.random.key(0))
    if not isinstance(given, tuple) or len(given) != 3 or not all(isinstance(a, jax.ShapeDtypeStruct) for a in given):
        raise bad("draw", draw, owner="from_draw", says=f"returns {a_name(given)}", instead=wants)
    senders, weights, own = given
    whole_ids = jnp.issubdtype(senders.dtype, jnp.integer)
    if (
        len(senders.shape) != 2
        or senders.shape != weights.shape
        or senders.shape[:1] != own.shape
        or own.shape != (n,)
        or not whole_ids
    ):
        says = f"returns {', '.join(f'{a.dtype.name} {list(a.shape)}' for a in given)}"
        raise bad("draw", draw, owner="from_draw", says=says, instead=wants)
    return senders.shape[1]


def _edges(n: int, senders: np.ndarray, weights: np.ndarray, own: np.ndarray) -> Edges:
    """One drawn phase on the host."""
    if senders.size and (senders.min() < 0 or senders.max() >= n):
        odd = int(senders.max() if senders.max() >= n else senders.min())
        raise bad(
            "draw", says=f"names a sender {odd}", owner="from_draw", instead=f"ids must lie in 0..{n - 1} (n = {n})"
        )
    if not np.isfinite(weights).all() or not np.isfinite(own).all():
        raise bad("draw", says="gives a weight that is not finite", owner="from_draw", instead="give finite weights")
    receivers, ports = np.nonzero(weights)
    return Edges.sorted(n, receivers, senders[receivers, ports], weights[receivers, ports].astype(np.float64), own)


__all__ = ["Drawn", "from_draw"]
