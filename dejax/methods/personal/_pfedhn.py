"""pFedHN: a network at the server makes every node's model out of an embedding of it.

    x_i = h(e_i; phi), sent to node i;   y_i <- x_i, K times: y_i <- y_i - lr g_i(y_i);   node i sends back D_i = x_i - y_i
    (phi, e) <- server step along (sum_S J_phi^T D_i, J_e^T D_i),   J the Jacobian of x_i = h(e_i; phi)

h is a perceptron with one linear output for every leaf of the model. Those begin at the common start, with weights of zero, where the
paper draws them: all models are the start before round 0. The paper samples one node a round; with m of them the products are summed, as
m of its rounds would to first order.
Wire: 1 model down and 1 up per sampled node and round, whatever the size of h. State: phi, the embeddings, and the server optimizer's.
Reference: Shamsian, Navon, Fetaya and Chechik, Personalized federated learning using hypernetworks, 2021.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ...core import tree
from ...core.checks import Wholes, at_least, rate, whole
from ...core.kinds import Slot
from ...core.local_work import LocalSteps, local_steps
from ...core.method import Traits
from ...core.random import fold_in
from ...core.struct import number, option, static, struct
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...optimizers import Optimizer, check_step, local_step, optimizer
from .._parts import CLIENTS, at_server, check_cohort, cohort_of


class Hypernetwork(NamedTuple):
    """phi, no node axis: hidden layers, and what each leaf of the model is made by."""

    layers: tuple[Tree, ...]  # {"kernel": [in, out], "bias": [out]}
    kernels: Tree  # like the model, each leaf [width, ...]
    biases: Tree  # like the model


class PfedhnState(NamedTuple):
    """What the next round needs."""

    hyper: Hypernetwork
    embeddings: NodeTree  # e_i, [n, embedding]
    server: Any  # the server optimizer's state


@struct
class Pfedhn:
    """Personal models out of one network at the server, which learns what nodes have in common.

    Args:
      lr: step size of plain SGD at the nodes, >= 0; scalar, [n] or a schedule.
      clients: m, nodes sampled per round, 1 <= m <= n; None takes all; static.
      local_steps: K >= 1, one number, one per node or `Epochs`; static; the paper's 50.
      embedding: numbers of an embedding, >= 1, static; the paper takes 1 + n / 4.
      hidden: units of the hidden layers of h, static; () makes models linear in the embeddings.
      spread: standard deviation of the embeddings before round 0, >= 0.
      server: the server's optimizer, any of optax; it also moves embeddings of nodes that were not sampled, by momentum or decay.
      optimizer: an optax optimizer for the nodes instead of lr; starts anew in every round.
    Update: x_i = h(e_i) of a network h at the server; K steps; the server steps along J^T (x_i - y_i)
    Choose it for: personal models of nodes that are alike in some ways
    Raises:
      ValueError: clients, local_steps, embedding or a layer < 1; spread < 0; neither or both of lr and optimizer.
    Identity: spread = 0 and server=optimizer(optax.sgd, learning_rate=1 / m) is fedavg with nodes that count alike; hidden = () keeps
      every x_i in the column space of the last layer, about its bias.
    Reference: Shamsian et al., ICML 2021.
    """

    lr: NodeFloatLike = number(default=None, check=rate)
    clients: int | None = static(default=None, check=CLIENTS)
    local_steps: LocalSteps = static(default=50, check=local_steps)
    embedding: int = static(default=8, check=whole)
    hidden: tuple[int, ...] = static(default=(100, 100, 100), check=Wholes(example="[100, 100]"))
    spread: FloatLike = number(default=1.0, check=at_least(0))
    server: Optimizer = option(default=optimizer(optax.sgd, learning_rate=0.01, momentum=0.9), check=Slot("optimizer"))
    optimizer: Any = option(default=None, check=Slot("optimizer"))

    @property
    def traits(self) -> Traits:
        """A model of its own for every node, made at a server; a round sees a cohort."""
        return Traits(channel="server", cohort=self.clients, gathers=True, heads=True)

    def __post_init__(self) -> None:
        check_step(self)

    def init(self, params: NodeTree, key: PRNGKey) -> PfedhnState:
        """Embeddings and hidden layers are drawn; every model is the common start."""
        check_cohort(self, params)
        start, n = at_server(params), tree.leaves(params)[0].shape[0]
        dtype = jnp.result_type(jnp.float32, *tree.leaves(start))
        keys = fold_in(key, jnp.arange(1 + len(self.hidden)))
        drawn = jax.vmap(lambda key: jax.random.normal(key, (self.embedding,), dtype))
        embeddings = jnp.asarray(self.spread, dtype) * drawn(fold_in(keys[0], jnp.arange(n)))
        layers, width = [], self.embedding
        for key, units in zip(keys[1:], self.hidden, strict=True):
            kernel = math.sqrt(2 / width) * jax.random.normal(key, (width, units), dtype)
            layers.append({"kernel": kernel, "bias": jnp.zeros((units,), dtype)})
            width = units
        kernels = tree.map(lambda x: jnp.zeros((width, *x.shape), x.dtype), start)
        hyper = Hypernetwork(tuple(layers), kernels, start)
        return PfedhnState(hyper, embeddings, self.server.make().init((hyper, embeddings)))

    def model(self, state: PfedhnState) -> NodeTree:
        """The models that the server makes, [n, ...]."""
        return models(state.hyper, state.embeddings)

    def step(self, state: PfedhnState, round: Round) -> PfedhnState:
        """Sample, make models, train them, pull the differences back through h."""
        cohort, descend = cohort_of(self, round), local_step(self)
        made, pull_back = jax.vjp(models, state.hyper, cohort.take(state.embeddings))
        x = cohort.scatter(made)
        y, _ = cohort.local_steps(x, descend.init(x, cohort), descend, self.local_steps)
        change, arrived = cohort.gather(tree.sub(x, y))
        change = tree.map(lambda d, x: d.astype(x.dtype), tree.where(arrived, change, tree.zeros(change)), x)
        of_hyper, of_rows = pull_back(change)
        slope = (of_hyper, cohort.put(jnp.zeros_like(state.embeddings), of_rows))
        learned = (state.hyper, state.embeddings)
        update, server = self.server.make(round).update(slope, state.server, learned)
        hyper, embeddings = tree.map(lambda p, u: p + u.astype(p.dtype), learned, update)
        return PfedhnState(hyper, embeddings, server)


def models(hyper: Hypernetwork, embeddings: jax.Array) -> Any:
    """h(e_i; phi) of embeddings [n, embedding]: a tree of [n, ...]."""

    def one(z: jax.Array) -> Any:
        for layer in hyper.layers:
            z = jax.nn.relu(z @ layer["kernel"] + layer["bias"])
        of_leaf = lambda kernel, bias: bias + jnp.tensordot(z.astype(kernel.dtype), kernel, 1)
        return tree.map(of_leaf, hyper.kernels, hyper.biases)

    return jax.vmap(one)(embeddings)


__all__ = ["Hypernetwork", "Pfedhn", "PfedhnState"]
