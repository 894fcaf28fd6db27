"""Float64 models meet float64 numbers alone, float32 models float32: weights, shares, clocks, data, starts, records."""

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax import engine
from dejax.topology import from_matrix

N, m = 36, dj.methods
PROBLEM, MADE = zoo.squares(N)
X0 = zoo.starts(N)


def long_run(method, network, rounds=2000, problem=PROBLEM):
    """Models [n, d] after many rounds of one program."""
    parts = engine.prepare(method, problem, network, rounds)
    key, params = jax.random.key(0), {"x": jnp.asarray(X0)}
    carry = engine.start(*parts, key, params)
    carry, _ = engine.run_chunk(*parts, carry, key, jnp.int32(0), jnp.int32(rounds), rounds)
    return np.asarray(engine.model(method, engine.state_of(carry))["x"])


# graphs of every kernel: shifts, one mean, a matrix, lists, hubs, sequences of two kinds, drawn
GRAPHS = {
    "ring": lambda: dj.topology.ring(N),
    "complete": lambda: dj.topology.complete(N),
    "dense": lambda: dj.topology.erdos_renyi(N, p=0.5, seed=0),
    "grid": lambda: dj.topology.grid(N),
    "hubs": lambda: dj.topology.star(N),
    "peers": lambda: dj.topology.one_peer_exponential(N),
    "pairs": lambda: dj.topology.one_peer_ring(N),
    "drawn": lambda: dj.topology.random_matching(N),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "graph", [g if g in ("ring", "hubs") else pytest.param(g, marks=pytest.mark.slow) for g in GRAPHS]
)
def test_the_mean_of_float64_models_stays(graph):
    top = GRAPHS[graph]()
    x = long_run(m.dsgd(lr=0.0), dj.Network(top))
    assert x.dtype == np.float64
    np.testing.assert_allclose(x.mean(0), X0.mean(0), rtol=0, atol=2e-14)


@pytest.mark.slow
def test_the_mean_stays_under_link_loss_and_local_events():
    network = dj.Network(dj.topology.ring(N), faults=dj.faults.link_loss(p=0.3))
    np.testing.assert_allclose(long_run(m.dsgd(lr=0.0), network).mean(0), X0.mean(0), rtol=0, atol=2e-14)
    network = dj.Network(dj.topology.ring(N), events=dj.events.poisson())
    np.testing.assert_allclose(long_run(m.dsgd(lr=0.0), network).mean(0), X0.mean(0), rtol=0, atol=2e-14)


