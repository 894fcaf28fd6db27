"""Adversaries count in no number of a record but their own: loss, gradients, bytes, participation."""

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj

N = zoo.N
DATA = zoo.Uneven(N)
HOSTILE = (1, 4)
HONEST = np.array([0, 2, 3])


@dj.struct
class Broken(dj.Attack):
    """Follows the protocol on samples that are no numbers."""

    hook = "batch"

    def is_adversary(self, n):
        return np.isin(np.arange(n), HOSTILE)

    def batch(self, ctx, data):
        return {"x": data["x"], "y": jnp.where(ctx.is_adversary[:, None], jnp.nan, data["y"])}


@dj.struct
class Quiet(Broken):
    """Does nothing wrong."""

    def batch(self, ctx, data):
        return data


def mean_loss(x, nodes):
    return np.mean([0.5 * np.mean((DATA.a[r] @ x[i] - DATA.b[r]) ** 2) for i, r in enumerate(DATA.rows) if i in nodes])


def record(method, network, rounds=2, **kw):
    return dj.simulate(method, DATA.problem, network, rounds=rounds, metrics=["consensus"], **kw).records[-1]


@pytest.mark.slow
def test_a_record_is_of_honest_nodes():
    """A ring of five: each node sends 2 models of 4 float64 a round, so 3 honest nodes 3 x 2 x 32 bytes and 2 hostile ones 2 x 2 x 32."""
    x0 = zoo.starts()
    got = record(
        dj.methods.dsgd(lr=0.0, order="awc"), dj.Network(zoo.ring(), attack=Quiet()), 1, params={"x": jnp.asarray(x0)}
    )
    assert got["loss"] == pytest.approx(mean_loss(x0, HONEST), rel=1e-6)
    assert (got["bytes"], got["bytes/hostile"], got["bytes/node"]) == (192, 128, 64)
    assert got["gradients"] == 3 and got["participation"] == 1.0
    plain = record(dj.methods.dsgd(lr=0.0, order="awc"), dj.Network(zoo.ring()), 1, params={"x": jnp.asarray(x0)})
    assert plain["bytes"] == 320 and plain["gradients"] == 5 and "bytes/hostile" not in plain
    assert plain["loss"] == pytest.approx(mean_loss(x0, range(N)), rel=1e-6)


def test_losses_of_adversaries_break_no_run():
    """An adversary that trains on NaN alone, and sends nothing, leaves the loss finite."""
    got = record(dj.methods.local_only(lr=0.1), dj.Network(attack=Broken()))
    assert np.isfinite(got["loss"]) and got["gradients"] == 6


@pytest.mark.slow
def test_uploads_of_adversaries_are_counted_apart():
    got = record(dj.methods.fedavg(lr=0.0, clients=2), dj.Network(attack=Quiet()), 30)
    assert got["bytes"] + got["bytes/hostile"] == 30 * 2 * 2 * 32
    assert got["bytes"] == got["gradients"] * 64  # one gradient, one model up and one down
    assert got["participation"] == 1.0  # of honest nodes: awake


@pytest.mark.slow
def test_rounds_without_an_honest_node_have_no_loss():
    """Cohorts of one: rounds that draw an adversary leave the mean of the others as it is."""
    x0 = np.tile(zoo.starts()[:1], (N, 1))
    method = dj.methods.fedavg(lr=0.0, clients=1)
    got = record(method, dj.Network(attack=Quiet()), 40, params={"x": jnp.asarray(x0[0])})
    _, meters = dj.rollout(
        method, DATA.problem, dj.Network(attack=Quiet()), jax.random.key(0), 40, params={"x": jnp.asarray(x0[0])}
    )
    losses = np.asarray(meters.values["loss"])
    assert 0 < np.isnan(losses).sum() < 40
    each = [mean_loss(x0, [i]) for i in HONEST]
    assert min(each) * (1 - 1e-12) <= got["loss"] <= max(each) * (1 + 1e-12)
    assert all(np.isclose(each, loss, rtol=1e-5).any() for loss in losses[~np.isnan(losses)])
