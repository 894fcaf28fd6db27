"""Verbs beyond gradients and means: forward passes, weights, parts, uploads, chosen neighbors."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.core.method import Traits

N, D = zoo.N, 4
X0 = zoo.starts()
PROBLEM, MADE = zoo.squares()
RING = zoo.ring()
W = RING.matrix()
OWN = Traits(weights=("doubly", "row"), needs_sums="it weighs by itself")
VALUE = {"x": jnp.asarray(X0)}  # of every node another, as a server starts all from one model


def once(step, network=None, problem=PROBLEM, traits=None, rounds=1, x0=X0, **names):
    """(state, meters) after rounds of a method `step(x, round) -> (x, *seen)`."""

    @dj.struct
    class State:
        params: Any
        seen: Any

    class Probe:
        def init(self, params, key):
            return State(params, tuple(jnp.zeros(shape, dtype) for shape, dtype in names.get("seen", ())))

        def step(self, state, round):
            params, *seen = step(state.params, round)
            return State(params, tuple(seen))

    Probe.traits = Traits(weights=("doubly", "row")) if traits is None else traits
    return zoo.run(dj.struct(Probe)(), problem, network, rounds, x0)


def test_a_forward_pass_is_the_function_at_every_node():
    batchless = lambda p, b, key, c: {"s": p["x"].sum() * c, "rows": jnp.float64(b["i"].shape[0])}

    def step(x, round):
        out = round.forward(batchless, x, jnp.arange(1.0, N + 1))
        return x, out["s"], out["rows"]

    seen = [((N,), jnp.float64), ((N,), jnp.float64)]
    state, meters = once(step, traits=Traits(channel="none", raw_losses=True), seen=seen, problem=_indexed())
    np.testing.assert_allclose(state.seen[0], X0.sum(1) * np.arange(1, N + 1), rtol=1e-12)
    np.testing.assert_array_equal(state.seen[1], 2)
    assert meters.totals()["forwards"] == N and "gradients" not in meters.totals()


def _indexed(public=None):
    """Each node holds two rows {"i": ...}; a model is x [4]."""
    index = np.arange(2 * N, dtype=np.int32).reshape(N, 2)
    shared = None if public is None else {"i": jnp.asarray(public)}
    count = np.full(N, 2, np.int32)
    data = dj.data.NodeData({"i": np.arange(2.0 * N)}, index, count, public=shared, even=True)
    loss = lambda p, b, key: (p["x"].sum() * b["i"]) ** 2
    return dj.Problem(dj.tasks.from_functions(lambda key: {"x": jnp.zeros(D)}, loss), data)


def test_public_rows_are_the_same_at_all_nodes_and_touch_no_copy():
    public = np.arange(5.0)

    def step(x, round):
        batch = round.batch(of="public")
        got = round.forward(lambda p, b, key: p["x"].sum() * b["i"], x, batch=batch)
        few = round.batch("few", of="public", size=3)
        assert few.data["i"].shape == (3,)
        loss = round.loss(x, batch)
        return x, got, loss, round.losses(tree_stack(x), batch), round.gradient(x, batch)["x"]

    tree_stack = lambda x: {"x": jnp.stack([x["x"], 2 * x["x"]], 1)}
    seen = [((N, 5), jnp.float64), ((N,), jnp.float64), ((N, 2), jnp.float64), ((N, D), jnp.float64)]
    state, meters = once(step, traits=Traits(channel="none"), seen=seen, problem=_indexed(public))
    total = X0.sum(1)
    np.testing.assert_allclose(state.seen[0], total[:, None] * public, rtol=1e-12)
    mean = (public**2).mean()
    np.testing.assert_allclose(state.seen[1], total**2 * mean, rtol=1e-12)
    np.testing.assert_allclose(state.seen[2], np.stack([total**2, 4 * total**2], 1) * mean, rtol=1e-12)
    np.testing.assert_allclose(state.seen[3], np.repeat((2 * total * mean)[:, None], D, 1), rtol=1e-12)
    totals = meters.totals()
    assert totals["forwards"] == N * (1 + 1 + 2) and totals["public_gradients"] == N and "gradients" not in totals
    assert set(meters.values) >= {"loss/public"} and "loss" not in meters.values


def test_public_rows_are_set_aside_before_the_split():
    data = dj.data.digits()
    split = data.partition(dj.data.iid(), nodes=4, seed=3, public=100)
    assert split.public["x"].shape[0] == 100 and split.size == data.size - 100
    rows = lambda x: {r.tobytes() for r in np.asarray(x["x"])}
    assert len(rows(split.public) | rows(split.arrays)) == len(rows(data.train))
    with pytest.raises(ValueError, match="public"):
        data.partition(dj.data.iid(), nodes=4, public=data.size)
    with pytest.raises(ValueError, match="no public rows"):
        once(
            lambda x, round: (x, round.batch(of="public").data["i"]),
            traits=Traits(channel="none"),
            seen=[((5,), jnp.float64)],
        )


def test_neighbors_models_are_evaluated_where_they_arrive():
    def step(x, round):
        got = round.exchange(x)
        out = got.forward(lambda p, b, key, mine: p["x"].sum() + b["i"].sum() + mine, 100.0 * jnp.arange(N))
        return x, out, got.links.senders()

    k = int(RING.max_degree)
    seen = [((N, k), jnp.float64), ((N, k), jnp.int32)]
    state, meters = once(step, dj.Network(RING), traits=Traits(raw_losses=True), seen=seen, problem=_indexed())
    senders, rows = np.asarray(state.seen[1]), np.arange(N)
    np.testing.assert_allclose(state.seen[0], X0.sum(1)[senders] + (4 * rows + 1 + 100 * rows)[:, None], rtol=1e-12)
    assert meters.totals()["forwards"] == N * k


@pytest.mark.parametrize("lossy", [False, True])
def test_gossip_under_weights_of_the_method(lossy):
    """Weights from a matrix of its own; what lost links would have had stays at home."""
    rng = np.random.default_rng(0)
    mine = rng.uniform(size=(N, N)) * (W != 0) / N
    np.fill_diagonal(mine, 0)
    own = 1 - mine.sum(1)

    def step(x, round):
        got = round.exchange(x, name="links")
        y = round.gossip(x, weights=(got.links.on_ports(jnp.asarray(mine)), jnp.asarray(own)))
        return y, got.mask, got.links.senders()

    k = int(RING.max_degree)
    network = dj.Network(RING, faults=(dj.faults.link_loss(p=0.5),) if lossy else ())
    state, _ = once(step, network, seen=[((N, k), bool), ((N, k), jnp.int32)], traits=OWN)
    mask, senders = map(np.asarray, state.seen)
    want = np.zeros_like(X0)
    for i in range(N):
        want[i] = own[i] * X0[i]
        for s in range(k):
            j = senders[i, s]
            want[i] += mine[i, j] * (X0[j] if mask[i, s] else X0[i])
    np.testing.assert_allclose(state.params["x"], want, rtol=1e-12)
    assert mask.all() == (not lossy)


def test_weights_of_the_method_do_not_replace_a_robust_rule():
    step = lambda x, round: (round.gossip(x, weights=(jnp.zeros((N, 2)), jnp.ones(N))),)
    with pytest.raises(ValueError, match=r"network\.rule"):
        once(step, dj.Network(RING, rule=dj.aggregation.coordinate_median()), traits=OWN)


def test_masked_gossip_is_the_mean_over_owners():
    rng = np.random.default_rng(1)
    held = rng.uniform(size=(N, D)) < 0.5

    def step(x, round):
        return (round.gossip(x, mask={"x": jnp.asarray(held)}, mask_bits=5),)

    traits = Traits(masks=True)
    state, meters = once(step, dj.Network(RING), traits=traits)
    want = X0.copy()
    for i in range(N):
        for c in range(D):
            total = sum(W[i, j] for j in range(N) if held[j, c])
            if total > 0:
                want[i, c] = sum(W[i, j] * X0[j, c] for j in range(N) if held[j, c]) / total
    np.testing.assert_allclose(state.params["x"], want, rtol=1e-12)
    degrees = (W != 0).sum(0) - 1
    assert meters.totals()["wire/gossip"] == int((degrees * (held.sum(1) * 64 + 8)).sum())
    whole, _ = once(
        lambda x, round: (round.gossip(x, mask={"x": jnp.ones((N, 1), bool)}),), dj.Network(RING), traits=traits
    )
    np.testing.assert_allclose(whole.params["x"], W @ X0, rtol=1e-12)


def test_masked_average_counts_owners_both_ways():
    held = np.arange(D)[None] < 1 + np.arange(N)[:, None] % (D - 1)  # nobody holds the last entry
    weights = np.arange(1.0, N + 1)

    class Probe:
        traits = Traits(channel="server", masks=True)

        def init(self, params, key):
            return _State(params)

        def step(self, state, round):
            change = round.average(VALUE, jnp.asarray(weights), mask={"x": jnp.asarray(held)})
            return _State(jax.tree.map(lambda c: jnp.broadcast_to(c, (N, D)), change))

    state, meters = zoo.run(dj.struct(Probe)(), PROBLEM, None, 1, X0)
    total = (weights[:, None] * held).sum(0)
    want = np.where(total > 0, (weights[:, None] * held * X0).sum(0) / np.where(total > 0, total, 1), 0)
    np.testing.assert_allclose(np.asarray(state.params["x"])[0], want, rtol=1e-12)
    bits = int(held.sum()) * 64
    assert meters.totals()["up/average"] == bits == meters.totals()["down/average"]


@dj.struct
class _State:
    params: Any


def test_a_server_sees_single_uploads_and_answers_by_broadcast():
    class Probe:
        traits = Traits(channel="server", gathers=True)

        def init(self, params, key):
            return _State(params)

        def step(self, state, round):
            rows, arrived = round.gather(VALUE)
            best = jnp.where(arrived, -rows["x"].sum(1), jnp.inf).argmin()
            return _State(round.broadcast({"x": rows["x"][best]}))

    probe = dj.struct(Probe)()
    state, meters = zoo.run(probe, PROBLEM, None, 1, X0)
    np.testing.assert_array_equal(state.params["x"], np.tile(X0[X0.sum(1).argmax()], (N, 1)))
    assert meters.totals()["up/gather"] == N * D * 64 == meters.totals()["down/broadcast"]
    assert "down/gather" not in meters.totals()
    for network in (dj.Network(server="shards"), dj.Network(rule=dj.aggregation.coordinate_median())):
        with pytest.raises(dj.RefusedError, match="Probe"):
            zoo.run(probe, PROBLEM, network, 1, X0)


def test_a_server_sends_each_node_a_value_of_its_own():
    def step(x, round):
        return (round.scatter({"x": x["x"] * (1.0 + round.ids[:, None])}),)

    said = Traits(channel="server", gathers=True, heads=True)
    state, meters = once(step, traits=said)
    np.testing.assert_allclose(state.params["x"], X0.mean(0) * np.arange(1.0, N + 1)[:, None], rtol=1e-14)
    assert meters.totals()["down/scatter"] == N * D * 64 == 8 * meters.bytes()
    network = dj.Network(clock=dj.faults.clock(bandwidth=D * 64.0, latency=0.5))
    _, meters = once(step, network, traits=said)
    np.testing.assert_allclose(
        meters.seconds, once(lambda x, r: (r.broadcast({"x": x["x"][0]}),), network, traits=said)[1].seconds
    )
    assert meters.seconds[-1] > 0
    with pytest.raises(dj.FieldError, match=r"round\.scatter\.rows has a leaf of shape .*broadcast"):
        once(lambda x, round: (round.scatter({"x": x["x"][0]}),), traits=said)
    with pytest.raises(dj.RefusedError, match="forms sums alone"):
        once(step, dj.Network(server="shards"), traits=said)


def test_a_node_hears_whom_it_chose():
    ids = np.stack([(np.arange(N) + 2) % N, np.where(np.arange(N) == 0, 0, 0)], 1)  # node 0 chooses one, the others two

    def step(x, round):
        return (round.pull(jnp.asarray(ids, jnp.int32)).gossip(x),)

    state, meters = once(step, dj.Network(RING), traits=Traits(pulls=True))
    want = np.zeros_like(X0)
    for i in range(N):
        whom = [i, *(j for j in ids[i] if j != i)]
        want[i] = X0[whom].mean(0)
    np.testing.assert_allclose(state.params["x"], want, rtol=1e-6)
    assert meters.totals()["wire/pull/gossip"] == int((ids != np.arange(N)[:, None]).sum()) * D * 64
    with pytest.raises(dj.RefusedError, match="chooses whom it hears"):
        once(
            step,
            dj.Network(RING, codec=dj.compression.copies(dj.compression.top_k(k=2), gamma=0.3)),
            traits=Traits(pulls=True),
        )


def test_neighbors_answer_out_of_their_own_rows():
    def step(x, round):
        got = round.ask({"q": x["x"][:, 0]}, lambda query, own: query["q"] * own["x"].sum(), x)
        return x, got.rows, round.edges.receiver, round.edges.sender

    m = int((W != 0).sum()) - N
    seen = [((m,), jnp.float64), ((m,), jnp.int32), ((m,), jnp.int32)]
    state, meters = once(step, dj.Network(RING), traits=Traits(channel="edges", asks=True), seen=seen)
    rows, receiver, sender = map(np.asarray, state.seen)
    np.testing.assert_allclose(rows, X0[receiver, 0] * X0[sender].sum(1), rtol=1e-12)
    assert meters.totals()["wire/ask/query"] == meters.totals()["wire/ask/answer"] == m * 64


def test_before_round_0_all_nodes_see_the_graph():
    star = dj.topology.star(N)

    @dj.struct
    class State:
        params: Any
        degree: Any

    class Probe:
        def init(self, params, key):
            return State(params, jnp.zeros(N, jnp.int32))

        def start(self, state, round):
            ids, mask = round.neighbors
            assert ids.shape == mask.shape
            return State(state.params, round.degree)

        def step(self, state, round):
            return state

    network = dj.Network(star, faults=(dj.faults.churn(p=0.9),))
    state, _ = zoo.run(dj.struct(Probe)(), PROBLEM, network, 1, X0)
    np.testing.assert_array_equal(state.degree, [N - 1] + [1] * (N - 1))

    class Sends(Probe):
        def start(self, state, round):
            return State(round.gossip(state.params), state.degree)

    with pytest.raises(RuntimeError, match="nothing is learned or sent"):
        zoo.run(dj.struct(Sends)(), PROBLEM, network, 1, X0)


def test_a_report_is_the_mean_over_nodes_in_the_record():
    def step(x, round):
        round.report("first", x["x"][:, 0])
        return (x,)

    _, meters = once(step, traits=Traits(channel="none"))
    np.testing.assert_allclose(meters.values["first"], [X0[:, 0].mean()], rtol=1e-6)


def test_verbs_send_from_within_loops_and_branches():
    def step(x, round):
        x = round.repeat(2, lambda r, x: r.gossip(x), x)
        return (round.when(round.index == 0, lambda r, x: r.gossip(x), x),)

    state, meters = once(step, dj.Network(RING))
    np.testing.assert_allclose(state.params["x"], W @ W @ W @ X0, rtol=1e-12)
    degrees = int(((W != 0).sum(0) - 1).sum())
    assert meters.totals()["wire/repeat/gossip"] == 2 * degrees * D * 64 == 2 * meters.totals()["wire/when/gossip"]


def test_a_robust_rule_is_not_passed_by():
    def step(x, round):
        got = round.exchange(x)
        return (got.weighted(got.weights, got.self_weights),)

    with pytest.raises(ValueError, match=r"network\.rule"):
        once(step, dj.Network(RING, rule=dj.aggregation.coordinate_median()))
    state, _ = once(step, dj.Network(RING))
    np.testing.assert_allclose(state.params["x"], W @ X0, rtol=1e-12)


def test_a_codec_of_the_method_does_not_replace_the_networks():
    own = dj.compression.direct(dj.compression.top_k(k=1))
    step = lambda x, round: (round.gossip(x, codec=own),)
    with pytest.raises(ValueError, match=r"round\.gossip is called with codec=, but Probe does not say own_codec"):
        once(step, dj.Network(RING, codec=dj.compression.direct(dj.compression.top_k(k=2))))


def test_a_loss_of_the_methods_own_may_weigh_its_batch():
    """Shards of two and one sample: the padded one does not count in a loss that takes weight=."""
    index, count = np.array([[0, 1], [2, 2]], np.int32), np.array([2, 1], np.int32)
    data = dj.data.NodeData({"i": np.array([1.0, 3.0, 10.0])}, index, count)
    problem = dj.Problem(
        dj.tasks.from_functions(lambda key: {"x": jnp.zeros(D)}, lambda p, b, key: p["x"].sum() * b["i"]), data
    )
    weighed = lambda p, b, key, weight: p["x"].sum() * (b["i"] * weight).sum() / weight.sum()
    step = lambda x, round: ({"x": round.gradient(x, loss=weighed)["x"]},)
    state, _ = once(step, traits=Traits(channel="none"), problem=problem, x0=np.zeros((2, D)))
    np.testing.assert_allclose(state.params["x"], [[2.0] * D, [10.0] * D])


def test_forward_passes_do_not_count_padding_either():
    """Shards of two and one sample: the mean loss is that of `round.loss`, at neighbors' models, too."""
    index, count = np.array([[0, 1], [2, 0]], np.int32), np.array([2, 1], np.int32)
    data = dj.data.NodeData({"i": np.array([1.0, 3.0, 10.0])}, index, count)
    loss = lambda p, b, key: p["x"].sum() * b["i"]
    problem = dj.Problem(dj.tasks.from_functions(lambda key: {"x": jnp.zeros(D)}, loss), data)

    def step(x, round):
        batch = round.batch()
        own = round.forward(round.mean_loss, x, batch=batch), round.loss(x, batch)
        return x, *own, round.exchange(x).forward(round.mean_loss, batch=batch)

    seen = [((2,), jnp.float64), ((2,), jnp.float64), ((2, 1), jnp.float64)]
    network = dj.Network(dj.topology.chain(2))
    state, _ = once(step, network, problem, Traits(raw_losses=True), seen=seen, x0=np.ones((2, D)))
    np.testing.assert_allclose(state.seen[0], [2.0 * D, 10.0 * D])
    np.testing.assert_allclose(state.seen[1], [2.0 * D, 10.0 * D])
    np.testing.assert_allclose(state.seen[2], [[2.0 * D], [10.0 * D]])
