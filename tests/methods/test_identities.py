"""What each method conserves, and what it becomes in its degenerate cases."""

import jax
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.events._plan import plan_of

LR, N = 0.2, zoo.N
PROBLEM, MADE = zoo.squares()
X0 = zoo.starts()
RING = zoo.ring()
m, c = dj.methods, dj.compression
TOP, QSGD = c.top_k(k=2), c.qsgd(levels=4)


def run(method, network=None, rounds=4, problem=PROBLEM, x0=X0):
    """Final state and models, which are numbers and not the start: two runs that do nothing would be equal, too."""
    state, _ = zoo.run(method, problem, network, rounds, x0)
    x = zoo.models(method, state)
    assert np.isfinite(x).all() and np.abs(x - (x0 if x.ndim == 2 else x0.mean(0))).max() > 1e-3
    return state, x


def close(got, want, tol=5e-12):
    assert np.shape(got) == np.shape(want)  # a single number would be compared with every entry
    np.testing.assert_allclose(got, want, rtol=0, atol=tol * max(1, np.abs(want).max()))


def same(got, want):
    np.testing.assert_array_equal(got, want)


# ---- the mean
GOSSIPS = {
    "dsgd": m.dsgd(lr=0.0),
    "choco_top_k": m.choco(lr=0.0, gamma=0.7, compressor=TOP),
    "choco_qsgd": m.choco(lr=0.0, gamma=0.7, compressor=QSGD, order="awc"),
}


@pytest.mark.parametrize("name", GOSSIPS)
def test_gossip_keeps_the_mean_and_moves_the_nodes(name):
    x = run(GOSSIPS[name], RING)[1]
    close(x.mean(0), X0.mean(0))
    assert np.abs(x - X0).max() > 0.1


@pytest.mark.parametrize("order", ["atc", "awc"])
def test_mean_of_dsgd_moves_by_the_mean_gradient(order):
    g = np.stack([MADE.gradients(X0[i])[i] for i in range(N)])
    close(run(m.dsgd(lr=LR, order=order), RING, 1)[1].mean(0), X0.mean(0) - LR * g.mean(0))


@pytest.mark.slow
def test_equal_curvature_mean_of_dsgd_is_centralized():
    made = dj.data.equal_quadratics(nodes=N, dim=zoo.D, seed=2, dtype="float64")
    problem = dj.Problem(made.task, made.data)
    x = run(m.dsgd(lr=LR, order="awc"), RING, 8, problem)[1]
    close(x.mean(0), run(m.centralized(lr=LR), None, 8, problem)[1])
    assert np.abs(x - x.mean(0)).max() > 0.01


def test_gossip_contracts_by_rho_each_round():
    x, rho = run(m.dsgd(lr=0.0), RING, 6)[1], dj.topology.rho(RING)
    spread = lambda x: ((x - x.mean(0)) ** 2).sum()
    assert spread(x) <= rho**12 * spread(X0) * (1 + 1e-9)


# ---- what becomes what
def test_one_local_step_is_dsgd_bit_for_bit():
    want = run(m.dsgd(lr=LR), RING)[1]
    same(run(m.local_sgd(lr=LR, local_steps=1), RING)[1], want)


@pytest.mark.parametrize("theta", [0.0, 0.9])
def test_one_heavy_ball_step_is_dsgd_for_every_theta(theta):
    close(run(m.dfedavgm(lr=LR, momentum=theta, local_steps=1), RING)[1], run(m.dsgd(lr=LR), RING)[1], 1e-14)


@pytest.mark.slow
def test_heavy_ball_without_momentum_is_local_sgd():
    a = run(m.dfedavgm(lr=LR, momentum=0.0, local_steps=3), RING)[1]
    close(a, run(m.local_sgd(lr=LR, local_steps=3), RING)[1], 1e-14)
    assert np.abs(a - run(m.dfedavgm(lr=LR, momentum=0.9, local_steps=3), RING)[1]).max() > 1e-3


