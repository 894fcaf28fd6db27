"""Fed-GO-UCB against NumPy: a linear reward, which is federated LinUCB, and a nonlinear one; what is sent, and when."""

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from references import N, close

import dejax as dj
from dejax.data import Dataset, NodeData

m = dj.methods
D, ARMS = 3, 7
RNG = np.random.default_rng(4)
X = RNG.standard_normal((N, ARMS, D))
Y = np.tanh(X @ RNG.standard_normal(D)) + 0.1 * RNG.standard_normal((N, ARMS))
START = RNG.standard_normal(D)


def begin(key):
    del key
    return {"x": jnp.asarray(START)}


def linear(params, batch):
    return batch["x"] @ params["x"]


def bent(params, batch):
    return jnp.sin(batch["x"] @ params["x"])


def squares(params, batch, key):
    del key
    return 0.5 * jnp.square(bent(params, batch) - batch["y"])


FUNCTIONS = {
    linear: (lambda x, w: x @ w, lambda x, w: x),
    bent: (lambda x, w: np.sin(x @ w), lambda x, w: np.cos(x @ w) * x),
}


def problem(answer, arms=ARMS):
    index = np.arange(N * ARMS, dtype=np.int32).reshape(N, ARMS)[:, :arms]
    arrays = {"x": jnp.asarray(X.reshape(-1, D)), "y": jnp.asarray(Y.reshape(-1))}
    data = NodeData(arrays, jnp.asarray(index), jnp.full(N, arms, jnp.int32))
    return dj.Problem(dj.tasks.from_functions(begin, squares, answer=answer), data)


def by_hand(answer, rounds, gamma, beta, lam=0.5, w0=START):
    """(server, node, unsent) pairs (S, b), regrets and rounds of sums, one node after the other."""
    f, slope = FUNCTIONS[answer]
    server = [lam * np.eye(D), np.zeros(D)]
    known = [[lam * np.eye(D), np.zeros(D)] for _ in range(N)]
    unsent, since, sums, regret = [[np.zeros((D, D)), np.zeros(D)] for _ in range(N)], np.zeros(N), [], []
    for t in range(rounds):
        lost, asks = [], False
        for i in range(N):
            s, b = known[i]
            w = np.linalg.solve(s, b + lam * w0)
            q = [slope(x, w) for x in X[i]]
            score = [f(x, w) + np.sqrt(beta * q @ np.linalg.solve(s, q)) for x, q in zip(X[i], q, strict=True)]
            a = int(np.argmax(score))
            q, value = slope(X[i, a], w0), f(X[i, a], w0)
            for pair in (known[i], unsent[i]):
                pair[0] = pair[0] + np.outer(q, q)
                pair[1] = pair[1] + q * (q @ w0 + Y[i, a] - value)
            since[i] += 1
            grown = np.log(np.linalg.det(known[i][0]) / np.linalg.det(known[i][0] - unsent[i][0]))
            asks |= since[i] * grown > gamma
            lost.append(Y[i].max() - Y[i, a])
        regret.append(np.mean(lost))
        if asks:
            sums.append(t)
            server = [old + sum(pair[j] for pair in unsent) for j, old in enumerate(server)]
            known = [[server[0].copy(), server[1].copy()] for _ in range(N)]
            unsent, since = [[np.zeros((D, D)), np.zeros(D)] for _ in range(N)], np.zeros(N)
    return server, known, unsent, regret, sums


@pytest.mark.parametrize("answer", [linear, bent], ids=["linear", "bent"])
@pytest.mark.parametrize("gamma", [0.0, 3.0, 1e9])
def test_rounds_follow_the_equations(answer, gamma):
    method = m.fed_go_ucb(explore=0, beta=0.7, lam=0.5, gamma=gamma)
    state, meters = zoo.run(method, problem(answer), None, 9)
    server, known, unsent, regret, sums = by_hand(answer, 9, gamma, 0.7)
    for j, name in enumerate(("gram", "target")):
        close(getattr(state.server, name), server[j], 1e-10)
        close(getattr(state.known, name), np.stack([pair[j] for pair in known]), 1e-10)
        close(getattr(state.unsent, name), np.stack([pair[j] for pair in unsent]), 1e-10)
    close(method.model(state)["x"], np.linalg.solve(server[0], server[1] + 0.5 * START), 1e-10)
    np.testing.assert_allclose(meters.values["regret"], regret, atol=1e-6)
    assert sums == ({0.0: list(range(9)), 1e9: []}.get(gamma) or sums) and (gamma != 3.0 or 0 < len(sums) < 9)
    counts = np.asarray(meters.counts["up/pull/sum/average"]["lo"])
    np.testing.assert_array_equal(np.flatnonzero(counts), sums)
    assert meters.totals()["up/pull/sum/average"] == len(sums) * N * 64 * (D * D + D)


