"""FedMD: nodes agree on answers."""

import jax
import numpy as np

import dejax as dj

m = dj.methods


def experiment(nodes=4, rows=20):
    data = dj.data.digits(flat=True).partition(dj.data.shards(), nodes=nodes, seed=0, public=rows)
    return dj.Problem(dj.tasks.mlp(64, 10), data, starts="independent"), dj.Network(dj.topology.ring(nodes))


def test_a_round_follows_the_equations():
    problem, network = experiment()
    w = np.asarray(network.topology.matrix())
    start, _ = dj.rollout(m.fedmd(lr=0.0, digest_lr=0.0), problem, network, jax.random.key(0), 1)
    state, meters = dj.rollout(m.fedmd(lr=0.3, digest_lr=0.2, digest_steps=2), problem, network, jax.random.key(0), 1)
    answer, public = problem.task.answer, {k: np.asarray(v) for k, v in problem.data.public.items()}
    models = [jax.tree.map(lambda x, i=i: x[i], start.params) for i in range(4)]
    logits = np.stack([np.asarray(answer(p, public)) for p in models])
    for i, p in enumerate(models):
        target = np.einsum("j,jpc->pc", w[i], logits)
        for _ in range(2):
            slope = jax.grad(lambda p, target=target: abs(answer(p, public) - target).mean(1).mean())(p)
            p = jax.tree.map(lambda p, g: p - 0.2 * g, p, slope)
        own = {k: np.asarray(v) for k, v in problem.data.node(i).items()}
        p = jax.tree.map(lambda p, g: p - 0.3 * g, p, jax.grad(lambda p, own=own: problem.task.loss(p, own).mean())(p))
        for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(p), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5)
    assert meters.totals()["wire/gossip"] == 4 * 2 * 20 * 10 * 32


def test_who_digests_nothing_trains_alone():
    problem, network = experiment()
    got, meters = dj.rollout(m.fedmd(lr=0.3, digest_lr=0.0), problem, network, jax.random.key(0), 3)
    want, alone = dj.rollout(m.local_only(lr=0.3), problem, None, jax.random.key(0), 3)
    np.testing.assert_allclose(
        meters.values["loss"], alone.values["loss"], rtol=1e-5
    )  # distances to answers stand apart
    assert (np.asarray(meters.values["loss/answers"]) > 0).any()
    for a, b in zip(jax.tree.leaves(got.params), jax.tree.leaves(want.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_it_spreads_what_some_nodes_alone_have_seen():
    """Nodes that hold two classes each answer more of the ten than alone."""
    problem, network = experiment(nodes=5, rows=200)
    run = lambda method: dj.simulate(method, problem, network, rounds=60, every=60, progress=False).records[-1][
        "accuracy/local"
    ]
    alone = dj.simulate(m.local_only(lr=0.3), problem, rounds=60, every=60, progress=False).records[-1][
        "accuracy/local"
    ]
    assert run(m.fedmd(lr=0.3, digest_lr=1.0, digest_steps=5)) > alone + 0.1
