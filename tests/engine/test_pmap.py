"""What a user of `jax.pmap` would write by hand, one node on each of eight devices: the same numbers as `rollout`.

docs/decisions/pmap.md maps the one to the other.
"""

import warnings
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj

N, ROUNDS, LR = 8, 5, 0.2
PROBLEM, MADE = zoo.squares(n=N)
X0 = zoo.starts(N)


def pmapped(fn, **kw):
    """`jax.pmap`, or a skip that says why: later releases of JAX may warn of it, or lack it."""
    if not hasattr(jax, "pmap"):
        pytest.skip("this jax has no pmap: its users have moved to jit and shard_map, as dejax has")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # maintenance mode, in words of its own
        warnings.filterwarnings("ignore", message=".*pmap.*")
        return jax.pmap(fn, **kw)


def loss(x, a, b):
    """The mean over a node's rows that the zoo's least squares have."""
    return jnp.mean(PROBLEM.task.loss({"x": x}, {"x": a, "y": b}, jax.random.key(0)))


def ring_by_ppermute(x):
    """W x on the ring: the own model and those of both neighbors, a third each."""
    left = [(i, (i + 1) % N) for i in range(N)]
    right = [(i, (i - 1) % N) for i in range(N)]
    share = jnp.asarray(1 / 3, x.dtype)
    return share * x + share * jax.lax.ppermute(x, "nodes", left) + share * jax.lax.ppermute(x, "nodes", right)


def any_graph_by_all_gather(w, x):
    """W x on any graph: all models, and the own row of W."""
    everybody = jax.lax.all_gather(x, "nodes")
    return jnp.tensordot(w[jax.lax.axis_index("nodes")], everybody, 1)


def rows_of_nodes():
    """Each node's samples, [8, s, ...]: pmap wants one row per device."""
    batch = PROBLEM.data
    index = np.asarray(batch.index)
    return tuple(jnp.asarray(np.asarray(batch.arrays[name])[index]) for name in ("x", "y"))


@pytest.mark.slow
def test_pmap_is_vmap_with_a_named_axis():
    """The same hand-written round under chex's stand-in for pmap, which is vmap on one device."""
    step = lambda x, a, b: ring_by_ppermute(x - LR * jax.grad(loss)(x, a, b))
    with chex.fake_pmap():
        x = jnp.asarray(X0)
        for _ in range(ROUNDS):
            x = jax.pmap(step, axis_name="nodes")(x, *rows_of_nodes())
    state, _ = zoo.run(dj.methods.dsgd(lr=LR), PROBLEM, dj.topology.ring(N).astype("float64"), ROUNDS, X0)
    np.testing.assert_allclose(x, state.params["x"], rtol=0, atol=5e-14)


@pytest.mark.slow
@pytest.mark.parametrize("graph", ["ring", "star"])
@pytest.mark.parametrize("order", ["atc", "awc"])
def test_a_hand_written_pmap_finds_the_numbers_of_rollout(graph, order):
    assert jax.device_count() == N
    topology = getattr(dj.topology, graph)(N).astype("float64")
    mix = ring_by_ppermute if graph == "ring" else partial(any_graph_by_all_gather, jnp.asarray(topology.matrix()))

    def one_round(x, a, b):
        gradient = jax.grad(loss)(x, a, b)
        return mix(x - LR * gradient) if order == "atc" else mix(x) - LR * gradient

    step, x, data = pmapped(one_round, axis_name="nodes"), jnp.asarray(X0), rows_of_nodes()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        for _ in range(ROUNDS):
            x = step(x, *data)
    assert len(x.sharding.device_set) == N
    method = dj.methods.dsgd(lr=LR, order=order)
    state, _ = zoo.run(method, PROBLEM, topology, ROUNDS, X0)
    np.testing.assert_allclose(x, state.params["x"], rtol=0, atol=5e-14)
    sharded, _ = dj.rollout(
        method, PROBLEM, dj.Network(topology), jax.random.key(0), ROUNDS, params={"x": jnp.asarray(X0)}, mesh=N
    )
    np.testing.assert_allclose(x, sharded.params["x"], rtol=0, atol=5e-14)
    assert np.abs(np.asarray(x) - X0).max() > 0.1


@pytest.mark.slow
def test_a_pmap_of_your_own_takes_one_run_per_device():
    """As the decision page says: seeds over devices by pmap, each a whole rollout."""
    problem, network = zoo.Uneven(batch_size=2).problem, dj.Network(zoo.ring())
    run = lambda key: dj.rollout(dj.methods.dsgd(lr=0.1), problem, network, key, 3)[0].params["x"]
    keys = jax.random.split(jax.random.key(0), 2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        got = pmapped(run)(keys)
    for key, x in zip(keys, got, strict=True):
        np.testing.assert_allclose(x, run(key), rtol=0, atol=1e-13)
    assert np.abs(np.asarray(got[0]) - np.asarray(got[1])).max() > 1e-3
