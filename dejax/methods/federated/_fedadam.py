"""FedAdam, FedYogi and FedAdagrad: adaptive steps at the server, as their paper writes them.

    D = sum_S w_i (y_i - x);   m <- b1 m + (1 - b1) D;   x <- x + server_lr m / (sqrt(v) + tau)
    Adagrad: v <- v + D^2    Adam: v <- b2 v + (1 - b2) D^2    Yogi: v <- v - (1 - b2) D^2 sign(v - D^2)

m starts at 0, v at tau^2; there is no bias correction. y_i are the ends of K local steps from x.
Wire: 1 model up and 1 down per sampled node and round. State: 3 models at the server.
Reference: Reddi, Charles, Zaheer, Garrett, Rush, Konecny, Kumar and McMahan, Adaptive federated
optimization, 2021, algorithm 2.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ...core import tree
from ...core.checks import above, constant_rate, in_, rate
from ...core.kinds import Slot
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.struct import number, option, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...optimizers import check_step, local_step
from .._parts import CLIENTS, WEIGHTS, at_server, check_cohort, cohort_of, own_weights, upload_weights


class AdaptiveState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    mean: Tree  # m, of the differences
    square: Tree  # v, of their squares


@struct
class FedAdagrad:
    """Federated averaging with Adagrad at the server: v adds up.

    Args:
      server_lr: step of the server along m / (sqrt(v) + tau), >= 0.
      lr: step size of plain SGD at the nodes, >= 0; scalar, [n] or a schedule.
      clients: nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static.
      optimizer: an optax optimizer for the nodes instead of lr; starts anew in every round.
      b1: decay of the mean m, 0 <= b1 < 1; the paper takes 0. tau: > 0, how little a coordinate must move to count.
      weights: uploads count by the nodes' numbers of "samples" (default), are "uniform", or count by
        a list of n numbers >= 0 of your own, one a node; static.
    Update: the server's optimizer along the mean difference
    Choose it for: badly scaled models; momentum at the server
    Raises:
      ValueError: b1 outside [0, 1); tau <= 0; neither or both of lr and optimizer.
    Identity: for tau large the steps are those of server momentum of rate server_lr (1 - b1) / (2 tau).
    Reference: Reddi et al., ICLR 2021.
    """

    server_lr: FloatLike = number(default=0.01, check=constant_rate)
    lr: NodeFloatLike = number(default=None, check=rate)
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=1, check=local_steps)
    optimizer: Any = option(default=None, check=Slot("optimizer"))
    b1: FloatLike = number(default=0.0, check=in_(0, 1, "[)"))
    tau: FloatLike = number(default=1e-3, check=above(0))
    weights: str | tuple[float, ...] = static(default="samples", check=WEIGHTS)

    @property
    def traits(self) -> Traits:
        """One model at a server; each round sees a cohort."""
        return Traits(channel="server", cohort=self.clients, one_update=not own_weights(self.weights))

    def __post_init__(self) -> None:
        check_step(self)

    def square(self, v: jax.Array, d: jax.Array) -> jax.Array:
        """The next v."""
        return v + d * d

    def init(self, params: NodeTree, key: PRNGKey) -> AdaptiveState:
        """m = 0, v = tau^2."""
        del key
        check_cohort(self, params)
        x = at_server(params)
        return AdaptiveState(x, tree.zeros(x), tree.map(lambda p: jnp.full_like(p, self.tau**2), x))

    def step(self, state: AdaptiveState, round: Round) -> AdaptiveState:
        """Sample, train, step adaptively along the mean difference."""
        cohort, descend = cohort_of(self, round), local_step(self)
        x = tree.tile(state.params, cohort.n)
        y, _ = cohort.local_steps(x, descend.init(x, cohort), descend, self.local_steps)
        change = cohort.average(tree.sub(y, x), upload_weights(self, cohort))
        mean = tree.map(lambda m, d: self.b1 * m + (1 - self.b1) * d, state.mean, change)
        square = tree.map(self.square, state.square, change)
        move = lambda p, m, v: p + self.server_lr * m / (jnp.sqrt(v) + self.tau)
        return AdaptiveState(tree.map(move, state.params, mean, square), mean, square)


@struct
class FedAdam(FedAdagrad):
    """Federated averaging with Adam at the server.

    Other arguments and errors are those of `fedadagrad`.

    Args:
      b1, b2: decay of the means m and v, 0 <= b < 1.
    Update: the server's optimizer along the mean difference
    Choose it for: badly scaled models; momentum at the server
    Identity: for tau large and b2 next to 1 the steps are those of server momentum of rate server_lr (1 - b1) / (2 tau).
    Reference: Reddi et al., ICLR 2021.
    """

    b1: FloatLike = number(default=0.9, check=in_(0, 1, "[)"))
    b2: FloatLike = number(default=0.99, check=in_(0, 1, "[)"))

    def square(self, v: jax.Array, d: jax.Array) -> jax.Array:
        """The next v."""
        return self.b2 * v + (1 - self.b2) * d * d


@struct
class FedYogi(FedAdam):
    """Federated averaging with Yogi at the server: v moves by steps of bounded size.

    Arguments and errors are those of `fedadam`.
    Update: the server's optimizer along the mean difference
    Choose it for: badly scaled models; momentum at the server
    Identity: for tau large the steps are those of server momentum of rate server_lr (1 - b1) / (2 tau), whatever b2.
    Reference: Reddi et al., ICLR 2021; Zaheer et al., Adaptive methods for nonconvex optimization, 2018.
    """

    def square(self, v: jax.Array, d: jax.Array) -> jax.Array:
        """The next v."""
        return v - (1 - self.b2) * d * d * jnp.sign(v - d * d)


__all__ = ["AdaptiveState", "FedAdagrad", "FedAdam", "FedYogi"]
