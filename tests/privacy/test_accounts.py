"""Accounts that read the run: batches without replacement, epochs, and epsilon as a column of records."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.core.random import fold_in
from dejax.data.sampling import Epoch, WithoutReplacement
from dejax.privacy import accountant

SWAP = dj.privacy.gaussian_gradient(1.0, 1.5, adjacency="replace_one")
ADD = dj.privacy.gaussian_gradient(1.0, 1.5)


def by_hand(a, s, q):
    """Theorem 9 at a whole order, term by term in Python's whole numbers and floats."""
    moment = 1 + q**2 * math.comb(a, 2) * min(4 * math.expm1(1 / s**2), 2 * math.exp(1 / s**2))
    moment += sum(2 * q**j * math.comb(a, j) * math.exp((j - 1) * j / (2 * s**2)) for j in range(3, a + 1))
    return math.log(moment) / (a - 1)


@pytest.mark.parametrize(("q", "s"), [(0.01, 1.0), (0.1, 2.0), (0.3, 4.0)])
def test_without_replacement_by_hand(q, s):
    orders = [2, 3, 5, 8]
    want = [min(by_hand(a, s, q), a / (2 * s**2)) for a in orders]
    np.testing.assert_allclose(accountant.rdp_without_replacement(s, q, orders), want, rtol=1e-12)
    middle = ((2 - 1) * by_hand(2, s, q) + (3 - 1) * by_hand(3, s, q)) / 2 / (2.5 - 1)
    got = accountant.rdp_without_replacement(s, q, [2.5])[0]
    assert got == pytest.approx(min(middle, 2.5 / (2 * s**2)), rel=1e-12)


def test_without_replacement_lies_between_poisson_and_no_sampling():
    """Of the same noise; at the ends it is no mechanism, and the plain one."""
    orders = np.asarray(accountant.ORDERS)
    for q, s in ((0.01, 1.0), (0.2, 0.5), (0.5, 5.0)):
        got = accountant.rdp_without_replacement(s, q)
        assert (accountant.rdp(s, q) <= got * (1 + 1e-12)).all() and (got <= orders / (2 * s**2)).all()
    assert not accountant.rdp_without_replacement(1.0, 0.0).any()
    np.testing.assert_array_equal(accountant.rdp_without_replacement(1.0, 1.0), orders / 2)
    assert np.isinf(accountant.rdp_without_replacement(0.0, 0.5)).all()


def test_without_replacement_against_a_library():
    """Not below dp-accounting, which strengthens the terms from the third on; at order 2 the same."""
    pytest.importorskip("dp_accounting", reason="NOT CHECKED against a library: pip install dp-accounting==0.6.0")
    from dp_accounting import GaussianDpEvent, NeighboringRelation, SampledWithoutReplacementDpEvent
    from dp_accounting.rdp import RdpAccountant

    orders = [2, 3, 4, 6, 8.5, 16, 32]
    for q, s in ((0.01, 1.0), (0.05, 2.0)):
        event = SampledWithoutReplacementDpEvent(10_000, int(q * 10_000), GaussianDpEvent(s))
        library = RdpAccountant(orders, NeighboringRelation.REPLACE_ONE).compose(event, 1)._rdp
        mine = accountant.rdp_without_replacement(s, q, orders)
        assert mine[0] == pytest.approx(library[0], rel=1e-9)
        assert (np.minimum(library, np.asarray(orders) / (2 * s**2)) <= mine * (1 + 1e-9)).all()
        assert (mine <= 2 * library).all()


