"""The driver with what the rooms offer: flax modules, given starts, servers, timetables, clocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

import dejax as dj


def digits(nodes=6):
    data = dj.data.digits().partition(dj.data.dirichlet(alpha=0.5), nodes=nodes, seed=0)
    return dj.Problem(dj.tasks.classifier(lambda rngs: dj.tasks.MLP(64, 8, 10, rngs=rngs)), data, batch_size=8)


@pytest.mark.slow
def test_the_mean_model_comes_out_as_the_users_module():
    problem = digits()
    h = dj.simulate(dj.methods.dsgd(lr=0.5), problem, dj.Network(dj.topology.ring(6)), 3, progress=False)
    model = h.model()
    assert type(model).__name__ == "MLP"
    right = np.asarray(model(problem.data.test["x"]).argmax(-1)) == problem.data.test["y"]
    np.testing.assert_allclose(right.mean(), h.last("accuracy/mean_model"), atol=1e-6)
    assert type(h.model(node=2)).__name__ == "MLP"


@pytest.mark.slow
def test_starting_from_given_models():
    method, problem, network = toy.experiment()
    several = toy.softmax_toy.population()
    h = dj.simulate(method, problem, network, 1, params=several, progress=False, metrics=["consensus"])
    np.testing.assert_allclose(h.records[0]["consensus"], dj.population.consensus_distance(several), rtol=1e-9)
    one = jax.tree.map(lambda x: x[0], several)
    assert dj.simulate(method, problem, network, 1, params=one, progress=False).records[0]["consensus"] < 1e-20
    with pytest.raises(ValueError, match="params"):
        dj.simulate(method, problem, network, 1, params={"w": jnp.zeros(3)}, progress=False)


@pytest.mark.slow
def test_a_servers_model_is_everybodys():
    h = dj.simulate(dj.methods.fedavg(lr=0.3, clients=3, local_steps=2), toy.problem(), None, 4, progress=False)
    last = h.records[-1]
    assert last["consensus"] == 0 and last["accuracy/local"] == last["accuracy/mean_model"] and last["bytes"] > 0
    assert h.table().rows[0]["local_steps"] == 2


@pytest.mark.slow  # a longer plan is another shape, hence another program
def test_events_go_on_where_they_stopped(tmp_path):
    network = dj.Network(dj.topology.ring(6), events=dj.events.poisson())
    args = (dj.methods.ad_psgd(lr=0.1), toy.problem(), network)
    whole = dj.simulate(*args, 7, every=1, progress=False)
    dj.simulate(*args, 3, every=1, progress=False, out=tmp_path / "run")
    resumed = dj.simulate(*args, 7, every=1, progress=False, resume=tmp_path / "run")
    assert toy.plain(resumed.records) == toy.plain(whole.records)
    assert 0 < whole.last("participation") < 1


def test_refused_pairs_leave_nothing_behind(tmp_path):
    network = dj.Network(dj.topology.one_peer_exponential(6 + 2))
    with pytest.raises(ValueError, match="n = 8 nodes, but the data are split over 6"):
        dj.simulate(dj.methods.dsgd(lr=0.1), toy.problem(), network, 3, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_simulate_is_rollout():
    method, problem, network = toy.experiment()
    h = dj.simulate(method, problem, network, 5, seed=3, progress=False)
    final, meters = dj.rollout(method, problem, network, jax.random.key(3), 5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), h.final, final)
    assert h.last("bytes") == meters.bytes()