@pytest.mark.slow
def test_linear_rewards_do_not_see_where_they_are_expanded():
    """As lam -> 0 w0 cancels: from two starts the same arms are pulled, once S has full rank."""
    got = []
    for shift in (0.0, 1.0):
        method = m.fed_go_ucb(explore=0, gamma=0.0, beta=0.5, lam=1e-9)
        state, _ = zoo.run(method, problem(linear), None, 6, START + shift)
        got.append(np.asarray(state.server.gram))
        assert np.linalg.matrix_rank(got[-1], tol=1e-3) == D
    close(*got, 1e-6)
    close(got[0], by_hand(linear, 6, 0.0, 0.5, 1e-9)[0][0], 1e-6)
    far = [
        zoo.run(m.fed_go_ucb(explore=0, gamma=0.0, beta=0.5, lam=100.0), problem(linear), None, 6, x)[0]
        for x in (START, -START)
    ]
    assert (
        np.abs(np.asarray(far[0].server.gram) - np.asarray(far[1].server.gram)).max() > 0.1
    )  # a large lam does see it


def test_exploring_descends_along_the_squared_errors():
    """With one arm a node there is nothing to draw."""
    w = START
    for _ in range(4):
        errors = [(np.sin(X[i, 0] @ w) - Y[i, 0]) * np.cos(X[i, 0] @ w) * X[i, 0] for i in range(N)]
        w = w - 0.2 * np.mean(errors, 0)
    state, meters = zoo.run(m.fed_go_ucb(lr=0.2, explore=4), problem(bent, 1), None, 4)
    close(np.asarray(state.params["x"]), w)
    close(np.asarray(m.fed_go_ucb(lr=0.2, explore=4).model(state)["x"]), w)
    np.testing.assert_array_equal(meters.values["regret"], 0)


@pytest.mark.slow
def test_what_is_lost_is_sent_later():
    network = dj.Network(faults=dj.faults.link_loss(p=0.5))
    state, _ = zoo.run(m.fed_go_ucb(explore=0, gamma=0.0), problem(bent), network, 8)
    total = np.asarray(state.unsent.gram).sum(0) + np.asarray(state.server.gram) - np.eye(D)
    q = np.asarray(state.known.gram) - np.asarray(state.unsent.gram)
    close(q, np.broadcast_to(state.server.gram, q.shape), 1e-10)
    assert np.linalg.matrix_rank(total) == D and np.abs(np.asarray(state.unsent.gram)).max() > 0
    complete, _ = zoo.run(m.fed_go_ucb(explore=0, gamma=1e9), problem(bent), network, 1)
    one, _ = zoo.run(m.fed_go_ucb(explore=0, gamma=0.0), problem(bent), network, 1)
    close(np.asarray(one.unsent.gram).sum(0) + one.server.gram, np.asarray(complete.unsent.gram).sum(0) + np.eye(D))


def scores(params, batch):
    return batch["x"] @ params["w"]


def begin_classes(key):
    del key
    return {"w": jnp.zeros((4, 3))}


def softmax(params, batch, key):
    del key
    return -jnp.take_along_axis(jax.nn.log_softmax(scores(params, batch)), batch["y"][:, None], -1)[:, 0]


@pytest.mark.slow
def test_classes_are_arms_of_which_one_pays():
    """The regret of contexts of three classes falls, and nodes that share what they learn lose less than alone."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 600).astype(np.int32)
    x = np.concatenate([np.eye(3)[y] + 0.3 * rng.standard_normal((600, 3)), np.ones((600, 1))], 1)
    data = Dataset({"x": x, "y": y}, num_classes=3).partition(dj.data.iid(), nodes=6, seed=0)
    setting = dj.Problem(dj.tasks.from_functions(begin_classes, softmax, answer=scores), data, batch_size=1)
    regret = {}
    for gamma in (0.0, 1e9):
        _, meters = zoo.run(m.fed_go_ucb(explore=0, beta=0.3, gamma=gamma), setting, None, 60)
        values = np.asarray(meters.values["regret"])
        np.testing.assert_allclose(values * 6, np.round(values * 6), atol=1e-5)
        regret[gamma] = values.mean()
        assert values[-20:].mean() < 0.5 * values[:5].mean()
    assert regret[0.0] < regret[1e9]


def test_rules_that_are_no_sums_are_refused():
    network = dj.Network(rule=dj.aggregation.coordinate_median())
    with pytest.raises(dj.RefusedError, match="is not linear, but FedGoUcb needs sums: sums of outer products"):
        network.check(m.fed_go_ucb(), problem(linear))


def test_bad_numbers_name_their_bounds():
    for kw, match in (
        ({"beta": -1.0}, r"FedGoUcb.beta is -1.0; give a finite number >= 0"),
        ({"lam": 0.0}, r"FedGoUcb.lam is 0.0; give a finite number > 0"),
        ({"gamma": -0.5}, r"FedGoUcb.gamma is -0.5; give a finite number >= 0"),
        ({"explore": -1}, r"FedGoUcb.explore is -1; give a whole number >= 0"),
    ):
        with pytest.raises(ValueError, match=match):
            m.fed_go_ucb(**kw)
