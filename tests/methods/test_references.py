"""Every method against a loop over nodes in plain NumPy, written from the update in its paper."""

import jax
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.core.random import fold_name
from dejax.events._plan import plan_of
from dejax.round import Context
from dejax.round.cohort import floyd

ROUNDS, LR, N = 10, 0.2, zoo.N
PROBLEM, MADE = zoo.squares()
X0 = zoo.starts()
W = zoo.ring().matrix()
m = dj.methods


def grad(i, x):
    return MADE.gradients(x)[i]


def grads(x):
    return np.stack([grad(i, x[i]) for i in range(len(x))])


def mix(w, x):
    """Row i: sum over j of w[i, j] x_j, one node after the other."""
    return np.stack([sum(w[i, j] * x[j] for j in range(len(x))) for i in range(len(x))])


def close(got, want, tol=1e-12):
    assert np.shape(got) == np.shape(want) and np.isfinite(want).all()
    np.testing.assert_allclose(got, want, rtol=0, atol=tol * max(1, np.abs(want).max()))


def ours(method, network=None, **kw):
    kw = {"x0": X0, "rounds": ROUNDS} | kw
    state, _ = zoo.run(method, PROBLEM, network, **kw)
    return state, zoo.models(method, state)


@pytest.mark.parametrize("order", ["atc", "awc", "cta"])
def test_dsgd(order):
    x = X0.copy()
    for _ in range(ROUNDS):
        if order == "atc":
            x = mix(W, x - LR * grads(x))
        elif order == "awc":
            x = mix(W, x) - LR * grads(x)
        else:
            p = mix(W, x)
            x = p - LR * grads(p)
    close(ours(m.dsgd(lr=LR, order=order), zoo.ring())[1], x)


def test_dsgd_with_schedule_and_rates_per_node():
    rates = np.linspace(0.05, 0.3, N)
    x, z = X0.copy(), X0.copy()
    for t in range(ROUNDS):
        x = mix(W, x - rates[:, None] * grads(x))
        z = mix(W, z - 0.3 / np.sqrt(1 + t) * grads(z))
    close(ours(m.dsgd(lr=rates), zoo.ring())[1], x)
    close(ours(m.dsgd(lr=dj.InverseSqrt(0.3)), zoo.ring())[1], z, 2e-7)  # schedules are computed in float32


def test_dsgd_with_adam():
    import optax

    x, mu, nu = X0.copy(), np.zeros_like(X0), np.zeros_like(X0)
    for t in range(1, ROUNDS + 1):
        g = grads(x)
        mu, nu = 0.9 * mu + 0.1 * g, 0.99 * nu + 0.01 * g * g
        x = mix(W, x - LR * (mu / (1 - 0.9**t)) / (np.sqrt(nu / (1 - 0.99**t)) + 1e-8))
    adam = dj.optimizer(optax.adam, learning_rate=LR, b1=0.9, b2=0.99)
    close(ours(m.dsgd(optimizer=adam), zoo.ring())[1], x)


def test_local_sgd():
    x = X0.copy()
    for _ in range(ROUNDS):
        for _ in range(3):
            x = x - LR * grads(x)
        x = mix(W, x)
    close(ours(m.local_sgd(lr=LR, local_steps=3), zoo.ring())[1], x)


def test_dfedavgm():
    x = X0.copy()
    for _ in range(ROUNDS):
        y, last = x, x
        for _ in range(4):
            y, last = y - LR * grads(y) + 0.6 * (y - last), y
        x = mix(W, y)
    close(ours(m.dfedavgm(lr=LR, momentum=0.6, local_steps=4), zoo.ring())[1], x)


def sampled(t, clients, seed=0):
    """Ids of round t, from the run's key by name."""
    key = fold_name(jax.random.fold_in(jax.random.key(seed), t), "sample")
    return np.asarray(floyd(key, N, clients))


