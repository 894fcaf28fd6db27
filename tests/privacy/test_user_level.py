"""User-level privacy: a NumPy loop, who is drawn, how far one node moves a sum, the noise, and what a run spends."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems as zoo
import pytest

import dejax as dj
from dejax.privacy import accountant

INF = math.inf
N, M = 64, 16


def private(clip=1.0, noise_multiplier=0.0, **kw):
    return dj.Network(privacy=dj.privacy.user_level(clip=clip, noise_multiplier=noise_multiplier, **kw))


def one_hot(n=N, sizes=None):
    """Node i holds rows e_i, and its gradient is -e_i: the server's model shows who was drawn and what that weighed."""
    sizes = np.ones(n, int) if sizes is None else sizes
    data = dj.data.from_clients([(np.tile(np.eye(n)[i], (sizes[i], 1)), np.zeros(sizes[i])) for i in range(n)])
    task = dj.tasks.from_functions(
        lambda key: {"x": jnp.zeros(n, jnp.float32)}, lambda p, batch, key: -(batch["x"].astype(jnp.float32) @ p["x"])
    )
    return dj.Problem(task, data)


def silent(dim, n=N):
    """A problem without gradient: what the server's model holds is noise."""
    data = dj.data.from_clients([(np.zeros((1, 1)), np.zeros(1)) for _ in range(n)])
    init = lambda key: {"a": jnp.zeros(dim // 2, jnp.float32), "b": jnp.zeros(dim // 2, jnp.float32)}
    loss = lambda p, batch, key: 0 * (p["a"].sum() + p["b"].sum()) * batch["y"].astype(jnp.float32)
    return dj.Problem(dj.tasks.from_functions(init, loss), data)


def server(method, problem, network, key=None, rounds=1):
    state, meters = dj.rollout(method, problem, network, jax.random.key(0) if key is None else key, rounds)
    return np.concatenate([np.asarray(x, np.float64).ravel() for x in jax.tree.leaves(state.params)]), meters


@pytest.mark.parametrize("cap", [None, 2.0, 1.0])
def test_against_a_loop(cap):
    """Clipped, weighed and divided by all weights, round after round."""
    uneven, clip, lr = zoo.Uneven(), 0.3, 0.1
    start = np.tile(zoo.starts()[:1], (zoo.N, 1))
    network = private(clip, cap=cap)
    state = zoo.run(dj.methods.fedavg(lr=lr, local_steps=3), uneven.problem, network, rounds=5, x0=start)[0]
    w = np.minimum(uneven.count / (uneven.count.max() if cap is None else cap), 1)
    x, cut = start[0].copy(), 0
    for _ in range(5):
        total = np.zeros_like(x)
        for i in range(zoo.N):
            y = x.copy()
            for _ in range(3):
                y -= lr * uneven.gradient(i, y)
            norm = np.linalg.norm(y - x)
            cut += norm > clip
            total += w[i] * (y - x) * min(1, clip / norm)
        x = x + total / w.sum()
    assert 0 < cut < 25
    np.testing.assert_allclose(np.asarray(state.params["x"]), x, rtol=1e-6)


@pytest.mark.parametrize(
    "make", ["fedavg", *(pytest.param(name, marks=pytest.mark.slow) for name in ("fedprox", "fedopt", "fedyogi"))]
)
def test_without_clip_and_noise_it_is_the_method(make):
    """Of all nodes, to rounding, samples as weights or none; also what shares of no noise give."""
    more = {"server": dj.optimizer(optax.sgd, 1.0)} if make == "fedopt" else {}
    uneven = zoo.Uneven()
    for weights in ("samples", "uniform") if make != "fedavg" else (None,):
        method = getattr(dj.methods, make)(lr=0.1, local_steps=2, **more, **({"weights": weights} if weights else {}))
        plain = zoo.run(method, uneven.problem, rounds=4)[0].params["x"]
        for noise in ("server", "shares"):
            got = zoo.run(method, uneven.problem, private(INF, noise=noise), rounds=4)[0].params["x"]
            np.testing.assert_allclose(got, plain, rtol=2e-6, err_msg=(weights, noise))


def test_a_fixed_cohort_of_equal_nodes_is_the_method():
    method = dj.methods.fedavg(lr=1.0, clients=M)
    plain, _ = server(method, one_hot(), dj.Network())
    got, _ = server(method, one_hot(), private(INF, client_sampling="fixed"))
    np.testing.assert_array_equal(got, plain)
    assert (plain > 0).sum() == M


def test_every_node_is_drawn_on_its_own():
    """With probability M / N each, cohorts of binomial size, and the sum is divided by what is fixed."""
    draws, sizes = 300, np.arange(1, N + 1)
    method, problem = dj.methods.fedavg(lr=1.0, clients=M), one_hot(sizes=sizes)
    w = sizes / N
    run = jax.jit(jax.vmap(lambda key: dj.rollout(method, problem, private(INF), key, 1)))
    states, _ = run(jax.random.split(jax.random.key(1), draws))
    x = np.asarray(states.params["x"], np.float64)
    hits = x > 0
    q, total = M / N, w.sum() * M / N
    np.testing.assert_allclose(x, hits * w / total, rtol=1e-6)
    assert (abs(hits.mean(0) - q) < 5 * math.sqrt(q * (1 - q) / draws)).all()
    spread = N * q * (1 - q)
    assert abs(hits.sum(1).var() / spread - 1) < 5 * math.sqrt(2 / draws)
    one, met = server(method, problem, private(INF), jax.random.key(5))  # only those who were drawn work and send
    bits = sum(bits for name, bits in met.totals().items() if name.startswith("up/"))
    assert met.totals()["gradients"] == (one > 0).sum() and bits == (one > 0).sum() * N * 32


def test_one_node_moves_the_sum_by_at_most_the_clip():
    """However wild its data are, by C / (q W) if it is added or removed, by twice that if it is replaced."""
    clip, method = 0.5, dj.methods.fedavg(lr=1.0, local_steps=2)
    base = zoo.Uneven()
    plain = zoo.run(method, base.problem, private(clip), rounds=1)[0].params["x"]
    bound = clip / (base.count / base.count.max()).sum()
    for scale in (0.5, -1e3, 1e6):
        other = zoo.Uneven()
        rows = jnp.asarray(base.rows[2])
        arrays = other.problem.data.arrays | {"y": other.problem.data.arrays["y"].at[rows].set(scale)}
        problem = dj.Problem(other.problem.task, dataclasses.replace(other.problem.data, arrays=arrays))
        moved = zoo.run(method, problem, private(clip), rounds=1)[0].params["x"]
        assert 0 < np.linalg.norm(moved - plain) <= 2 * bound * (1 + 1e-6)


@pytest.mark.parametrize("noise", ["server", "shares"])
@pytest.mark.parametrize("clients", [None, M])
def test_noise_has_the_stated_deviation(noise, clients):
    """sigma C / (q W) on each coordinate of the server's model, at the server as in shares; new in every round."""
    dim, sigma, clip = 20_000, 1.7, 0.5
    network = private(clip, sigma, noise=noise, client_sampling="fixed")
    method = dj.methods.fedavg(lr=0.1, clients=clients)
    first, _ = server(method, silent(dim), network)
    want = sigma * clip / (clients or N)
    assert abs(first.std() / want - 1) < 5 / math.sqrt(2 * dim)
    assert abs(np.corrcoef(first[: dim // 2], first[dim // 2 :])[0, 1]) < 5 / math.sqrt(dim / 2)
    second, _ = server(method, silent(dim), network, rounds=2)
    assert abs((second - first).std() / want - 1) < 5 / math.sqrt(2 * dim)
    assert abs(np.corrcoef(first, second - first)[0, 1]) < 5 / math.sqrt(dim)


def test_noise_comes_also_where_nobody_is_drawn():
    """Else the size of the cohort would show: one node of 64 on average, so that many rounds draw none."""
    network, method = private(1.0, 1.0), dj.methods.fedavg(lr=0.1, clients=1)
    run = jax.jit(jax.vmap(lambda key: dj.rollout(method, silent(2), network, key, 1)[0].params["a"]))
    assert (np.abs(np.asarray(run(jax.random.split(jax.random.key(0), 50)))) > 0).all()


def test_adversaries_are_clipped_too():
    """The server clips what it rebuilt, after the attack, so that scaling an update up gains nothing."""
    attack = dj.attacks.sign_flip(adversaries=(3,), strength=1e6)
    network = dj.Network(privacy=dj.privacy.user_level(clip=0.5, noise_multiplier=0.0), attack=attack)
    got, _ = server(dj.methods.fedavg(lr=1.0), one_hot(), network)
    assert got[3] == pytest.approx(-0.5 / N) and got[4] == pytest.approx(0.5 / N)


def spent(method, problem=None, rounds=100, faults=(), delta=1e-5, attack=None, **kw):
    kw = {"clip": 1.0, "noise_multiplier": 1.5} | kw
    network = dj.Network(privacy=dj.privacy.user_level(**kw), faults=faults, attack=attack)
    return dj.privacy_spent(method, one_hot() if problem is None else problem, network, rounds=rounds, delta=delta)


def test_what_a_run_spends():
    """By rounds and the client sampling rate, however many local steps; without sampling exactly."""
    every, some = dj.methods.fedavg(lr=0.1, local_steps=7), dj.methods.fedavg(lr=0.1, clients=M)
    assert spent(every).epsilon == pytest.approx([accountant.gaussian_epsilon(1.5, 100, 1e-5)] * N)
    assert spent(every, adjacency="replace_one").epsilon[0] == accountant.gaussian_epsilon(0.75, 100, 1e-5)
    got = spent(some)
    assert got.guarantee and got.per_round == 1 and got.adjacency == "add_remove"
    assert got.epsilon == pytest.approx([accountant.epsilon(1.5, 100, M / N, 1e-5)] * N)
    fixed = spent(some, client_sampling="fixed", adjacency="replace_one")
    a = np.asarray(accountant.ORDERS)
    want = accountant.converted(100 * accountant.rdp_without_replacement(0.75, M / N), a, 1e-5)
    assert fixed.guarantee and fixed.epsilon[0] == pytest.approx(want)
    asleep = spent(some, faults=(dj.faults.churn(p=0.1),), client_sampling="fixed", adjacency="replace_one")
    assert asleep.epsilon[0] == accountant.gaussian_epsilon(0.75, 100, 1e-5)  # those awake are drawn more often


@pytest.mark.parametrize(("delta", "little"), [(0.9 / N, False), (1 / N, True), (0.5, True)])
def test_a_delta_that_promises_little_is_said_to(delta, little):
    """Who publishes the data of one of N nodes at random is (0, 1 / N)-private."""
    words = spent(dj.methods.fedavg(lr=0.1), delta=delta).words
    assert words.startswith("bound for") and (f"not below 1 over the {N} nodes" in words) == little


def test_the_published_epsilon_by_the_same_rate():
    """256 of 60,000 for 15 x 234 steps at noise 1.3: 1.19 by the simple conversion (TensorFlow Privacy), less by the tight one."""
    q, steps = 256 / 60_000, 15 * 234
    assert accountant.epsilon(1.3, steps, q, 1e-5, conversion="simple") == pytest.approx(1.19, abs=5e-3)
    data = dj.data.NodeData(
        {"x": jnp.zeros((1, 1)), "y": jnp.zeros(1)}, jnp.zeros((60_000, 1), jnp.int32), jnp.ones(60_000, jnp.int32)
    )
    problem = dj.Problem(silent(2).task, data)
    got = spent(dj.methods.fedavg(lr=0.1, clients=256), problem, rounds=steps, noise_multiplier=1.3)
    assert got.epsilon[0] == pytest.approx(accountant.epsilon(1.3, steps, q, 1e-5), rel=1e-4)
    assert got.epsilon[0] < 1.19


@pytest.mark.parametrize(
    ("kw", "why"),
    [
        ({"adjacency": "replace_one"}, "nodes added or removed"),
        ({"client_sampling": "fixed"}, "pushes others out"),
        ({"noise_multiplier": 0.0}, "no noise is added"),
        ({"noise": "shares"}, "do not arrive are missing"),
        ({"noise": "shares", "client_sampling": "fixed", "adjacency": "replace_one", "faults": (dj.faults.link_loss(p=0.1),)}, "do not arrive"),
        ({"noise": "shares", "client_sampling": "fixed", "adjacency": "replace_one", "attack": dj.attacks.sign_flip(adversaries=1)}, "adversaries"),
        ({"faults": (dj.faults.delay(phases=1),)}, "late updates"),
        ({"client_sampling": "fixed", "faults": (dj.faults.churn(p=0.1),)}, "pushes others out"),
        ({"client_sampling": "fixed", "adjacency": "replace_one", "faults": (dj.faults.churn(p=0.1), dj.faults.delay(phases=1))}, "late updates"),
    ],
)  # fmt: skip
def test_no_guarantee_says_why(kw, why):
    got = spent(dj.methods.fedavg(lr=0.1, clients=M), **kw)
    assert not got.guarantee and got.words.startswith("no guarantee: ") and why in got.words
    assert np.isinf(got.epsilon).all()


def test_shares_of_a_fixed_cohort_have_a_guarantee():
    got = spent(dj.methods.fedavg(lr=0.1, clients=M), noise="shares", client_sampling="fixed", adjacency="replace_one")
    assert got.guarantee


def test_noise_without_a_clip_is_refused():
    with pytest.raises(dj.FieldError, match="UserLevel.clip is inf.*finite norm"):
        dj.privacy.user_level(clip=INF, noise_multiplier=1.0)


@dj.struct
class TwoWays:
    """Says that it uploads one update, and looks at single uploads instead."""

    traits = dj.Traits(channel="server", gathers=True, one_update=True)

    def init(self, params, key):
        return dj.methods.fedavg(lr=0.1).init(params, key)

    def step(self, state, round):
        round.gather(round.broadcast(state.params))
        return state


def test_other_verbs_of_a_server_are_refused():
    with pytest.raises(dj.RefusedError, match="covers one mean of all uploads, but the method looks at single uploads"):
        server(TwoWays(), one_hot(), private())


def test_in_a_config(tmp_path):
    text = """
    task: {logistic: {}}
    data: {source: digits, nodes: 8, partition: iid, seed: 0}
    batch_size: 8
    method: {fedavg: {lr: 0.1, clients: 4}}
    network: {privacy: {user_level: {clip: 1.0, noise_multiplier: 1.0, client_sampling: poisson, delta: 1.0e-3}}}
    rounds: 2
    """
    (tmp_path / "c.yaml").write_text("\n".join(line[4:] for line in text.split("\n")))
    from dejax import config

    run = config.load(str(tmp_path / "c.yaml")).runs[0]
    privacy = run.objects()[2].privacy
    assert (privacy.client_sampling, privacy.delta, float(privacy.clip)) == ("poisson", 1e-3, 1.0)