@pytest.mark.slow
def test_full_graph_and_equal_starts_are_centralized():
    equal = np.broadcast_to(X0[0], X0.shape)
    complete = dj.topology.complete(N).astype("float64")
    want = run(m.centralized(lr=LR), None, x0=equal)[1]
    for method in (m.dsgd(lr=LR), m.gradient_tracking(lr=LR), m.sgp(lr=LR), m.local_sgd(lr=LR, local_steps=1)):
        close(run(method, complete, x0=equal)[1], np.broadcast_to(want, X0.shape))


@pytest.mark.slow
def test_identity_matrix_is_no_communication():
    alone = dj.topology.from_matrix(np.eye(N), allow_disconnected=True).astype("float64")
    want = run(m.local_only(lr=LR))[1]
    for order in ("atc", "awc", "cta"):
        close(run(m.dsgd(lr=LR, order=order), alone)[1], want, 1e-14)


@pytest.mark.slow
def test_adapt_then_combine_and_combine_then_adapt_are_one_sequence():
    w = RING.matrix()
    p = run(m.dsgd(lr=LR, order="atc"), RING, 3, x0=w @ X0)[1]
    x = run(m.dsgd(lr=LR, order="cta"), RING, 3)[1]
    close(w @ x, p)


@pytest.mark.slow
def test_fedavg_with_all_nodes_and_one_step_is_gradient_descent():
    for problem in (PROBLEM, zoo.Uneven().problem):
        close(run(m.fedavg(lr=0.1), None, 5, problem)[1], run(m.centralized(lr=0.1), None, 5, problem)[1])


def test_fedavg_with_all_nodes_is_local_sgd_on_the_complete_graph():
    equal, complete = np.broadcast_to(X0[0], X0.shape), dj.topology.complete(N).astype("float64")
    want = run(m.fedavg(lr=LR, local_steps=3), x0=equal)[1]
    close(run(m.local_sgd(lr=LR, local_steps=3), complete, x0=equal)[1], np.broadcast_to(want, X0.shape))


@pytest.mark.slow
def test_sampling_everybody_by_number_is_everybody():
    close(run(m.fedavg(lr=LR, clients=N, local_steps=2))[1], run(m.fedavg(lr=LR, local_steps=2))[1])


@pytest.mark.slow
@pytest.mark.parametrize("order", ["atc", "awc"])
@pytest.mark.parametrize("compressor", [TOP, QSGD], ids=["top_k", "qsgd"])
def test_choco_is_dsgd_with_a_copies_codec_bit_for_bit(order, compressor):
    choco = m.choco(lr=LR, gamma=0.4, compressor=compressor, order=order)
    network = dj.Network(RING, codec=c.copies(compressor, gamma=0.4))
    same(run(choco, RING)[1], run(m.dsgd(lr=LR, order=order), network)[1])


@pytest.mark.slow
def test_choco_that_keeps_everything_is_dsgd():
    choco = m.choco(lr=LR, gamma=1.0, compressor=c.top_k(ratio=1.0))
    close(run(choco, RING)[1], run(m.dsgd(lr=LR), RING)[1])


@pytest.mark.slow
def test_fixed_point_of_choco_does_not_depend_on_the_compressor():
    gamma, rounds = 0.2, 1200
    w = np.eye(N) + gamma * (RING.matrix() - np.eye(N))
    lazy = dj.topology.from_matrix(w).astype("float64")
    want = run(m.dsgd(lr=LR), lazy, rounds)[1]
    for k in (2, 3):
        x = run(m.choco(lr=LR, gamma=gamma, compressor=c.top_k(k=k)), RING, rounds)[1]
        close(x, want, 1e-8)
    assert np.abs(want - MADE.x_star).max() > 1e-2  # it is not the optimum