@pytest.mark.slow
@pytest.mark.parametrize("clients", [None, 2])
def test_fedavg_on_unequal_shards(clients):
    uneven = zoo.Uneven()
    x = X0.mean(0)
    for t in range(ROUNDS):
        ids = range(N) if clients is None else sampled(t, clients)
        change, total = 0, 0
        for i in ids:
            y = x
            for _ in range(3):
                y = y - 0.1 * uneven.gradient(i, y)
            change, total = change + uneven.count[i] * (y - x), total + uneven.count[i]
        x = x + 0.7 * change / total
    method = m.fedavg(lr=0.1, local_steps=3, clients=clients, server_lr=0.7)
    state, _ = zoo.run(method, uneven.problem, None, ROUNDS, X0)
    close(zoo.models(method, state), x)


@pytest.mark.slow
@pytest.mark.parametrize("clients", [None, 3])
def test_ifca(clients):
    uneven = zoo.Uneven(starts="independent")
    loss = lambda i, x: 0.5 * np.mean((uneven.a[uneven.rows[i]] @ x - uneven.b[uneven.rows[i]]) ** 2)
    models, choice = X0[:2].copy(), np.zeros(N, int)
    for t in range(ROUNDS):
        change, total = np.zeros_like(models), np.zeros(2)
        for i in range(N) if clients is None else sampled(t, clients):
            c = choice[i] = int(np.argmin([loss(i, x) for x in models]))
            y = models[c]
            for _ in range(3):
                y = y - 0.1 * uneven.gradient(i, y)
            change[c], total[c] = change[c] + uneven.count[i] * (y - models[c]), total[c] + uneven.count[i]
        models = models + change / np.maximum(total, 1)[:, None]
    method = m.ifca(lr=0.1, clusters=2, local_steps=3, clients=clients)
    state, _ = zoo.run(method, uneven.problem, None, ROUNDS, X0)
    close(np.asarray(state.models["x"]), models)
    np.testing.assert_array_equal(state.choice, choice)
    assert len(set(choice.tolist())) == 2  # both models are in use
    assert len(zoo.models(method, state)) == N


@pytest.mark.parametrize("clients", [pytest.param(None, marks=pytest.mark.slow), 3])
def test_scaffold(clients):
    x, c, controls = X0.mean(0), np.zeros(zoo.D), np.zeros_like(X0)
    for t in range(ROUNDS):
        ids = range(N) if clients is None else sampled(t, clients)
        moved, learned = [], []
        for i in ids:
            y = x
            for _ in range(2):
                y = y - LR * (grad(i, y) - controls[i] + c)
            new = controls[i] - c + (x - y) / (2 * LR)
            moved.append(y - x)
            learned.append(new - controls[i])
            controls[i] = new
        x, c = x + np.mean(moved, 0), c + np.sum(learned, 0) / N
    method = m.scaffold(lr=LR, local_steps=2, clients=clients)
    state, got = ours(method)
    close(got, x)
    close(np.asarray(state.control["x"]), c)
    close(np.asarray(state.controls["x"]), controls)


def test_gradient_tracking():
    x, y, last = X0.copy(), np.zeros_like(X0), np.zeros_like(X0)
    for _ in range(ROUNDS):
        g = grads(x)
        y = mix(W, y) + g - last
        x, last = mix(W, x - LR * y), g
    state, got = ours(m.gradient_tracking(lr=LR), zoo.ring())
    close(got, x)
    close(np.asarray(state.tracker["x"]), y)


def keep_largest(x, k):
    out = np.zeros_like(x)
    for i in range(len(x)):
        top = np.argsort(-np.abs(x[i]))[:k]
        out[i, top] = x[i, top]
    return out


@pytest.mark.parametrize("order", ["atc", pytest.param("awc", marks=pytest.mark.slow)])
def test_choco_with_top_k(order):
    x, h, gamma = X0.copy(), np.zeros_like(X0), 0.3
    for _ in range(ROUNDS):
        z = x - LR * grads(x) if order == "atc" else x
        g = grads(x)
        h = h + keep_largest(z - h, 2)
        x = z + gamma * (mix(W, h) - h)
        if order == "awc":
            x = x - LR * g
    method = m.choco(lr=LR, gamma=gamma, compressor=dj.compression.top_k(k=2), order=order)
    close(ours(method, zoo.ring())[1], x)


