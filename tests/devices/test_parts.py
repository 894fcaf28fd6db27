"""Parts of models on four devices: the numbers of one."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.core.method import Traits

pytestmark = pytest.mark.worlds

N, DEVICES, ROUNDS = 32, 4, 3
PROBLEM = dataclasses.replace(zoo.squares(n=N)[0], batch_size=2, starts="independent")
MOVED = dj.topology.geometric(N, seed=0, radius=0.4)  # nodes change places
c = dj.compression


@dj.struct
class State:
    params: Any


@dj.struct
class Masked:
    """Gossip of what a node holds: drawn by its id and the round."""

    traits = Traits(masks=True, weights=("doubly", "row"))

    def init(self, params, key):
        return State(params)

    def step(self, state, round):
        drawn = round.map(lambda key: jax.random.uniform(key, (4,)) < 0.6, round.node_keys("mask"))
        got = round.exchange({"x": round.ids.astype(float)}, name="data")
        weights = got.edge(0.5 + jnp.arange(MOVED.edges().shape[0]) % 3)
        x = round.gossip(state.params, mask={"x": drawn}, mask_bits=4)
        heard, mask = got.each()
        return State({"x": x["x"] + 0.01 * jnp.where(mask, weights * heard["x"], 0).sum(1)[:, None]})


OPTIONS = {
    "plain": {},
    "copies": {"codec": c.copies(c.top_k(k=1), gamma=0.3)},
    "random": {"codec": c.direct(c.rand_k(ratio=0.5), gamma=0.5)},
    "robust": {"rule": dj.aggregation.trimmed_mean(f=1), "attack": dj.attacks.sign_flip(adversaries=2)},
    "late": {"faults": dj.faults.delay(phases=(0, 2))},
    "lossy": {"faults": (dj.faults.link_loss(p=0.2), dj.faults.churn(p=0.2))},
}


def same(method, problem, network, atol=1e-11):
    """Whether four devices give what one does."""
    key = jax.random.key(0)
    one, meters = dj.rollout(method, problem, network, key, ROUNDS)
    many, spread = dj.rollout(method, problem, network, key, ROUNDS, mesh=DEVICES)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), rtol=0, atol=atol)
    assert meters.totals() == spread.totals()


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "plain" else pytest.mark.slow) for n in OPTIONS])
def test_masked_gossip_of_nodes_that_change_places(name):
    same(Masked(), PROBLEM, dj.Network(MOVED.astype("float64"), **OPTIONS[name]))


@pytest.mark.slow
@pytest.mark.parametrize("graph", ["ring", "geometric", "complete"])
def test_dispfl(graph):
    b = np.random.default_rng(3).standard_normal((N, 6, 4))
    data = dj.data.NodeData({"b": b}, np.arange(N, dtype=np.int32)[:, None], np.ones(N, np.int32), even=True)
    loss = lambda p, batch, key: 0.5 * jnp.square(p["w"][None] - batch["b"]).sum((1, 2))
    init = lambda key: {"w": jax.random.normal(key, (6, 4), jnp.float64)}
    problem = dj.Problem(dj.tasks.from_functions(init, loss), data, starts="independent")
    graphs = {"ring": dj.topology.ring(N), "geometric": MOVED, "complete": dj.topology.complete(N)}
    method = dj.methods.dispfl(lr=0.1, density=0.5, local_steps=2, prune_rate=0.5, rounds=10)
    same(method, problem, dj.Network(graphs[graph].astype("float64")))


@pytest.mark.slow
def test_heterofl():
    data = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=8, seed=0)
    problem = dj.Problem(dj.tasks.mlp(64, 8, 10), data, batch_size=4)
    width = np.linspace(0.25, 1.0, 8)
    same(dj.methods.heterofl(lr=0.1, width=width), problem, dj.Network(), atol=1e-5)