# ---- exactness on unequal data
@pytest.mark.slow
def test_tracker_follows_the_mean_gradient_and_reaches_the_optimum():
    state, x = run(m.gradient_tracking(lr=LR), RING, 3)
    close(np.asarray(state.tracker["x"]).mean(0), np.asarray(state.last_grad["x"]).mean(0))
    state, x = run(m.gradient_tracking(lr=LR), RING, 600)
    close(x, np.broadcast_to(MADE.x_star, x.shape), 1e-10)
    close(np.asarray(state.tracker["x"]), np.zeros_like(x), 1e-10)
    stalled = run(m.dsgd(lr=LR), RING, 600)[1]
    assert np.linalg.norm(stalled - MADE.x_star, axis=1).max() > 1e-2
    nearer = run(m.dsgd(lr=LR / 10), RING, 6000)[1]
    ratio = np.linalg.norm(stalled - MADE.x_star) / np.linalg.norm(nearer - MADE.x_star)
    assert 3 < ratio < 20  # the bias is of the order of lr


@pytest.mark.slow
@pytest.mark.parametrize("clients", [None, 2])
def test_scaffold_controls_agree_and_the_optimum_is_reached(clients):
    method = m.scaffold(lr=0.1, local_steps=3, clients=clients)
    state, _ = run(method, None, 5)
    close(np.asarray(state.control["x"]), np.asarray(state.controls["x"]).mean(0))
    x = run(method, None, 1500)[1]
    close(x, MADE.x_star, 1e-9)
    drifted = run(m.fedavg(lr=0.1, local_steps=3, clients=clients), None, 1500)[1]
    assert np.linalg.norm(drifted - MADE.x_star) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [dj.faults.churn(p=0.4), dj.faults.link_loss(p=0.4)],
    ids=["churn", "lost uploads"],
)
def test_scaffold_controls_agree_whoever_is_heard(fault):
    state, _ = run(m.scaffold(lr=0.1, local_steps=2, clients=3), dj.Network(faults=fault), 6)
    assert np.abs(np.asarray(state.controls["x"])).max() > 1e-3
    close(np.asarray(state.control["x"]), np.asarray(state.controls["x"]).mean(0))


@pytest.mark.slow
def test_scaffold_survives_a_rate_of_zero():
    state, x = run(m.scaffold(lr=dj.Cosine(peak=0.1, rounds=2)), None, 4)
    assert np.isfinite(x).all() and np.isfinite(np.asarray(state.controls["x"])).all()


@pytest.mark.slow
def test_one_step_scaffold_learns_the_gradients():
    state, _ = run(m.scaffold(lr=LR), None, 1)
    close(np.asarray(state.controls["x"]), MADE.gradients(X0.mean(0)))


# ---- push-sum
@pytest.mark.slow
def test_push_sum_keeps_the_total_weight_and_finds_the_mean():
    graph = zoo.digraph()
    state, _ = run(m.sgp(lr=LR), graph, 3)
    close(np.asarray(state.weight).sum(), N)
    state, z = run(m.sgp(lr=0.0), graph, 200)
    close(np.asarray(state.mass["x"]).sum(0), X0.sum(0))
    close(z, np.broadcast_to(X0.mean(0), z.shape), 1e-10)
    assert np.abs(np.asarray(state.mass["x"]) - X0.mean(0)).max() > 1e-2  # the sums alone are biased


@pytest.mark.slow
def test_push_sum_on_doubly_stochastic_weights_is_dsgd():
    graph = dj.topology.directed_ring(N).astype("float64")
    state, z = run(m.sgp(lr=LR), graph)
    close(np.asarray(state.weight), np.ones(N))
    close(z, run(m.dsgd(lr=LR), graph)[1])


# ---- events
EVENTS = np.random.default_rng(5).integers(0, N, 24)
PARTNERS = (EVENTS + np.random.default_rng(6).choice([1, N - 1], 24)) % N


def events(method, width, stale=True, problem=PROBLEM, **kw):
    plan = plan_of(EVENTS, PARTNERS, n=N, width=width, stale=stale)
    assert width == 1 or plan.rounds < len(EVENTS)
    return run(method, dj.Network(RING, events=plan, **kw), plan.rounds, problem)[1]


def minibatches(sampling):
    return zoo.Uneven(batch_size=2, sampling=sampling).problem


def adam():
    import optax

    return m.dsgd(optimizer=dj.optimizer(optax.adam, learning_rate=0.05), order="awc")


