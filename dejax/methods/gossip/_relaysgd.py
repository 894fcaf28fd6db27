"""RelaySGD: on a tree, every update reaches every node with equal weight, merely later.

    h_i <- x_i - lr g_i(x_i)
    m_ij <- h_i + sum_k m_ki,  c_ij <- 1 + sum_k c_ki     over the neighbors k of i but j; to each neighbor j
    x_i <- (h_i + sum_j m_ji + (n - c_i) x0_i) / n,  c_i = 1 + sum_j c_ji     over the neighbors j of i

Node i so averages the h_j of n nodes, that of j as it was dist(i, j) - 1 rounds ago; x0_i, its own
start, stands in for those not heard of yet. W is not used: the graph must be a tree. A lost message
leaves the last one in place.
Deviation: the paper and its code start all nodes from one x0, as equal starts do here. With unequal
ones no node knows another's, so that x0_i has the weight (n - c_i)/n before round diameter and
pulls each model to its own start; from then on c_i = n, starts have
no weight, and the fixed point is the same.
Wire: 1 model and 1 number per directed edge and round. Memory: 1 model per directed edge.
Reference: Vogels, He, Koloskova, Lin, Karimireddy, Stich and Jaggi, RelaySum for decentralized deep
learning on heterogeneous data, 2021.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import rate
from ...core.method import Traits
from ...core.struct import number, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round


class RelayState(NamedTuple):
    """What the next round needs, beside the last message on every edge."""

    params: NodeTree  # x, one model per node
    start: NodeTree  # x0_i, stands for nodes not heard of yet


@struct
class RelaySgd:
    """RelaySGD: uniform averaging over a tree by relayed sums; exact on unequal data.

    Exact means that a constant step leads to the optimum of the mean loss.

    Args:
      lr: >= 0; scalar, [n] or a schedule. Delays of up to the diameter make the stable range
        smaller than D-PSGD's.
    Update: h = x - lr g; to j: m_ij = h_i + sum of the others' last m_ki; x_i <- (h_i + sum_j m_ji + (n -
      c_i) x0) / n
    Choose it for: unequal data on sparse graphs: exact with a constant step
    Identity: fed with constants it returns their mean at every node from round diameter on; at the
      optimum of equal starts nothing moves; the fixed point of a constant lr is the optimum of the
      mean loss.
    Reference: Vogels et al., RelaySum for decentralized deep learning on heterogeneous data, 2021.
    """

    lr: NodeFloatLike = number(check=rate)

    traits = Traits(channel="edges", weights=("doubly", "row", "column"), graph="tree")

    def init(self, params: NodeTree, key: PRNGKey) -> RelayState:
        """Nothing received yet."""
        del key
        return RelayState(params, tree.map(jnp.copy, params))

    def step(self, state: RelayState, round: Round) -> RelayState:
        """Local step, relay, mean."""
        edges, n = round.edges, round.n
        half = tree.sub(state.params, tree.scale(round.rate(self.lr), round.gradient(state.params)))
        inbox, write = round.edge_slot(
            "inbox", lambda m: tree.map(lambda x: jnp.zeros((m, *x.shape[1:]), x.dtype), half)
        )
        heard, write_heard = round.edge_slot("heard", lambda m: jnp.zeros((m,), jnp.int32))

        everything = tree.add(half, edges.sum(inbox))
        got = round.exchange(tree.sub(edges.of_nodes(everything), inbox), per_edge=True)
        counts = got.header(edges.of_nodes(1 + edges.sum(heard)) - heard)
        inbox, heard = got.keep(inbox), counts if got.mask is None else jnp.where(got.mask, counts, heard)
        write(inbox)
        write_heard(heard)

        missing = tree.scale(n - 1 - edges.sum(heard), state.start)
        return RelayState(tree.scale(1 / n, tree.add(half, edges.sum(inbox), missing)), state.start)


__all__ = ["RelaySgd", "RelayState"]
