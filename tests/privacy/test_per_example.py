"""What a batch is under clipping per example: keys, learning rules, sizes; and what a run spends."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.core.random import fold_in
from dejax.data.sampling import Poisson
from dejax.privacy import accountant

CLIP = dj.privacy.gaussian_gradient(clip=1e6, noise_multiplier=0.0)
N, B = 400, 8


def flat(n=N, samples=B, **kw):
    """A problem whose samples are all alike: what differs between examples is their keys."""
    data = dj.data.from_clients([(np.ones((samples, 1)), np.zeros(samples)) for _ in range(n)])

    def loss(params, batch, key):
        return params["w"] * (batch["y"] + jax.random.normal(key, batch["y"].shape))

    return dj.Problem(dj.tasks.from_functions(lambda key: {"w": jnp.zeros(())}, loss), data, **kw)


def gradients(problem, privacy, key):
    """Of all nodes in one round: -w after a step of length 1."""
    state, _ = dj.rollout(dj.methods.local_only(lr=1.0), problem, dj.Network(privacy=privacy), key, 1)
    return -np.asarray(state.params["w"], np.float64)


@pytest.mark.slow
def test_every_example_draws_its_own_noise(key):
    """The mean over B examples of independent unit noises has variance 1/B, with clipping as without."""
    for privacy in (CLIP, None):
        got = gradients(flat(), privacy, key)
        assert abs(got.var() * B - 1) < 5 * math.sqrt(2 / N)
        assert abs(got.mean()) < 5 / math.sqrt(N * B)


@dj.struct
class Doubled(dj.LearningRule):
    """A learning rule whose direction is twice the gradient."""

    def direction(self, task, params, batch, key, memory):
        value, grad = jax.value_and_grad(task.loss)(params, batch, key)
        return value, jax.tree.map(lambda g: 2 * g, grad), memory


@pytest.mark.slow
def test_the_learning_rule_is_asked_for_every_example(key):
    one, two = (gradients(flat(20, **kw), CLIP, key) for kw in ({}, {"rule": Doubled()}))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-6)
    tight = dj.privacy.gaussian_gradient(clip=1e-3, noise_multiplier=0.0)
    assert np.abs(gradients(flat(20, rule=Doubled()), tight, key)).max() <= 1e-3 * (1 + 1e-5)  # clipped after the rule


def test_poisson_batches():
    """Each sample with its own probability, all that were drawn and no other, at any order of the nodes."""
    count, width, size = np.array([3, 20, 50]), 50, 6
    first = np.array([0, 3, 23])
    index = jnp.asarray(first[:, None] + np.minimum(np.arange(width), count[:, None] - 1), jnp.int32)
    sampler, draws = Poisson(size), 4000
    draw = jax.jit(lambda key: sampler.draw((), jnp.asarray(count), index, fold_in(key, jnp.arange(3)), None)[:2])
    rows, weight = jax.vmap(draw)(jax.random.split(jax.random.key(0), draws))
    rows, weight = np.asarray(rows), np.asarray(weight)
    assert rows.shape[2] == sampler.width(50) < 50
    sizes = weight.sum(2)
    rates = np.minimum(1, size / count)
    hits = np.zeros((draws, 73))
    for i in range(3):
        assert ((rows[:, i] >= first[i]) & (rows[:, i] < first[i] + count[i])).all()
        for t in range(draws):
            drawn = rows[t, i][weight[t, i] > 0]
            assert len(set(drawn)) == len(drawn)
            hits[t, drawn] += 1
    for i in range(3):
        own = hits[:, first[i] : first[i] + count[i]]
        assert (abs(own.mean(0) - rates[i]) < 5 * np.sqrt(rates[i] * (1 - rates[i]) / draws) + 1e-9).all()
        spread = np.sqrt(count[i] * rates[i] * (1 - rates[i]))
        assert abs(sizes[:, i].std() - spread) < 0.1 * spread + 1e-9  # binomial: samples are drawn on their own
    np.testing.assert_allclose(sampler.rates(count), rates, atol=1e-6)
    assert (sampler.rates(count) >= rates - 1e-9).all()
    np.testing.assert_allclose(sampler.expected(jnp.asarray(count)), [3, 6, 6])


@pytest.mark.slow
def test_poisson_sums_are_divided_by_the_expected_size(key):
    """Examples of gradient 1 each: the step is (number drawn) / B, whose mean is 1 and whose variance is (1 - q) / B."""
    data = dj.data.from_clients([(np.ones((32, 1)), np.ones(32)) for _ in range(N)])
    task = dj.tasks.from_functions(lambda key: {"w": jnp.zeros(())}, lambda p, batch, key: p["w"] * batch["y"])
    problem = dj.Problem(task, data, batch_size=B, sampling="poisson")
    got = gradients(problem, CLIP, key)
    assert abs(got.mean() - 1) < 5 * math.sqrt(0.75 / B / N)
    assert abs(got.var() / (0.75 / B) - 1) < 5 * math.sqrt(2 / N)
    np.testing.assert_allclose(gradients(problem, None, key)[got > 0], 1, rtol=1e-6)  # a mean of those drawn


def spent(method, problem, privacy=None, rounds=50, **network):
    privacy = dj.privacy.gaussian_gradient(1.0, 1.5) if privacy is None else privacy
    return dj.privacy_spent(method, problem, dj.Network(privacy=privacy, **network), rounds=rounds, delta=1e-5)


SWAP = dj.privacy.gaussian_gradient(1.0, 1.5, adjacency="replace_one")


@pytest.mark.slow
def test_a_run_is_accounted_by_its_problem_and_method():
    fedavg, local = dj.methods.fedavg, dj.methods.local_only
    data = zoo.Uneven(5).problem.data
    task = zoo.Uneven(5).problem.task
    full = dj.Problem(task, data)
    one = spent(local(lr=0.1), full)
    assert one.guarantee and one.epsilon == pytest.approx([accountant.gaussian_epsilon(1.5, 50, 1e-5)] * 5)
    many = spent(fedavg(lr=0.1, local_steps=4), full)
    assert many.per_round == 4 and many.epsilon == pytest.approx([accountant.gaussian_epsilon(1.5, 200, 1e-5)] * 5)

    poisson = dj.Problem(task, data, batch_size=2, sampling="poisson")
    got = spent(fedavg(lr=0.1, local_steps=4), poisson)
    want = [accountant.epsilon(1.5, 200, q, 1e-5) for q in (1, 1, 2 / 3, 0.5, 0.4)]
    assert got.guarantee and got.epsilon == pytest.approx(want, rel=1e-5)

    few = spent(fedavg(lr=0.1, local_steps=4, clients=1), poisson)  # one node of five a round: 1 - p + p M^4
    a, p = np.asarray(accountant.ORDERS), 0.2
    moment = np.logaddexp(np.log(1 - p), np.log(p) + 4 * (a - 1) * accountant.rdp(1.5, 0.5)) / (a - 1)
    assert few.clients == 0.2 and few.epsilon[3] == pytest.approx(accountant.converted(50 * moment, a, 1e-5))
    assert (few.epsilon < got.epsilon).all()

    epoch = dj.Problem(task, data, batch_size=2, sampling="epoch")
    got = spent(fedavg(lr=0.1, local_steps=4), epoch, SWAP)
    assert got.epsilon == pytest.approx([accountant.gaussian_epsilon(0.75, 200 // k, 1e-5) for k in (1, 1, 2, 2)] + [
        accountant.gaussian_epsilon(0.75, 67, 1e-5)])  # 200 batches of 3 an epoch  # fmt: skip

    message = dj.privacy.gaussian_message(1.0, 3.0)
    tracked = spent(dj.methods.gradient_tracking(lr=0.1), full, message, topology=zoo.ring())
    assert tracked.per_round == 2 and tracked.epsilon[0] == pytest.approx(accountant.gaussian_epsilon(1.5, 100, 1e-5))


def test_what_has_no_guarantee_says_so():
    base = zoo.Uneven(5).problem
    problem = lambda sampling: dj.Problem(base.task, base.data, batch_size=2, sampling=sampling)
    for sampling, privacy, why in (
        ("replacement", None, "may enter a batch twice"),
        ("epoch", None, "adjacency='replace_one'"),
        ("poisson", SWAP, "adjacency='add_remove'"),
    ):
        got = spent(dj.methods.local_only(lr=0.1), problem(sampling), privacy)
        assert not got.guarantee and np.isinf(got.epsilon).all() and why in got.words
    with pytest.raises(dj.RefusedError, match="Ifca acts on raw losses"):
        spent(dj.methods.ifca(lr=0.1), dj.Problem(base.task, base.data, starts="independent"))
    with pytest.raises(dj.FieldError, match="network.privacy is None"):
        dj.privacy_spent(dj.methods.local_only(lr=0.1), base, dj.Network(), rounds=1, delta=1e-5)


@dj.struct
class Twice(dj.methods.local_only):
    """Two gradients of one batch in a round."""

    def step(self, state, round):
        batch = round.batch()
        round.gradient(state.params, batch, name="first")
        round.gradient(state.params, batch, name="second")
        return state


@dj.struct
class Peeks(dj.methods.local_only):
    """Looks at raw losses."""

    traits = dj.Traits(channel="none", raw_losses=True)

    def step(self, state, round):
        round.loss(state.params, round.batch())
        return state


def test_methods_of_ones_own():
    """Two looks at one Poisson batch are one mechanism of noise s / sqrt(2); raw losses are refused."""
    base = zoo.Uneven(5).problem
    problem = dj.Problem(base.task, base.data, batch_size=2, sampling="poisson")
    got = spent(Twice(lr=0.1), problem)
    assert got.epsilon[3] == pytest.approx(accountant.epsilon(1.5 / math.sqrt(2), 50, 0.5, 1e-5), rel=1e-5)
    with pytest.raises(dj.RefusedError, match="Peeks acts on raw losses"):
        spent(Peeks(lr=0.1), problem)