@pytest.mark.slow
@pytest.mark.parametrize(
    "method, sampling, options",
    [
        (m.ad_psgd(lr=LR), "replacement", {}),
        (m.ad_psgd(lr=LR), "epoch", {"faults": dj.faults.link_loss(p=0.3)}),
        (adam(), "epoch", {}),
        (m.dsgd(lr=LR, order="atc"), "replacement", {"codec": c.error_feedback(QSGD, gamma=0.5)}),
    ],
    ids=["ad_psgd", "ad_psgd_losses", "adam", "error_feedback"],
)
def test_packed_events_equal_one_event_at_a_time_bit_for_bit(method, sampling, options):
    packed = events(method, 2, problem=minibatches(sampling), **options)
    same(packed, events(method, 1, problem=minibatches(sampling), **options))
    assert np.abs(packed - X0).max() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 2])
def test_ad_psgd_is_dsgd_with_stale_gradients_bit_for_bit(width):
    problem = minibatches("replacement")
    a = events(m.ad_psgd(lr=LR), width, problem=problem)
    same(a, events(m.dsgd(lr=LR, order="awc"), width, problem=problem))
    assert np.abs(a - events(m.dsgd(lr=LR, order="awc"), width, False, problem=problem)).max() > 1e-3


def test_averages_of_events_keep_the_mean():
    close(events(m.ad_psgd(lr=0.0), 2).mean(0), X0.mean(0))


# ---- one node, and other names for the same nodes
@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        m.dsgd(lr=LR), m.dsgd(lr=LR, order="awc"), m.dsgd(lr=LR, order="cta"), m.local_sgd(lr=LR, local_steps=1),
        m.gradient_tracking(lr=LR), m.sgp(lr=LR), m.choco(lr=LR, gamma=0.3, compressor=TOP), m.fedavg(lr=LR),
        m.scaffold(lr=LR), m.local_only(lr=LR), m.centralized(lr=LR), m.dfedavgm(lr=LR, local_steps=1),
    ],
    ids=lambda method: type(method).__name__ + getattr(method, "order", ""),
)  # fmt: skip
def test_one_node_is_the_local_optimizer(method):
    problem, made = zoo.squares(n=1)
    x = X0[0]
    for _ in range(3):
        x = x - LR * made.gradients(x)[0]
    graph = None if method.channel != "edges" else dj.topology.ring(1).astype("float64")
    close(run(method, graph, 3, problem, X0[:1])[1].reshape(-1), x)


@pytest.mark.parametrize(
    "method",
    [
        m.dsgd(lr=LR),
        pytest.param(m.gradient_tracking(lr=LR), marks=pytest.mark.slow),
        pytest.param(m.choco(lr=LR, gamma=0.3, compressor=TOP), marks=pytest.mark.slow),
        m.scaffold(lr=LR, local_steps=2),
    ],
    ids=lambda method: type(method).__name__,
)
def test_relabelling_nodes_permutes_the_result(method):
    import dataclasses

    uneven, p = zoo.Uneven(), np.array([3, 0, 4, 1, 2])
    w = dj.topology.chain(N).matrix()
    make = lambda w: None if method.channel != "edges" else dj.topology.from_matrix(w).astype("float64")
    data = uneven.problem.data
    moved = dataclasses.replace(data, index=data.index[p], count=data.count[p])
    x = run(method, make(w), 4, uneven.problem)[1]
    y = run(method, make(w[np.ix_(p, p)]), 4, dataclasses.replace(uneven.problem, data=moved), X0[p])[1]
    close(y, x if x.ndim == 1 else x[p])


@pytest.mark.slow
def test_equal_nodes_stay_equal():
    uneven = zoo.Uneven(n=1)
    import dataclasses

    data = dataclasses.replace(
        uneven.problem.data,
        index=np.repeat(uneven.problem.data.index, N, 0),
        count=np.repeat(uneven.problem.data.count, N),
    )
    problem = jax.tree.map(jax.numpy.asarray, dataclasses.replace(uneven.problem, data=data))
    x = run(m.gradient_tracking(lr=LR), RING, 5, problem, np.broadcast_to(X0[0], X0.shape))[1]
    close(x, np.broadcast_to(x[0], x.shape))
