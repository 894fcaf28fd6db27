"""What a receiver did not use, counted by hand: lost, rejected, hostile and honest apart."""

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj

N = 5
PROBLEM, _ = zoo.squares(N, 1)
X = np.array([[0.0], [1.0], [2.0], [4.0], [100.0]])  # node 4 is hostile below


def audited(rule=None, rounds=1, x0=X, method=None, problem=PROBLEM, **kw):
    network = dj.Network(dj.topology.complete(N).astype("float64"), rule=rule, audit=True, **kw)
    method = dj.methods.dsgd(lr=0.0) if method is None else method
    _, meters = zoo.run(method, problem, network, rounds, x0)
    return {name: float(np.asarray(v)[0]) for name, v in meters.values.items() if name.startswith("audit/")}


@dj.struct
class Loyal(dj.Attack):
    """Adversaries by name, who change nothing."""

    adversaries: tuple = dj.static()
    hook = "message"

    def is_adversary(self, n):
        return np.isin(np.arange(n), self.adversaries)

    def message(self, ctx, own, sent):
        del ctx, own
        return sent, None

    def server(self, ctx, sent, is_adversary):
        del ctx, is_adversary
        return sent


def test_nearest_neighbors_by_hand():
    """Of 4 received values the furthest goes: always node 4's, at honest receivers."""
    got = audited(dj.aggregation.nna(f=1), attack=Loyal((4,)))
    assert got == {
        "audit/lost": 0.0,
        "audit/rejected": 0.25,
        "audit/rejected_hostile": 1.0,
        "audit/rejected_honest": 0.0,
    }
    got = audited(dj.aggregation.nna(f=2), attack=Loyal((4,)))  # beside it the one furthest of three honest ones
    np.testing.assert_allclose([got["audit/rejected"], got["audit/rejected_honest"]], [0.5, 1 / 3], rtol=1e-6)


@pytest.mark.slow
def test_coordinate_wise_rules_by_hand():
    """Of 0, 1, 2, 4, 100 trimming one at each end keeps 1, 2, 4, the median 2 alone; nodes 0 to 3 judge."""
    got = audited(dj.aggregation.trimmed_mean(f=1), attack=Loyal((4,)))
    assert got["audit/rejected_hostile"] == 1.0
    np.testing.assert_allclose(got["audit/rejected_honest"], 3 / 12)  # node 0's value, by nodes 1, 2 and 3
    np.testing.assert_allclose(got["audit/rejected"], 7 / 16)
    got = audited(dj.aggregation.coordinate_median(), attack=Loyal((4,)))
    np.testing.assert_allclose(got["audit/rejected_honest"], 9 / 12)  # node 2's is kept by nodes 0, 1 and 3
    wide = np.concatenate([X, X[::-1]], 1)  # the other way round in a second coordinate
    problem, _ = zoo.squares(N, 2)
    got = audited(dj.aggregation.trimmed_mean(f=1), x0=wide, problem=problem)
    np.testing.assert_allclose(got["audit/rejected"], 0.5 * (8 / 20 + 8 / 20), rtol=1e-6)
    assert set(got) == {"audit/lost", "audit/rejected"}


@pytest.mark.slow
def test_what_is_not_finite_or_never_arrives():
    bad = X.copy()
    bad[4] = np.nan
    got = audited(dj.aggregation.coordinate_median(), x0=bad, attack=Loyal((4,)))
    assert got["audit/rejected_hostile"] == 1.0
    got = audited(faults=dj.faults.link_loss(p=1.0))
    assert got == {"audit/lost": 1.0, "audit/rejected": 0.0}
    got = audited(attack=Loyal((4,)))  # the mean takes everything
    assert got == dict.fromkeys(got, 0.0) and len(got) == 4


@pytest.mark.slow
def test_a_server_and_rows_per_edge():
    network = dj.Network(rule=dj.aggregation.trimmed_mean(f=1), attack=Loyal((4,)), audit=True)

    class Probe(dj.methods.fedavg):
        def step(self, state, round):
            round.average({"x": jnp.asarray(X)})
            return state

    _, meters = zoo.run(dj.struct(Probe)(lr=0.1), PROBLEM, network, 1, X)
    got = {k: float(np.asarray(v)[0]) for k, v in meters.values.items() if k.startswith("audit/")}
    np.testing.assert_allclose(got["audit/rejected"], 2 / 5)
    assert got["audit/rejected_hostile"] == 1.0 and got["audit/rejected_honest"] == 0.25
    chain = dj.Network(dj.topology.chain(N).astype("float64"), faults=dj.faults.link_loss(p=1.0), audit=True)
    _, meters = zoo.run(dj.methods.relaysgd(lr=0.1), PROBLEM, chain, 1, X)
    assert float(meters.values["audit/lost"][0]) == 1.0 and "audit/rejected" not in meters.values


@pytest.mark.slow
def test_shares_of_several_exchanges_are_of_all_their_messages():
    class Probe(dj.methods.dsgd):
        def step(self, state, round):
            far = jax.tree.map(lambda x: 0 * x, state.params)
            round.repeat(3, lambda r, x: r.gossip(x), far)  # equal values: one of four goes
            round.gossip(state.params)
            return state

    got = audited(dj.aggregation.nna(f=1), method=dj.struct(Probe)(lr=0.0), attack=Loyal((4,)))
    # ties of the three calls go to the lower slot, so the last is left out: node i's slot 3 is node i + 4 (mod 5)
    hostile_last = sum((i + 4) % 5 == 4 for i in range(4))
    np.testing.assert_allclose(got["audit/rejected_hostile"], (3 * hostile_last + 4) / 16, rtol=1e-6)
    np.testing.assert_allclose(got["audit/rejected"], 0.25, rtol=1e-6)


def test_it_costs_nothing_when_off_and_is_refused_where_nothing_can_be_left_out():
    _, meters = zoo.run(dj.methods.dsgd(lr=0.0), PROBLEM, zoo.ring(), 1, X)
    assert not any(name.startswith("audit") for name in meters.values)
    with pytest.raises(dj.RefusedError, match="sends none"):
        dj.Network(audit=True).check(dj.methods.local_only(lr=0.1), PROBLEM)

    @dj.struct
    class Silent(dj.Rule):
        linear, needs_own = False, False

        def check(self, degree, server=False):
            pass

        def combine(self, ctx, received):
            return received.mix()

    with pytest.raises(dj.RefusedError, match=r"rejected\(ctx, received\)"):
        dj.Network(zoo.ring(), rule=Silent(), audit=True).check(dj.methods.dsgd(lr=0.1), PROBLEM)


@pytest.mark.slow
def test_the_numbers_are_columns_of_records():
    network = dj.Network(zoo.ring(), rule=dj.aggregation.nna(f=1), attack=Loyal((4,)), audit=True)
    history = dj.simulate(
        dj.methods.dsgd(lr=0.1), PROBLEM, network, rounds=4, every=2, metrics=["consensus"], progress=False
    )
    assert 0 < history.last("audit/rejected_hostile") <= 1
