"""Distributed k-core decomposition: every node learns its core number in the graph.

    c_i <- degree of i;   c_i <- the largest k <= c_i such that k neighbors j have c_j >= k

c_i falls until it is the core number: the largest k for which node i belongs to a subgraph whose nodes
all have k neighbors in it. Wire: one number per neighbor and round. State: c_i; the models stay as they are.
Reference: Montresor, De Pellegrini and Miorandi, Distributed k-core decomposition, 2013.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.method import Traits
from ...core.struct import struct
from ...core.types import NodeTree, PRNGKey, Round


class KCoreState(NamedTuple):
    """What the next round needs."""

    params: NodeTree  # [n, ...], untouched
    core: jax.Array  # c_i, float [n], whole numbers


@struct
class KCore:
    """Core numbers by messages between neighbors alone.

    Update: c <- the largest k with k neighbors of at least k
    Choose it for: the graph itself
    Identity: c_i never rises, and never falls below the core number; a lost message changes nothing but
    the time it takes.
    Reference: Montresor et al., 2013.
    """

    traits = Traits(
        weights=("doubly", "row", "column"),
        averages=False,
        learns=False,
        needs_sums="it counts neighbors, and forms no mean; leave it out",
        needs_exact="core numbers are counts; leave it out",
    )

    def init(self, params: NodeTree, key: PRNGKey) -> KCoreState:
        """Nothing is known before the graph is seen."""
        del key
        n = tree.nodes(params)
        return KCoreState(params, jnp.zeros((n,)))

    def start(self, state: KCoreState, round: Round) -> KCoreState:
        """Degrees."""
        return KCoreState(state.params, round.degree.astype(state.core.dtype))

    def step(self, state: KCoreState, round: Round) -> KCoreState:
        """Hear the neighbors, fall where too few reach the own number."""
        got = round.exchange(state.core)
        if got.links.num_ports == 0:  # nobody to hear
            return state
        values, mask = got.each()
        # whoever was not heard may have kept its number: it counts as high as the own one
        real = got.links.weights() != 0
        heard = jnp.where(mask, values, jnp.where(real, jnp.inf, -1))
        falling = -jnp.sort(-heard, 1)
        at_least = jnp.minimum(falling, jnp.arange(1.0, heard.shape[1] + 1)[None].astype(falling.dtype))
        return KCoreState(state.params, jnp.minimum(state.core, jnp.maximum(at_least.max(1, initial=0), 0)))


__all__ = ["KCore", "KCoreState"]