def test_sgp_on_a_random_digraph():
    graph = zoo.digraph()
    p = graph.matrix()
    close(p.sum(0), np.ones(N))
    assert np.abs(p.sum(1) - 1).max() > 0.1  # really not doubly stochastic
    x, w = X0.copy(), np.ones(N)
    for _ in range(ROUNDS):
        x = mix(p, x - LR * grads(x / w[:, None]))
        w = mix(p, w)
    state, got = ours(m.sgp(lr=LR), graph)
    close(np.asarray(state.weight), w)
    close(got, x / w[:, None])


def relay(graph, rounds, gradients, lost=None):
    """RelaySum with one dict of messages; `lost(t, i, j)` says which i -> j never arrive."""
    x, box, count, n = X0.copy(), {}, {}, len(X0)
    neighbors = [[j for j in range(n) if j != i and graph.matrix()[i, j]] for i in range(n)]
    for t in range(rounds):
        half = x - LR * gradients(x)
        sent = {}
        for i in range(n):
            for j in neighbors[i]:
                others = [k for k in neighbors[i] if k != j]
                m = half[i] + sum(box.get((k, i), 0) for k in others)
                sent[i, j] = m, 1 + sum(count.get((k, i), 0) for k in others)
        for (i, j), (m, c) in sent.items():
            if lost is None or not lost(t, i, j):
                box[i, j], count[i, j] = m, c
        for i in range(n):
            c = 1 + sum(count.get((j, i), 0) for j in neighbors[i])
            x[i] = (half[i] + sum(box.get((j, i), 0) for j in neighbors[i]) + (n - c) * X0[i]) / n
    return x


@pytest.mark.parametrize(
    "graph", ["binary_tree", *(pytest.param(g, marks=pytest.mark.slow) for g in ("chain", "star"))]
)
def test_relaysgd(graph):
    graph = getattr(dj.topology, graph)(N).astype("float64")
    close(ours(m.relaysgd(lr=LR), graph)[1], relay(graph, ROUNDS, grads))


@pytest.mark.slow
def test_relaysgd_keeps_the_last_message_of_a_link_that_fails():
    graph = dj.topology.binary_tree(N).astype("float64")
    faults = dj.faults.directed_link_loss(p=0.4)
    network = dj.Network(graph, faults=faults, repair="row")

    def lost(t, i, j):  # the draw of the fault itself, asked for one edge
        key = jax.random.fold_in(fold_name(jax.random.fold_in(jax.random.key(0), t), "links"), t)
        links = graph.at(0)
        up = np.asarray(faults.arrives(Context(t, None, key, None), links))
        return not up[j, np.flatnonzero(np.asarray(links.senders())[j] == i)[0]]

    close(ours(m.relaysgd(lr=LR), network)[1], relay(graph, ROUNDS, grads, lost))


EVENTS = np.random.default_rng(5).integers(0, N, 30)
PARTNERS = (EVENTS + np.random.default_rng(6).choice([1, N - 1], 30)) % N


@pytest.mark.parametrize("width", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_ad_psgd(width):
    x, view = X0.copy(), X0.copy()
    for i, j in zip(EVENTS, PARTNERS, strict=True):
        g = grad(i, view[i])
        x[i] = x[j] = (x[i] + x[j]) / 2
        x[i] = x[i] - LR * g
        view[i] = x[i]
    plan = plan_of(EVENTS, PARTNERS, n=N, width=width)
    state, got = ours(m.ad_psgd(lr=LR), dj.Network(zoo.ring(), events=plan), rounds=plan.rounds)
    close(got, x)
    close(np.asarray(state.view["x"]), view)


def test_local_only():
    x = X0.copy()
    for _ in range(ROUNDS):
        x = x - LR * grads(x)
    close(ours(m.local_only(lr=LR))[1], x)


def test_centralized_on_unequal_shards():
    uneven = zoo.Uneven()
    x = X0.mean(0)
    for _ in range(ROUNDS):
        x = x - 0.1 * uneven.union_gradient(x)
    method = m.centralized(lr=0.1)
    state, _ = zoo.run(method, uneven.problem, None, ROUNDS, X0)
    close(zoo.models(method, state), x)
