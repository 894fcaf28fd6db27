"""Every method with every option of the network: each pair acts with its strength, or is refused with a reason."""

import gc

import jax
import members
import numpy as np
import pytest

import dejax as dj
from dejax import engine
from dejax.engine.rollout import _rollout

ROUNDS = 2


def trajectory(name, method, **options):
    """(final models as one vector, meters) after a few rounds, run eagerly: nothing is compiled per pair."""
    with jax.disable_jit():
        state, meters = dj.rollout(
            method, members.problem(), members.network(name, **options), jax.random.key(3), ROUNDS
        )
    leaves = jax.tree.leaves(engine.model(method, state))
    return np.concatenate([np.asarray(x, np.float64).ravel() for x in leaves]), meters


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(members.methods()))
def test_every_option_acts_or_is_refused(name):
    method = members.methods()[name]
    plain, quiet = trajectory(name, method)
    full, half = members.options(1.0), members.options(0.5)
    ignored, acted = [], 0
    for option in full:
        try:
            strong, meters = trajectory(name, method, **full[option])
        except dj.RefusedError as error:
            assert len(str(error)) > 60, f"{name} x {option}: a refusal gives its reason and a way out"
            continue
        acted += 1
        assert np.isfinite(strong).all(), (name, option)
        assert strong.shape == plain.shape
        if option == "clock":
            weak = trajectory(name, method, **half[option])[1]
            seconds, less = np.asarray(meters.seconds)[-1], np.asarray(weak.seconds)[-1]
            if not (seconds > less > 0) or not (strong == plain).all():
                ignored.append(option)
            continue
        if (strong == plain).all():
            ignored.append(option)
        elif option not in members.STRENGTHLESS:
            weak = trajectory(name, method, **half[option])[0]
            if (weak == strong).all():
                ignored.append(option + " (its strength)")
        if option in ("direct_top_k", "direct_qsgd", "error_feedback", "copies_rand_k"):
            assert name == "choco" or meters.bytes() < quiet.bytes(), (
                f"{name} x {option}: compressed messages are smaller"
            )
    assert not ignored, f"{name} ignores {ignored}"
    assert acted >= 2
    gc.collect()
    jax.clear_caches()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(members.methods()))
def test_each_method_compiles_once_and_agrees_with_the_eager_run(name):
    method = members.methods()[name]
    state, _ = dj.rollout(method, members.problem(), members.network(name), jax.random.key(3), ROUNDS)
    compiled = np.concatenate([np.asarray(x, np.float64).ravel() for x in jax.tree.leaves(engine.model(method, state))])
    np.testing.assert_allclose(compiled, trajectory(name, method)[0], atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("option", sorted(members.options()))
def test_each_option_compiles_once_for_all_strengths(option):
    method, problem = members.methods()["dsgd_atc"], members.problem()
    before = _rollout._cache_size()
    for strength in (
        (1.0, 0.75) if option in members.STRENGTHLESS | {"clock"} or "k" not in option.split("_") else (1.0,)
    ):
        kwargs = members.options(strength)[option]
        state, _ = dj.rollout(method, problem, members.network("dsgd_atc", **kwargs), jax.random.key(3), ROUNDS)
        assert all(np.isfinite(np.asarray(x)).all() for x in jax.tree.leaves(state))
    assert _rollout._cache_size() - before <= (1 if option not in ("direct_qsgd", "error_feedback") else 2)


def test_a_refusal_names_the_option_and_comes_before_compilation():
    with pytest.raises(dj.RefusedError, match="network.topology is 'ring', but FedAvg talks to a server"):
        dj.rollout(
            dj.methods.fedavg(lr=0.1), members.problem(), dj.Network(dj.topology.ring(members.N)), jax.random.key(0), 2
        )
    with pytest.raises(dj.RefusedError, match="link_loss|LinkLoss"):
        network = dj.Network(dj.topology.one_peer_exponential(members.N), faults=dj.faults.link_loss(p=0.1))
        dj.rollout(dj.methods.dsgd(lr=0.1), members.problem(), network, jax.random.key(0), 2)
    with pytest.raises(ValueError, match="n = 8 nodes, but the data are split over 6"):
        dj.rollout(dj.methods.dsgd(lr=0.1), members.problem(), dj.Network(dj.topology.ring(8)), jax.random.key(0), 2)
