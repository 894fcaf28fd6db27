"""Variance-corrected averaging against NumPy, what it leaves alone, and what it restores."""

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from references import LR, RING, ROUNDS, X0, N, close, grads, mix, run

import dejax as dj

m = dj.methods


@pytest.mark.parametrize("own", [0.3, *(pytest.param(c, marks=pytest.mark.slow) for c in (0.0, 1.0))])
def test_variance_corrected(own):
    x, eps, chain = X0.copy(), 1e-2, dj.topology.chain(N).astype("float64")
    w = chain.matrix()
    for _ in range(ROUNDS):
        y = x - LR * grads(x)
        y = y - LR * grads(y)
        avg = mix(w, y)
        for i in range(N):
            others = np.mean([y[j].var(ddof=1) for j in range(N) if j != i and w[i, j] > 0])
            target = own * y[i].var(ddof=1) + (1 - own) * others
            ratio = np.sqrt((target + eps) / (avg[i].var(ddof=1) + eps))
            x[i] = (avg[i] - avg[i].mean()) * ratio + avg[i].mean()
    close(run(m.variance_corrected(lr=LR, own=own, eps=eps, local_steps=2), chain)[1], x)


def test_means_of_tensors_are_those_of_the_plain_average():
    got, want = (run(f(lr=LR, local_steps=1), RING, 1)[1] for f in (m.variance_corrected, m.local_sgd))
    close(got.mean(1), want.mean(1))
    assert np.abs(got - want).max() > 0.05


@pytest.mark.slow
def test_a_large_eps_is_local_sgd():
    got = run(m.variance_corrected(lr=LR, eps=1e14, local_steps=2), RING)[1]
    close(got, run(m.local_sgd(lr=LR, local_steps=2), RING)[1], 1e-11)


def wide(n, d):
    """Independent models of d numbers and one more, whose loss is zero: nothing is learned, models only meet."""
    rng = np.random.default_rng(0)
    params = {"w": jnp.asarray(rng.standard_normal((n, d))), "b": jnp.asarray(rng.standard_normal((n,)))}
    init = lambda key: {"w": jax.random.normal(key, (d,), jnp.float64), "b": jnp.zeros((), jnp.float64)}
    task = dj.tasks.from_functions(init, lambda p, batch, key: 0 * (p["w"].sum() + p["b"]) * batch["y"])
    return dj.Problem(task, zoo.Uneven(n).problem.data), params


@pytest.mark.slow
def test_independent_models_keep_their_variance_and_lone_numbers_are_averaged():
    problem, params = wide(6, 4000)
    network = dj.Network(dj.topology.complete(6).astype("float64"))
    after = lambda method: dj.rollout(method, problem, network, jax.random.key(0), 1, params=params)[0].params
    got, plain = after(m.variance_corrected(lr=0.1)), after(m.local_sgd(lr=0.1))
    close(plain["w"].var(1, ddof=1), np.full(6, 1 / 6), 0.02)
    close(got["w"].var(1, ddof=1), np.full(6, 1.0), 0.05)
    close(got["b"], plain["b"])


def test_equal_models_stay_as_they_are():
    problem, params = wide(4, 5)
    equal = jax.tree.map(lambda x: jnp.broadcast_to(x[:1], x.shape), params)
    got, _ = dj.rollout(
        m.variance_corrected(lr=0.1), problem, dj.Network(zoo.ring(4)), jax.random.key(0), 3, params=equal
    )
    close(got.params["w"], np.asarray(equal["w"]))


def test_numbers_out_of_range_and_lossy_messages_are_refused():
    with pytest.raises(dj.FieldError, match="VarianceCorrected.own is 1.5; give a number in"):
        m.variance_corrected(lr=0.1, own=1.5)
    lossy = dj.Network(RING, codec=dj.compression.direct(dj.compression.top_k(k=2), gamma=0.5))
    with pytest.raises(dj.RefusedError, match="variances are of models as they were sent"):
        lossy.check(m.variance_corrected(lr=0.1), zoo.squares()[0])
