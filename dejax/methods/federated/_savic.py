"""SAVIC: local SGD along a diagonal scaling that all share and each round refreshes.

    D^2 <- b_t D^2 + (1 - b_t) g * g,   g = (1/m) sum_S g_i(x);   s = max(floor, D), elementwise
    y_i <- x;  K times: y_i <- y_i - lr g_i(y_i) / s;   x <- mean_S y_i

"adam": b_t = (b - b^(t+1)) / (1 - b^(t+1)), so that D^2 is a mean of all g * g; "rmsprop": b_0 = 0, then b.
Wire: 2 models up and 2 down per sampled node and round. State: x and D^2.
Reference: Chezhegov, Skorik, Khachaturov, Shalagin, Avetisyan, Beznosikov, Takac, Kholodov and Gasnikov, Local methods with adaptivity
via scaling, 2024. From knowledge of the paper, not its code: which gradient makes g (here the mean of one batch per node at x) and the
floor are unconfirmed. Its OASIS scaling, by products with the Hessian, and its momentum are not here.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ...core import tree
from ...core.checks import above, choice, in_, rate, whole
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import CLIENTS, at_server, check_cohort, cohort_of


class SavicState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    square: Tree  # D^2, no node axis


@struct
class Savic:
    """Local SGD with a diagonal scaling that all nodes share, refreshed once a round.

    Nodes count alike.

    Args:
      lr: step size at the nodes, >= 0; scalar, [n] or a schedule.
      beta: b, 0 <= b < 1; the paper takes 0.95 to 0.999.
      floor: least entry of the scaling, > 0: no step is longer than lr / floor times the gradient.
      scaling: "adam" (default) or "rmsprop", how b_t runs; static.
      clients: nodes sampled per round, 1 <= m <= n; None takes all, as the paper does; static.
      local_steps: K >= 1, static.
    Raises:
      ValueError: beta outside [0, 1); floor <= 0; clients or local_steps < 1; another scaling.
    Identity: a floor above all entries of D is local SGD with lr / floor; K = 1 is preconditioned gradient descent on the mean loss.
    Reference: Chezhegov et al., Local methods with adaptivity via scaling, 2024.
    """

    lr: NodeFloatLike = number(check=rate)
    beta: FloatLike = number(default=0.99, check=in_(0, 1, "[)"))
    floor: FloatLike = number(default=1e-3, check=above(0))
    scaling: str = static(default="adam", check=choice("adam", "rmsprop"))
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: int = static(default=10, check=whole)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients)

    def init(self, params: NodeTree, key: PRNGKey) -> SavicState:
        """D = 0, which round 0 replaces."""
        del key
        check_cohort(self, params)
        x = at_server(params)
        return SavicState(x, tree.zeros(x))

    def step(self, state: SavicState, round: Round) -> SavicState:
        """Refresh the scaling, train under it, average."""
        cohort, b, t = cohort_of(self, round), self.beta, round.index
        x, lr = tree.tile(state.params, cohort.n), cohort.rate(self.lr)
        g = cohort.average(cohort.gradient(x, name="at server"), name="gradient")
        b_t = (b - b ** (t + 1)) / (1 - b ** (t + 1)) if self.scaling == "adam" else jnp.where(t == 0, 0, b)
        square = tree.map(lambda d, g: (b_t * d + (1 - b_t) * g * g).astype(d.dtype), state.square, g)
        scale = tree.map(lambda d: jnp.maximum(jnp.asarray(self.floor, d.dtype), jnp.sqrt(d)), square)
        scale = tree.tile(scale, cohort.n)

        def one(r: Round, y: Tree) -> Any:
            along = tree.map(lambda g, s: g / s, r.gradient(y), scale)
            return r.keep(tree.sub(y, tree.scale(lr, along)), y)

        y = cohort.repeat(self.local_steps, one, x)
        return SavicState(tree.add(state.params, cohort.average(tree.sub(y, x), name="model")), square)


__all__ = ["Savic", "SavicState"]
