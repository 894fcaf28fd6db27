"""Running statistics stay in their range whatever is on the wire, and go by the role that a user gives them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import dejax as dj
from dejax import engine
from dejax.core.random import fold_name
from dejax.problem.roles import role_of
from dejax.round.cohort import floyd

N, ROUNDS, MOMENTUM = 8, 20, 0.5
SCALES = np.logspace(-2, 1, 8)
c, m = dj.compression, dj.methods


class Net(nnx.Module):
    """Features of unequal scale, normalized."""

    def __init__(self, rngs):
        self.bn = nnx.BatchNorm(8, momentum=MOMENTUM, rngs=rngs)
        self.out = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, x):
        return self.out(self.bn(x))


def problem(roles=(), **kw):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N * 20, 8))
    y = (x.sum(1) > 0).astype(int)
    x = (x * SCALES).astype(np.float32)
    data = dj.data.from_arrays(x, y, test=(x, y)).partition(dj.data.iid(), nodes=N, seed=0)
    return dj.Problem(dj.tasks.classifier(Net), data, roles=roles, **({"batch_size": 5} | kw))


FEDAVG = m.fedavg(lr=0.1)
WIRES = {
    "qsgd": (FEDAVG, {"codec": c.direct(c.qsgd_unbiased(levels=15))}),
    "scaffold": (m.scaffold(lr=0.1), {"codec": c.direct(c.qsgd_unbiased(levels=15))}),
    "error feedback": (FEDAVG, {"codec": c.error_feedback(c.qsgd(levels=3), gamma=1.0)}),
    "copies": (FEDAVG, {"codec": c.copies(c.rand_k(ratio=0.3), gamma=0.3)}),
    "rand_k": (FEDAVG, {"codec": c.direct(c.rand_k(ratio=0.3))}),
    "sign flip": (FEDAVG, {"attack": dj.attacks.sign_flip(adversaries=2, strength=3.0)}),
    "alie": (FEDAVG, {"attack": dj.attacks.alie(adversaries=2)}),
    "trimmed": (
        FEDAVG,
        {"attack": dj.attacks.sign_flip(adversaries=2), "rule": dj.aggregation.trimmed_mean(f=2)},
    ),
    "median": (FEDAVG, {"rule": dj.aggregation.coordinate_median()}),
    "losses": (m.fedavg(lr=0.1, clients=3), {"faults": dj.faults.link_loss(p=0.7)}),
    "late": (FEDAVG, {"faults": dj.faults.delay(phases=(0, 2))}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [n if n == "qsgd" else pytest.param(n, marks=pytest.mark.slow) for n in WIRES])
def test_variances_stay_in_range_and_evaluations_finite(name):
    method, options = WIRES[name]
    history = dj.simulate(method, problem(), dj.Network(**options), rounds=ROUNDS, progress=False)
    var = np.asarray(history.params()["bn"]["var"])
    assert 0 < var.min() < 0.1 and var.max() > 10  # they follow the features, whose variances are 1e-4 to 100
    losses = np.array([record["loss/mean_model"] for record in history.records])
    assert len(losses) == ROUNDS + 1 and np.isfinite(losses).all()


@pytest.mark.slow
def test_statistics_travel_at_full_size_whatever_the_codec():
    for codec in (None, c.direct(c.rand_k(ratio=0.3))):
        meters = dj.rollout(FEDAVG, problem(), dj.Network(codec=codec), jax.random.key(0), 2)[1]
        assert meters.totals()["up/average/statistics"] == 2 * N * 16 * 32
    attacked = dj.Network(attack=dj.attacks.sign_flip(adversaries=2, strength=3.0))
    still = m.fedavg(lr=0.0)  # nothing but statistics moves
    ends = [dj.rollout(still, problem(), network, jax.random.key(0), 3)[0] for network in (dj.Network(), attacked)]
    jax.tree.map(np.testing.assert_array_equal, ends[0].statistics, ends[1].statistics)


def norm_after(given, node, batches):
    """Running mean and variance [8] of a node after some full batches, by hand."""
    x = np.asarray(given.data.arrays["x"], np.float64)[np.asarray(given.data.index[node])]
    mean, var = np.zeros(8), np.ones(8)
    for _ in range(batches):
        mean = MOMENTUM * mean + (1 - MOMENTUM) * x.mean(0)
        var = MOMENTUM * var + (1 - MOMENTUM) * x.var(0)
    return mean, var


@pytest.mark.slow
@pytest.mark.parametrize("server", [False, True])
def test_fedbn_in_one_line(server):
    """Scale, bias and statistics stay with the client: never sent, at a server neither, and each node's follow its own data."""
    given = problem({"bn": "personal"}, batch_size=None, personal_lr=0.1)
    method = m.fedavg(lr=0.1, clients=3) if server else m.dsgd(lr=0.1)
    network = dj.Network() if server else dj.Network(dj.topology.ring(N))
    end, meters = dj.rollout(method, given, network, jax.random.key(0), 2)
    model = engine.model(method, end)
    times = np.full(N, 0 if server else 2)
    if server:
        for t in range(2):
            times[np.asarray(floyd(fold_name(jax.random.fold_in(jax.random.key(0), t), "sample"), N, 3))] += 1
    for node in range(N):
        mean, var = norm_after(given, node, times[node])
        np.testing.assert_allclose(model["bn"]["mean"][node], mean, atol=1e-5)
        np.testing.assert_allclose(model["bn"]["var"][node], var, rtol=1e-5)
        moved = np.abs(np.asarray(model["bn"]["scale"][node]) - 1).max()
        assert (moved > 0) == (times[node] > 0)
    kernel = np.asarray(model["out"]["kernel"])
    assert (np.ptp(kernel, axis=0).max() == 0) == server  # at a server the rest is one model
    sent = meters.totals()
    assert not [name for name in sent if "statistics" in name]
    numbers = 8 * 2 + 2  # the last layer alone
    assert sent["up/sample/average" if server else "wire/gossip"] == 2 * (3 if server else 2 * N) * numbers * 32