@pytest.mark.slow
def test_batches_without_replacement():
    """Distinct samples of the node, each as often as any other; all of a node that has fewer."""
    count, size, draws = jnp.asarray([3, 20, 50], jnp.int32), 6, 3000
    first = np.array([0, 3, 23])
    index = jnp.asarray(first[:, None] + np.minimum(np.arange(50), np.asarray(count)[:, None] - 1), jnp.int32)
    sampler = WithoutReplacement(size)
    rows, weight = jax.vmap(lambda key: sampler.draw((), count, index, fold_in(key, jnp.arange(3)), None)[:2])(
        jax.random.split(jax.random.key(0), draws)
    )
    rows, weight = np.asarray(rows), np.asarray(weight)
    np.testing.assert_array_equal(weight.sum(2), np.tile([3, 6, 6], (draws, 1)))
    hits = np.zeros((3, 73))
    for i in range(3):
        mine = np.where(weight[:, i] > 0, rows[:, i], -1)
        assert all(len(set(row[row >= 0])) == min(size, count[i]) for row in mine)
        hits[i] = np.bincount(mine[mine >= 0], minlength=73) / draws
        own, q = hits[i, first[i] : first[i] + int(count[i])], min(1, size / int(count[i]))
        assert own.sum() == pytest.approx(min(size, int(count[i])))
        assert (abs(own - q) <= 5 * math.sqrt(q * (1 - q) / draws) + 1e-9).all()
    even = dj.Problem(zoo.squares()[0].task, zoo.squares()[0].data, batch_size=1, sampling="without_replacement")
    assert even.sampler.even


def spent(problem, privacy, method=None, rounds=50, **network):
    method = dj.methods.local_only(lr=0.1) if method is None else method
    return dj.privacy_spent(method, problem, dj.Network(privacy=privacy, **network), rounds=rounds)


def test_a_run_without_replacement_is_accounted():
    zoo_ = zoo.Uneven(5, batch_size=2, sampling="without_replacement").problem
    got = spent(zoo_, SWAP, dj.methods.fedavg(lr=0.1, local_steps=3))
    a = np.asarray(accountant.ORDERS)
    want = [accountant.gaussian_epsilon(0.75, 150, 1e-5)] * 2
    want += [accountant.converted(150 * accountant.rdp_without_replacement(0.75, 2 / c), a, 1e-5) for c in (3, 4, 5)]
    assert got.guarantee and got.epsilon == pytest.approx(want)
    assert "replaced" in got.words and got.adjacency == "replace_one"
    no = spent(zoo_, ADD)
    assert not no.guarantee and "replace_one" in no.words and "fixed size" in no.words


@dj.struct
class Twice:
    """Two gradients of one batch in every round."""

    def init(self, params, key):
        return dj.methods.local_only(lr=0.1).init(params, key)

    def step(self, state, round):
        batch = round.batch()
        one = round.gradient(state.params, batch, name="one")
        two = round.gradient(state.params, batch, name="two")
        move = lambda x, a, b: x - 0.1 * (a + b)
        return state._replace(params=jax.tree.map(move, state.params, one, two))

    traits = dj.Traits(channel="none")


def test_an_epoch_in_which_a_batch_is_used_twice():
    """Two mechanisms for each example and epoch, and a begun epoch counts as a whole: 5 rounds of 20 batches are 2, not 1."""
    problem = zoo.Uneven(40, batch_size=2, sampling="epoch").problem
    got = spent(problem, SWAP, Twice(), rounds=5)
    assert got.epsilon[39] == accountant.gaussian_epsilon(0.75, 2, 1e-5)
    assert got.epsilon[0] == accountant.gaussian_epsilon(0.75, 10, 1e-5)


