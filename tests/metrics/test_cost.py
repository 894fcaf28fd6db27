"""Operations against counts by hand, joules against the record."""

import typing
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

import dejax as dj
from dejax import metrics
from dejax.metrics import _cost
from dejax.runs.simulate import simulate
from dejax.xla.flops import flops

BATCH, SIZES = 16, (64, 32, 10)


def products(rows, sizes, backward):
    """2 m n k of every product: forward, and by weights and (but for the first layer) by inputs."""
    out = 0
    for layer, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        passes = 1 + (1 + (layer > 0)) * backward
        out += passes * 2 * rows * a * b
    return out


@pytest.fixture(scope="module")
def digits():
    return dj.data.digits().partition(dj.data.iid(), nodes=4, seed=0)


@pytest.mark.parametrize("batch_size", [BATCH, None])
def test_a_perceptron_against_a_count_by_hand(digits, batch_size):
    problem = dj.Problem(dj.tasks.mlp(hidden=[32]), digits, batch_size=batch_size)
    rows = batch_size or round(1438 / 4)
    gradient, forward = _cost.work(problem)
    by_hand = products(rows, SIZES, True), products(rows, SIZES, False)
    assert by_hand[0] <= gradient <= 1.07 * by_hand[0]  # beside products: sums, losses and activations
    assert by_hand[1] <= forward <= 1.07 * by_hand[1]


def test_loops_count_as_often_as_they_run():
    x = jnp.ones((8, 8), jnp.float32)
    one = 2 * 8**3
    loop = lambda length, body: lambda x: jax.lax.scan(lambda c, _: (body(c), None), x, None, length=length)[0]
    seven, nested = loop(7, lambda c: c @ x), loop(5, loop(3, lambda c: c @ x))
    for fn, passes in ((lambda c: c @ x, 1), (seven, 7), (nested, 15), (jax.jit(nested), 15)):
        assert passes * one <= flops(fn, x) <= passes * (one + 4)  # and the loop's own counter
    gradient = flops(jax.grad(lambda w: loop(5, lambda c: c @ w)(x).sum()), x)
    assert 3 * 5 * one <= gradient <= 1.1 * 3 * 5 * one


@pytest.mark.slow
def test_a_recurrent_model_costs_as_many_steps_as_it_has():
    """Twice the text, twice the operations: its loop over letters counts in full."""
    text = np.random.default_rng(0).integers(0, 12, (32, 33)).astype(np.int32)

    def gradient(length):
        data = dj.data.from_arrays(text[:, :length], text[:, 1 : length + 1], num_classes=12)
        data = data.partition(dj.data.iid(), nodes=2, seed=0)
        return _cost.work(dj.Problem(dj.tasks.lstm(), data, batch_size=4))[0]

    np.testing.assert_allclose(gradient(32) / gradient(16), 2, rtol=0.02)


def test_records_hold_what_was_counted_times_what_one_costs():
    method, problem, network = toy.experiment()
    joules = partial(metrics.energy, device=2e-9, link=(2e-6, 1e-6))
    h = simulate(method, problem, network, 6, metrics=["flops", joules], every=2, progress=False)
    one = _cost.work(problem)[0]
    for r in h.records:
        assert r["flops"] == one * r.get("gradients", 0) == 6 * r["flops/node"]
        np.testing.assert_allclose(r["joules/compute"], 2e-9 * r["flops"])
        np.testing.assert_allclose(r["joules/messages"], 3e-6 * r["bytes"])
        np.testing.assert_allclose(r["joules"], r["joules/compute"] + r["joules/messages"])
        np.testing.assert_allclose(r["joules"], 6 * r["joules/node"])
    assert [r["flops"] > 0 for r in h.records] == [False, True, True, True]
    assert h.to_target("loss", 1e9, by="joules")[0] == h.records[1]["joules"]
    assert h.series("flops", by="flops")[0][0] == 0


def test_forward_passes_and_products_have_prices_of_their_own():
    _, problem, _ = toy.experiment()
    gradient, forward = _cost.work(problem)
    view = partial(metrics.View, {"w": jnp.ones((6, 3, 4)), "b": jnp.ones((6, 4))}, problem)
    assert metrics.flops(view(counted={"forwards": 5}))["flops"] == 5 * forward
    assert metrics.flops(view(counted={"products": 5}))["flops"] == 10 * gradient
    assert metrics.flops(view(counted={"public_gradients": 5, "gradients": 1}))["flops"] == 6 * gradient


@pytest.mark.slow
def test_other_learning_rules_and_several_architectures(digits):
    problem = partial(dj.Problem, dj.tasks.mlp(hidden=[32]), digits, batch_size=BATCH)
    gradient, forward = _cost.work(problem())
    rule = dj.learning_rules.evolution(sigma=0.1)
    assert _cost.work(problem(rule=rule))[0] > 2 * forward  # which evaluates losses at several points
    small, large = dj.tasks.mlp(hidden=[8]), dj.tasks.mlp(hidden=[32])
    task = dj.tasks.architectures({"small": small, "large": large}, {"small": 3, "large": 1})
    mixed = _cost.work(dj.Problem(task, digits, batch_size=BATCH))[0]
    little = _cost.work(dj.Problem(small, digits, batch_size=BATCH))[0]
    np.testing.assert_allclose(mixed, (3 * little + gradient) / 4)