@pytest.mark.slow
@pytest.mark.parametrize("server", [False, True])
def test_frozen_statistics_stay_as_they_start_and_own_ones_need_no_step(server):
    method, network = (FEDAVG, dj.Network()) if server else (m.dsgd(lr=0.1), dj.Network(dj.topology.ring(N)))
    given = problem({"bn/var": "frozen", "bn/mean": "personal"}, batch_size=None)
    model = engine.model(method, dj.rollout(method, given, network, jax.random.key(0), 3)[0])
    np.testing.assert_array_equal(model["bn"]["var"], np.ones((N, 8)))
    for node in range(N):
        np.testing.assert_allclose(model["bn"]["mean"][node], norm_after(given, node, 3)[0], atol=1e-5)


def test_what_a_user_says_wins_however_short_the_path():
    every = "bn/mean", "bn/var", "bn/scale", "out/kernel"
    of = lambda roles: {path: role_of(problem(roles).rules, path) for path in every}
    assert of(())["bn/mean"] == of({"*": "shared"})["bn/mean"] == of({"bn": "statistics"})["bn/mean"] == "statistics"
    assert of({"bn": "frozen"}) == dict.fromkeys(every, "frozen") | {"out/kernel": "shared"}
    assert of({"bn": "frozen", "bn/var": "shared"})["bn/var"] == "statistics"
    assert of({"bn": "personal"}) == {
        "bn/mean": "own_statistics", "bn/var": "own_statistics", "bn/scale": "personal", "out/kernel": "shared"
    }  # fmt: skip


def test_noise_at_a_server_is_refused_for_statistics_that_travel_alone():
    network = dj.Network(privacy=dj.privacy.gaussian_message(clip=1.0, noise_multiplier=0.1))
    with pytest.raises(dj.RefusedError, match="noise to variances"):
        engine.prepare(FEDAVG, problem(), network)
    engine.prepare(FEDAVG, problem({"bn": "personal"}, personal_lr=0.1), network)
    for roles in (), {"bn": "frozen"}, {"bn": "personal"}:
        kw = {"personal_lr": 0.1} if "personal" in dict(roles).values() else {}
        clip = dj.Network(privacy=dj.privacy.gaussian_gradient(clip=1.0, noise_multiplier=1.0))
        with pytest.raises(dj.RefusedError, match="batch statistics tie together"):
            engine.prepare(FEDAVG, problem(roles, **kw), clip)


@pytest.mark.slow
def test_fedbn_is_evaluated_and_resumes(tmp_path):
    given = problem({"bn": "personal"}, personal_lr=0.1)
    run = lambda rounds, **kw: dj.simulate(
        m.fedavg(lr=0.1, clients=3), given, None, rounds=rounds, progress=False, every=2, **kw
    )
    whole = run(4)
    run(2, out=tmp_path / "run")
    again = run(4, resume=tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, whole.params(), again.params())
    assert whole.params()["bn"]["var"].shape == (N, 8)
    assert jnp.isfinite(whole.last("loss/local"))
