"""Averages by groups, and who carries them: bytes, seconds, and what each kind refuses."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj

PROBLEM, MADE = zoo.squares()
N = zoo.N


@pytest.mark.slow
def test_one_cluster_is_fedavg():
    uneven = zoo.Uneven(starts="independent")
    x0 = np.tile(zoo.starts()[:1], (N, 1))
    for clients in (None, 3):
        kw = {"lr": 0.1, "local_steps": 2, "clients": clients}
        one, _ = zoo.run(dj.methods.ifca(clusters=1, **kw), uneven.problem, None, 6, x0)
        avg, _ = zoo.run(dj.methods.fedavg(**kw), uneven.problem, None, 6, x0)
        np.testing.assert_allclose(one.models["x"][0], avg.params["x"], rtol=0, atol=1e-14)


@pytest.mark.slow
def test_two_kinds_of_nodes_are_told_apart():
    """Nodes whose data follow one of two opposite linear models end in two groups, each at its own optimum."""
    rng = np.random.default_rng(0)
    kind, w = np.arange(12) % 2, rng.standard_normal(4)
    x = rng.standard_normal((12, 20, 4))
    y = np.einsum("nsd,nd->ns", x, np.where(kind[:, None], w, -w))
    clients = [(x[i], y[i]) for i in range(12)]
    data = dj.data.from_clients(clients)
    problem = dj.Problem(dj.tasks.from_functions(zoo.rows_init, zoo.rows_loss), data, starts="independent")
    state, meters = dj.rollout(dj.methods.ifca(lr=0.3, clusters=2), problem, None, jax.random.key(1), 100)
    choice = np.asarray(state.choice)
    assert (choice == choice[0])[kind == kind[0]].all() and (choice != choice[0])[kind != kind[0]].all()
    np.testing.assert_allclose(state.models["x"][choice[1]], w, atol=1e-6)
    bits = 4 * 64
    assert meters.totals()["up/average"] == 100 * 12 * bits and meters.totals()["down/average"] == 2 * 100 * 12 * bits


@pytest.mark.slow
def test_robust_rules_work_within_groups():
    """A median by group ignores the value of its group that is not finite."""
    from dejax.mixing import Star
    from dejax.round.context import Context
    from dejax.round.received import Received

    groups, value = np.array([0, 0, 0, 2, 2]), np.array([[1.0], [2.0], [np.inf], [5.0], [7.0]])
    member = groups[None] == np.arange(3)[:, None]
    share = jnp.asarray(member / np.maximum(member.sum(1, keepdims=True), 1))
    ctx = Context(None, None, None, None, links=Star(share))
    rule = dj.aggregation.coordinate_median()
    got = Received(ctx, rule, None, {"x": jnp.asarray(value)}, base=None, mask=jnp.asarray(member)).combine()
    assert np.asarray(got["x"]).shape == (3, 1)
    np.testing.assert_allclose(np.asarray(got["x"])[[0, 2], 0], [1.5, 6.0])


@pytest.mark.parametrize("rule", ["weighted_mean", pytest.param("coordinate_median", marks=pytest.mark.slow)])
def test_a_group_without_members_gets_zeros(rule):
    class Probe(dj.methods.fedavg):
        traits = dj.Traits(channel="server", groups=True)

        def step(self, state, round):
            value = {"x": jnp.ones((N, 4), jnp.float64)}
            got = round.average(value, groups=jnp.zeros((N,), jnp.int32), num_groups=2)
            return type(state)({"x": got["x"][1] + 2 * got["x"][0]})

    network = dj.Network(rule=getattr(dj.aggregation, rule)())
    state, _ = zoo.run(dj.struct(Probe)(lr=0.1), PROBLEM, network, 1, zoo.starts())
    np.testing.assert_allclose(state.params["x"], 2.0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["all_reduce", *(pytest.param(k, marks=pytest.mark.slow) for k in ("star", "shards"))])
def test_kinds_of_server_differ_in_bytes_and_seconds_alone(kind):
    clock = dj.faults.clock(gradient=1.0, latency=0.5, bandwidth=64.0, server_bandwidth=128.0)
    network = dj.Network(server=kind, clock=clock)
    state, meters = zoo.run(dj.methods.fedavg(lr=0.1), PROBLEM, network, 2, zoo.starts())
    plain, _ = zoo.run(dj.methods.fedavg(lr=0.1), PROBLEM, None, 2, zoo.starts())
    np.testing.assert_array_equal(state.params["x"], plain.params["x"])
    whole = 4 * 64
    part = whole - whole // N
    sent = whole if kind == "star" else part
    assert meters.totals()["up/average"] == meters.totals()["down/average"] == 2 * N * sent
    seconds = {
        "star": 1 + 2 * (0.5 + whole / 64) + 2 * N * whole / 128,
        "shards": 1 + 2 * (0.5 + part / 64),
        "all_reduce": 1 + 2 * (N - 1) * 0.5 + 2 * part / 64,
    }[kind]
    np.testing.assert_allclose(meters.seconds, [seconds, 2 * seconds], rtol=1e-6)


def test_sums_alone_refuse_what_needs_single_values():
    c = dj.compression
    for kw in (
        {"rule": dj.aggregation.coordinate_median()},
        {"codec": c.direct(c.top_k(k=2))},
        {"faults": dj.faults.link_loss(p=0.1)},
    ):
        with pytest.raises(dj.RefusedError, match="partial sums travel alone"):
            zoo.run(dj.methods.fedavg(lr=0.1), PROBLEM, dj.Network(server="all_reduce", **kw), 1)
    independent = zoo.Uneven(starts="independent").problem
    with pytest.raises(dj.RefusedError, match="averages by groups"):
        zoo.run(dj.methods.ifca(lr=0.1), independent, dj.Network(server="shards"), 1)
    with pytest.raises(dj.RefusedError, match="starts='independent'"):
        zoo.run(dj.methods.ifca(lr=0.1), PROBLEM, None, 1)
    with pytest.raises(dj.RefusedError, match="gossips over network.topology"):
        zoo.run(dj.methods.dsgd(lr=0.1), PROBLEM, dj.Network(zoo.ring(), server="all_reduce"), 1)
    with pytest.raises(ValueError, match="'star', 'shards' or 'all_reduce'"):
        dj.Network(server="ring")


@dj.struct
class Averages:
    """Holds one average of the squares of ids, with the weights and groups of its fields."""

    weight: float = 0.0
    groups: bool = dj.static(default=False)
    num_groups: Any = dj.static(default=None)
    traits = dj.Traits(channel="server", groups=True)

    def init(self, params, key):
        return {"params": params}

    def model(self, state):
        return state["params"]

    def step(self, state, round):
        x = state["params"]
        round.gradient(x)
        extra = {"groups": jnp.arange(round.n) % 2, "num_groups": self.num_groups} if self.groups else {}
        got = round.average({"x": x["x"] * 0 + round.ids[:, None] ** 2}, jnp.full(round.n, self.weight), **extra)
        got = got["x"][0] if self.groups else got["x"]
        return {"params": {"x": jnp.broadcast_to(got, x["x"].shape)}}


RULES = {
    "mean": dj.aggregation.weighted_mean(),
    "median": dj.aggregation.coordinate_median(),
    "trimmed": dj.aggregation.trimmed_mean(f=1),
}


@pytest.mark.parametrize("rule", RULES)
def test_an_average_of_no_weight_is_zero(rule):
    for weight, want in ((0.0, 0.0), (1.0, {"mean": 30 / 5, "median": 4, "trimmed": 14 / 3}[rule])):
        state, _ = zoo.run(Averages(weight=weight), PROBLEM, dj.Network(rule=RULES[rule]), 1)
        np.testing.assert_allclose(state["params"]["x"][0], np.full(zoo.D, want), rtol=1e-14, atol=0)


def test_the_number_of_groups_is_a_whole_number_of_any_kind():
    state, _ = zoo.run(Averages(1.0, True, np.int64(2)), PROBLEM, None, 1)
    np.testing.assert_allclose(state["params"]["x"][0], np.full(zoo.D, 20 / 3), rtol=1e-14)
    for number, error in ((0, ValueError), (None, TypeError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="round.average.num_groups is"):
            zoo.run(Averages(1.0, True, number), PROBLEM, None, 1)