@pytest.mark.parametrize("local_steps", [1, 3])
def test_epochs_touch_every_example_once(local_steps):
    """What the account of epochs rests on: K local steps and rounds advance one cursor."""
    count, size = jnp.asarray([5, 7], jnp.int32), 2
    index, sampler = jnp.tile(jnp.arange(7, dtype=jnp.int32), (2, 1)), Epoch(size)
    memory, keys = sampler.init(2), jax.random.split(jax.random.key(3), 2)
    seen = []
    for _ in range(4 * local_steps):
        rows, weight, memory = sampler.draw(memory, count, index, keys, keys)
        seen.append(np.where(np.asarray(weight) > 0, np.asarray(rows), -1))
    for i, (samples, batches) in enumerate(((5, 3), (7, 4))):
        for e in range(len(seen) // batches):
            drawn = np.concatenate([s[i] for s in seen[e * batches : (e + 1) * batches]])
            assert sorted(drawn[drawn >= 0]) == list(range(samples))


@dj.struct
class Laplace(dj.Privacy):
    """A mechanism of a user's own, whose noise has a multiplier and is not Gaussian."""

    noise_multiplier: float = 1.0

    def message(self, ctx, value):
        return value, value, value


def test_what_nobody_knows_has_no_guarantee():
    problem = zoo.Uneven(5).problem
    own = spent(problem, Laplace(), dj.methods.dsgd(lr=0.1), topology=zoo.ring())
    assert not own.guarantee and "Laplace does not say gaussian = True" in own.words and np.isinf(own.epsilon).all()
    none = spent(problem, dataclasses.replace(ADD, noise_multiplier=0.0))
    assert none.words == "no guarantee: no noise is added"
    events = spent(problem, ADD, dj.methods.dsgd(lr=0.1, order="awc"), topology=zoo.ring(), events=dj.events.poisson())
    assert "timetable" in events.words


def run(network, seed=0, **kw):
    problem = zoo.Uneven(5, batch_size=2, sampling="poisson").problem
    return dj.simulate(
        dj.methods.fedavg(lr=0.05, local_steps=2), problem, network, rounds=6, every=3, seed=seed, progress=False, **kw
    )


def test_epsilon_is_a_column(tmp_path):
    """At every evaluation what the worst node has spent so far; in files, table, and after a resume."""
    network = dj.Network(privacy=dataclasses.replace(ADD, delta=1e-4))
    history = run(network, out=tmp_path / "run")
    rounds, values = history.series("epsilon")
    want = [accountant.epsilon(1.5, 2 * int(t), 1.0, 1e-4) for t in rounds]
    assert rounds.tolist() == [0, 3, 6] and values[0] == pytest.approx(want) and values[0, 0] == 0
    assert "epsilon" in str(history.table()) and "delta 0.0001" in str(history.table())
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["epsilon"] for line in lines] == pytest.approx(want)
    assert "one example of a node added or removed" in (tmp_path / "run" / "run.json").read_text()
    more = history.continue_(3)
    assert more.last("epsilon") == pytest.approx(accountant.epsilon(1.5, 18, 1.0, 1e-4))


@pytest.mark.slow
def test_no_guarantee_is_printed(tmp_path):
    """Also of several seeds, read from files, and without making the run look broken."""
    history = run(dj.Network(privacy=dataclasses.replace(ADD, noise_multiplier=0.0)), seed=[0, 1], out=tmp_path / "run")
    read = dj.report.load(tmp_path / "run")
    for one in (history, read):
        text = str(one.table())
        assert "no guarantee: no noise is added" in text and " no guarantee " in text.split("\n")[2]
        assert one.facts["fedavg"]["status"] == "done"
    assert "no guarantee" in (tmp_path / "run" / "report.html").read_text()
    assert "epsilon" not in run(dj.Network()).names


def test_runs_of_a_sweep_have_accounts_of_their_own():
    problem = zoo.Uneven(5, batch_size=2, sampling="poisson").problem
    grid = {f"s{s:g}": dj.Network(privacy=dataclasses.replace(ADD, noise_multiplier=s)) for s in (1.0, 2.0)}
    history = dj.compare(
        {k: (dj.methods.fedavg(lr=0.05), problem, net) for k, net in grid.items()}, rounds=4, progress=False
    )
    for s in (1.0, 2.0):
        assert history.last("epsilon", f"s{s:g}") == pytest.approx(accountant.epsilon(s, 4, 1.0, 1e-5))
