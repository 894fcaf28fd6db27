"""SAVIC: local SGD along a diagonal scaling that all share and each round refreshes.

    D^2 <- b_t D^2 + (1 - b_t) g * g,   g = (1/m) sum_S g_i(x);   s = max(floor, |D|), elementwise
    y_i <- x;  K times: y_i <- y_i - lr g_i(y_i) / s;   x <- mean_S y_i

"adam": b_t = (b - b^(t+1)) / (1 - b^(t+1)), so that D^2 is a mean of all g * g; "rmsprop": b_0 = 0, then b. "oasis" measures
curvature: D <- b_t D + (1 - b_t) v * h, h = (1/m) sum_S H_i(x) v, with one v of entries +1 and -1 that all know, and b_t as in
"rmsprop".
Wire: 2 models up and 2 down per sampled node and round. State: x and D^2 (D of "oasis").
Reference: Chezhegov, Skorik, Khachaturov, Shalagin, Avetisyan, Beznosikov, Takac, Kholodov and Gasnikov, Local methods with
adaptivity via scaling, 2024. From knowledge of the paper, not its code: which gradient makes g (here the mean of one batch per
node at x) and the floor are unconfirmed. Its momentum is not here. OASIS: Jahani, Rusakov, Shi, Richtarik, Mahoney and Takac,
Doubly adaptive scaled algorithm for machine learning using second-order information, 2022, of which this is the scaling alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import above, choice, in_, rate
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.noise import signs
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import CLIENTS, at_server, check_cohort, cohort_of


class SavicState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    scale: Tree  # D^2, or D where it measures curvature; no node axis


@struct
class Savic:
    """Local SGD with a diagonal scaling that all nodes share, refreshed once a round.

    Nodes count alike.

    Args:
      lr: step size at the nodes, >= 0; scalar, [n] or a schedule.
      beta: b, 0 <= b < 1; the paper takes 0.95 to 0.999.
      floor: least entry of the scaling, > 0: no step is longer than lr / floor times the gradient.
      scaling: "adam" (default) or "rmsprop", by squares of gradients; "oasis", by the Hessian's diagonal; static.
      clients: nodes sampled per round, 1 <= m <= n; None takes all, as the paper does; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
    Update: K steps y <- y - lr g / max(floor, D), D from squares of the mean gradient or ("oasis") products
      with the Hessian, shared and fixed in a round
    Choose it for: badly scaled models
    Raises:
      ValueError: beta outside [0, 1); floor <= 0; clients or local_steps < 1; another scaling.
    Identity: a floor above all entries of D is local SGD with lr / floor; K = 1 is preconditioned gradient descent on the mean
      loss; "oasis" on equal diagonal Hessians is Newton's method at K = 1, lr = 1.
    Reference: Chezhegov et al., Local methods with adaptivity via scaling, 2024.
    """

    lr: NodeFloatLike = number(check=rate)
    beta: FloatLike = number(default=0.99, check=in_(0, 1, "[)"))
    floor: FloatLike = number(default=1e-3, check=above(0))
    scaling: str = static(default="adam", check=choice("adam", "rmsprop", "oasis"))
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=10, check=local_steps)

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
        b_t = (b - b ** (t + 1)) / (1 - b ** (t + 1)) if self.scaling == "adam" else jnp.where(t == 0, 0, b)
        if self.scaling == "oasis":
            new, size = self.curvature(cohort, x), jnp.abs
        else:
            g = cohort.average(cohort.gradient(x, name="at server"), name="gradient")
            new, size = tree.map(jnp.square, g), jnp.sqrt
        kept = tree.map(lambda d, h: (b_t * d + (1 - b_t) * h).astype(d.dtype), state.scale, new)
        scale = tree.tile(tree.map(lambda d: jnp.maximum(jnp.asarray(self.floor, d.dtype), size(d)), kept), cohort.n)

        def one(r: Round, y: Tree) -> Any:
            along = tree.map(lambda g, s: g / s, r.gradient(y), scale)
            return r.keep(tree.sub(y, tree.scale(lr, along)), y)

        y = cohort.repeat(self.local_steps, one, x)
        return SavicState(tree.add(state.params, cohort.average(tree.sub(y, x), name="model")), kept)

    def curvature(self, cohort: Round, x: NodeTree) -> Tree:
        """v * h at the rows of x, which are equal: on average the diagonal of the mean Hessian."""
        loss, v = cohort.of_task("loss"), signs(cohort.key("directions"), at_server(x))

        def slope(params: Tree, batch: Tree, key: PRNGKey, v: Tree) -> jax.Array:
            along = tree.join(v, tree.zeros(params))  # leaves that the method does not see stay
            return jax.jvp(lambda p: loss(p, batch, key), (params,), (along,))[1]  # whose gradient is H v

        products = cohort.gradient(x, loss=slope, extra=(tree.tile(v, cohort.n),), products=1, name="at server")
        return tree.map(jnp.multiply, v, cohort.average(products, name="curvature"))


__all__ = ["Savic", "SavicState"]