MODEL = 16 * 8  # bytes of the toy's model: 3 x 4 weights and 4 biases in float64
UP, DOWN = 438.39 * 8e-9, 51.97 * 8e-9  # LTE: mW per Mbit/s are 1e-9 joules a bit
ROUNDS = 3


def messages(method, network, **how):
    joules = partial(metrics.energy, device=1e-12, **how)
    h = simulate(method, toy.problem(), network, ROUNDS, metrics=[joules], every=ROUNDS, progress=False)
    return h.records[-1]


@pytest.mark.parametrize(
    ("network", "sent", "received"),
    [
        (dj.Network(), 6, 6),  # six phones send a model and get one; the server's ends are no phones
        # five sixths of each model's 1,024 bits (a sixth is 170) are sent twice, and arrive at phones
        (dj.Network(server="all_reduce"), 2 * 6 * 854 / 1024, 2 * 6 * 854 / 1024),
    ],
)
def test_a_server_spends_nothing_unless_nodes_hold_it(network, sent, received):
    r = messages(dj.methods.fedavg(lr=0.1), network, link="lte")
    np.testing.assert_allclose(r["joules/messages"], ROUNDS * MODEL * (sent * UP + received * DOWN), rtol=1e-12)
    np.testing.assert_allclose(6 * r["joules/node"], r["joules"], rtol=1e-12)
    assert "joules/server" not in r


def test_messages_between_nodes_are_paid_at_both_ends():
    r = messages(dj.methods.dsgd(lr=0.1), dj.Network(dj.topology.ring(6)), link="lte")
    np.testing.assert_allclose(r["joules/messages"], ROUNDS * MODEL * 12 * (UP + DOWN), rtol=1e-12)


def test_a_server_with_a_price_is_no_node():
    r = messages(dj.methods.fedavg(lr=0.1), dj.Network(), link="lte", server=(2e-6, 1e-6))
    at_server = ROUNDS * MODEL * 6 * 3e-6
    np.testing.assert_allclose(r["joules/server"], at_server, rtol=1e-12)
    np.testing.assert_allclose(r["joules/messages"], ROUNDS * MODEL * 6 * (UP + DOWN) + at_server, rtol=1e-12)
    np.testing.assert_allclose(6 * r["joules/node"], r["joules"] - at_server, rtol=1e-12)


def test_methods_that_gossip_and_meet_at_a_server():
    """One round of gossip on a ring, then one average at the server."""
    method = dj.methods.gossip_pga(lr=0.1, every=2)
    joules = partial(metrics.energy, device=1e-12, link=(1.0, 100.0))
    h = simulate(method, toy.problem(), dj.Network(dj.topology.ring(6)), 2, metrics=[joules], every=1, progress=False)
    one, two = (r["joules/messages"] for r in h.records[1:])
    np.testing.assert_allclose(sorted([one, two - one]), [6 * MODEL * 101, 12 * MODEL * 101], rtol=1e-12)


def test_devices_and_links_are_those_that_can_be_named():
    assert set(typing.get_args(_cost.Device)) == set(_cost.DEVICES)
    assert set(typing.get_args(_cost.Link)) == set(_cost.LINKS)
    said = metrics.energy.__doc__
    for value, _ in _cost.DEVICES.values():
        assert f"{value:.2e}".replace("e-0", "e-") in said
    for pair, _ in _cost.LINKS.values():
        assert "({})".format(", ".join(f"{value:.2e}".replace("e-0", "e-") for value in pair)) in said


def test_what_has_no_price_is_refused():
    _, problem, _ = toy.experiment()
    view = metrics.View({"w": jnp.ones((6, 3, 4)), "b": jnp.ones((6, 4))}, problem)
    for how, says in (
        ({"device": "toaster", "link": "lte"}, "device is 'toaster'; give 'a100'"),
        (
            {"device": "a100", "link": 1e-6},
            r"link is 1e-06; give \(up, down\), joules per byte sent and per byte received",
        ),
        ({"device": "a100", "link": (1e-6,)}, r"link is \(1e-06,\); give \(up, down\)"),
        ({"device": "a100", "link": (1e-6, -1)}, r"link\[1\] is -1; give a finite number >= 0"),
        ({"device": "a100", "link": "5g"}, "link is '5g'; give 'lte', 'wifi', or"),
        ({"device": "a100", "link": "lte", "server": (0, float("nan"))}, r"server\[1\] is nan"),
    ):
        with pytest.raises(ValueError, match=says):
            metrics.energy(view, **how)
    held = metrics.View({"w": jnp.ones((6, 3, 4)), "b": jnp.ones((6, 4))}, problem, dj.Network(server="shards"))
    with pytest.raises(ValueError, match="network.server is 'shards', whose ends are all nodes'"):
        metrics.energy(held, device="a100", link="lte", server="lte")
    world = dj.data.cells(4).partition(dj.data.iid(), nodes=4, seed=0)
    acting = dj.Problem(dj.tasks.grid_walk(), world, source=dj.experience.acting(steps=4))
    with pytest.raises(ValueError, match="source of experience"):
        _cost.work(acting)