@pytest.mark.parametrize("lossy", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_gradient_tracking_reaches_the_optimum(lossy):
    faults = (dj.faults.link_loss(p=0.1),) if lossy else ()
    x = long_run(m.gradient_tracking(lr=0.2), dj.Network(dj.topology.erdos_renyi(N, p=0.3, seed=0), faults=faults))
    np.testing.assert_allclose(x, np.broadcast_to(MADE.x_star, x.shape), rtol=0, atol=3e-14)


def test_push_sum_reaches_the_mean():
    x = long_run(m.sgp(lr=0.0), dj.Network(dj.topology.random_digraph(N, degree=3, seed=0)))
    np.testing.assert_allclose(x, np.broadcast_to(X0.mean(0), x.shape), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_weights_follow_the_model_and_the_matrix_shows_them(graph, dtype):
    top = GRAPHS[graph]()
    made = zoo.squares(N, dtype=dtype)[0]
    ran = engine.prepare(m.dsgd(lr=0.1), made, dj.Network(top))[2].topology
    key = jax.random.key(0)
    links, used = ran.at(0, key), ran.matrix(0, key)
    assert ran.dtype == links.self_weights().dtype.name == used.dtype.name == dtype
    np.testing.assert_array_equal(used, links.host_edges().matrix().astype(dtype))
    # float32 weights are those of float64 after one rounding
    np.testing.assert_array_equal(used, top.host(0, key).matrix().astype(dtype))
    assert top.matrix(0, key).dtype == np.float64  # outside a run, as wide as JAX


def test_what_astype_says_stands():
    for dtype in ("float32", "float64"):
        top = dj.topology.ring(N).astype(dtype)
        assert engine.prepare(m.dsgd(lr=0.1), PROBLEM, dj.Network(top))[2].topology.dtype == dtype
        assert top.matrix().dtype == dtype
    assert (
        from_matrix(dj.topology.ring(N).astype("float32").matrix()).kind == "doubly"
    )  # its sums are off by a rounding


def test_a_low_model_mixes_with_float32_weights():
    task = dj.tasks.from_functions(lambda key: {"x": jnp.zeros(zoo.D, jnp.bfloat16)}, zoo.rows_loss)
    problem = dj.Problem(task, PROBLEM.data)
    assert engine.prepare(m.dsgd(lr=0.1), problem, dj.Network(dj.topology.ring(N)))[2].topology.dtype == "float32"
    assert {x.dtype for x in problem.data.arrays.values()} == {jnp.dtype("float32")}


def test_data_of_ones_own_stay_as_wide_as_the_model():
    x, y = np.random.default_rng(0).standard_normal((2, 12, zoo.D)) / 3
    loss = lambda params, batch, key: jnp.square(batch["x"] - batch["y"] - params["x"][None]).sum(-1)
    sets = [
        dj.data.from_arrays(x, y, test=(x, y)).partition(dj.data.iid(), nodes=3, seed=0),
        dj.data.from_clients([(x[i::3], y[i::3]) for i in range(3)], test=(x, y)),
        dj.data.from_clients([(x[:6], y[:6]), (x[6:].astype(np.float32), y[6:])], test=(x, y)),
    ]
    for data in sets:
        for dtype in ("float64", "float32"):
            init = lambda key, dtype=dtype: {"x": jnp.zeros(zoo.D, dtype)}
            held = dj.Problem(dj.tasks.from_functions(init, loss), data).data
            assert {a.dtype.name for a in (*held.arrays.values(), *held.test.values())} == {dtype}
    np.testing.assert_array_equal(np.sort(sets[0].arrays["x"], 0), np.sort(x, 0))  # no rounding on the way
    narrow = dj.data.from_arrays(x.astype(np.float32), y.astype(np.float32))
    assert narrow.train["x"].dtype == np.float32


def test_starts_take_the_dtype_of_the_task():
    for dtype in ("float64", "float32"):
        problem = zoo.squares(N, dtype=dtype)[0]
        for params in ({"x": X0}, {"x": X0.astype(np.float32)}, {"x": X0[0]}):
            assert engine.starts(m.dsgd(lr=0.1), problem, jax.random.key(0), params)["x"].dtype == dtype


def test_shares_at_a_server_are_those_of_float64():
    toy = zoo.Uneven(7)
    x0 = zoo.starts(7)
    state, _ = zoo.run(m.fedavg(lr=0.1), toy.problem, None, 3, x0=x0)
    x = x0.mean(0)
    share = toy.count / toy.count.sum()
    for _ in range(3):
        x = x - 0.1 * sum(w * toy.gradient(i, x) for i, w in enumerate(share))
    np.testing.assert_allclose(np.asarray(state.params["x"]), x, rtol=0, atol=1e-15)


@pytest.mark.slow
def test_clocks_and_losses_are_as_wide_as_the_run():
    clock = dj.faults.clock(gradient=1 / 3, latency=1 / 7, bandwidth=1e3)
    meters = zoo.run(m.dsgd(lr=0.1), zoo.squares()[0], dj.Network(dj.topology.ring(zoo.N), clock=clock), 9)[1]
    bits = 2 * zoo.D * 64  # to two neighbors
    np.testing.assert_allclose(meters.seconds, np.arange(1, 10) * (1 / 3 + 1 / 7 + bits / 1e3), rtol=1e-14)
    assert meters.values["loss"].dtype == np.float64
    first = zoo.run(m.dsgd(lr=0.1), zoo.squares()[0], dj.Network(dj.topology.ring(zoo.N)), 1, x0=zoo.starts())[1]
    want = np.mean([zoo.squares()[1].losses(x)[i] for i, x in enumerate(zoo.starts())])
    np.testing.assert_allclose(first.values["loss"][0], want, rtol=1e-14)
