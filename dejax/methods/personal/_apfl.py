"""APFL: a mixture of a global and a personal model at each node, whose share it learns.

    v'_i = a_i v_i + (1 - a_i) w_i;   K times, from w_i = x:   w_i <- w_i - lr g_i(w_i)
    v_i <- v_i - lr a_i g_i(v'_i);   a_i <- a_i - lr <v_i - w_i, g_i(v'_i)>, clipped to [0, 1];   x <- mean_S w_i

Both gradients of a step see one batch, and all three moves start from where the step began.
Wire: 1 model up and 1 down per sampled node and round. State: x, v_i and a_i of every node.
Reference: Deng, Kamani and Mahdavi, Adaptive personalized federated learning, 2020. Released codes take
the gradient elsewhere or add 0.02 a_i to the slope of a_i; this is the paper's form.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import in_, rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import CLIENTS, WEIGHTS, at_server, check_cohort, cohort_of, upload_weights


class ApflState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    personal: NodeTree  # v_i, [n, ...]
    share: jax.Array  # a_i, [n]


@struct
class Apfl:
    """Mixtures of a global and a personal model, with a share that each node learns.

    Args:
      lr: step size of models and shares, >= 0; scalar, [n] or a schedule.
      share: a_i before round 0, in [0, 1]; scalar or [n].
      learn_share: whether a_i moves; static.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      weights: uploads count by the nodes' numbers of "samples" (default), are "uniform", or count by
        a list of n numbers >= 0 of your own, one a node; static.
    Update: a v + (1 - a) w, all three learned
    Choose it for: personal models, shares learned
    Raises:
      ValueError: share outside [0, 1]; clients or local_steps < 1.
    Views: "personal", the mixtures; what is evaluated without a name is x.
    Identity: x moves as under FedAvg, whatever the shares; a fixed share of 1 makes v_i local training.
    Reference: Deng et al., 2020.
    """

    lr: NodeFloatLike = number(check=rate)
    share: NodeFloatLike = number(default=0.5, check=in_(0, 1))
    learn_share: bool = static(default=True)
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    weights: str | tuple[float, ...] = static(default="samples", check=WEIGHTS)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients)

    def init(self, params: NodeTree, key: PRNGKey) -> ApflState:
        """All models start alike."""
        del key
        check_cohort(self, params)
        n = tree.leaves(params)[0].shape[0]
        return ApflState(at_server(params), params, jnp.broadcast_to(jnp.asarray(self.share, float), (n,)))

    def views(self, state: ApflState) -> dict[str, NodeTree]:
        """The mixtures."""
        n = state.share.shape[0]
        return {"personal": _mixture(state.share, state.personal, tree.tile(state.params, n))}

    def step(self, state: ApflState, round: Round) -> ApflState:
        """Sample, train both models and the share, average the global one."""
        cohort = cohort_of(self, round)
        x, lr = tree.tile(state.params, cohort.n), cohort.rate(self.lr)
        v, a = cohort.take(state.personal), cohort.take(state.share)

        def one(r: Round, carry: Tree) -> Any:
            w, v, a = carry
            own = _mixture(a, v, w)
            batch = r.batch(params=own)
            slope = r.gradient(own, batch, name="mixture")
            moved_w = tree.sub(w, tree.scale(lr, r.gradient(w, batch, name="global")))
            moved_v = tree.sub(v, tree.scale(lr * a, slope))
            if self.learn_share:
                parts = tree.map(lambda v, w, g: ((v - w) * g).reshape(g.shape[0], -1).sum(1), v, w, slope)
                moved_a = jnp.clip(a - lr * tree.add(*tree.leaves(parts)), 0, 1)
            else:
                moved_a = a
            return r.keep((moved_w, moved_v, moved_a), carry)

        w, v, a = cohort.repeat(self.local_steps, one, (x, v, a))
        change = cohort.average(tree.sub(w, x), upload_weights(self, cohort))
        return ApflState(tree.add(state.params, change), cohort.put(state.personal, v), cohort.put(state.share, a))


def _mixture(share: jax.Array, personal: Tree, common: Tree) -> Any:
    """a v + (1 - a) w, row by row."""
    return tree.add(tree.scale(share, personal), tree.scale(1 - share, common))


__all__ = ["Apfl", "ApflState"]
