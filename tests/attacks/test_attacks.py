"""Attacks against NumPy loops; who is an adversary; numbers of the literature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax import attacks
from dejax.mixing.kernels.neighbor_lists import NeighborLists
from dejax.round.context import Context

N, K = 8, 3


def graph():
    rng = np.random.default_rng(0)
    index, weight = np.tile(np.arange(N)[:, None], (1, K)), np.zeros((N, K))
    for i in range(N):
        degree = rng.integers(1, K + 1)
        index[i, :degree] = rng.permutation(np.delete(np.arange(N), i))[:degree]
        weight[i, :degree] = rng.uniform(0.05, 0.2, degree)
    return NeighborLists(jnp.asarray(index), jnp.asarray(weight), jnp.asarray(1 - weight.sum(1)))


def context(attack, links=None):
    key = jax.random.key(0)
    bad = jnp.asarray(attack.is_adversary(N))
    return Context(jnp.int32(0), jnp.arange(N), key, jax.random.split(key, N), links, None, bad)


def values(seed=1, dtype=jnp.float64, at=0.0):
    rng = np.random.default_rng(seed)
    return {
        "a": jnp.asarray(at + rng.normal(size=(N, 2, 3)), dtype),
        "b": jnp.asarray(at + rng.normal(size=(N, 5)), dtype),
    }


def rows(tree):
    return np.concatenate([np.asarray(x, np.float64).reshape(N, -1) for x in jax.tree.leaves(tree)], 1)


message = jax.jit(lambda attack, ctx, own, sent: attack.message(ctx, own, sent))
server = jax.jit(lambda attack, ctx, sent, bad: attack.server(ctx, sent, bad))


def numpy_alie(links, own, sent, bad, z):
    index, weight, out = np.asarray(links.senders()), np.asarray(links.weights()), []
    for i in range(N):
        honest = [sent[index[i, s]] for s in range(K) if weight[i, s] and not bad[index[i, s]]]
        crowd = np.array([own[i], *honest])
        std = crowd.std(0, ddof=1) if len(crowd) > 1 else np.zeros_like(own[i])
        out.append(crowd.mean(0) - z * std)
    return np.array(out)


def test_alie_per_receiver():
    links, own, sent = graph(), values(2), values(3)
    attack = attacks.alie(adversaries=3, z=1.5)
    ctx = context(attack, links)
    same, rewrite = message(attack, ctx, own, sent)
    np.testing.assert_array_equal(rows(same), rows(sent))
    np.testing.assert_allclose(
        rows(rewrite), numpy_alie(links, rows(own), rows(sent), attack.is_adversary(N), 1.5), atol=1e-12
    )


@pytest.mark.slow
def test_alie_does_not_count_sleepers():
    attack = attacks.alie(adversaries=(1,), z=1.5)
    ctx, own = context(attack, graph()), values()
    awake = jnp.ones(ctx.links.n, bool).at[3].set(False)
    far = {k: v.at[3].add(100.0) for k, v in own.items()}
    ctx = ctx._replace(awake=awake)
    here, there = (rows(attack.message(ctx, x, x)[1]) for x in (own, far))
    others = np.arange(ctx.links.n) != 3
    np.testing.assert_allclose(here[others], there[others], atol=1e-12)


def test_alie_does_not_cancel_near_consensus():
    """Values that differ in the sixth digit: float32 sums of squares would give noise for the variance."""
    links, sent = graph(), values(dtype=jnp.float32)
    sent = jax.tree.map(lambda x: (100 + 1e-4 * x).astype(jnp.float32), sent)
    attack = attacks.alie(adversaries=(1, 6), z=10.0)
    _, rewrite = message(attack, context(attack, links), sent, sent)
    want = numpy_alie(links, rows(sent), rows(sent), attack.is_adversary(N), 10.0)
    np.testing.assert_allclose(rows(rewrite), want, atol=4e-5)  # a few units in the last place of 100, times z


def test_alie_z_sweeps_and_keeps_dtypes():
    links, sent = graph(), values()
    ctx = context(attacks.alie(adversaries=2, z=1.0), links)
    swept = jax.vmap(lambda z: message(attacks.alie(2, z), ctx, sent, sent)[1])(jnp.array([0.5, 2.0]))
    for i, z in enumerate((0.5, 2.0)):
        one = message(attacks.alie(2, z), ctx, sent, sent)[1]
        np.testing.assert_allclose(rows(jax.tree.map(lambda x: x[i], swept)), rows(one), atol=1e-12)  # noqa: B023
    low = message(attacks.alie(2, 1.0), ctx, values(dtype=jnp.bfloat16), values(dtype=jnp.bfloat16))[1]
    assert {x.dtype for x in jax.tree.leaves(low)} == {jnp.dtype(jnp.bfloat16)}


def test_alie_at_a_server():
    attack = attacks.alie(adversaries=(2, 5), z=1.5)
    sent, bad = values(), attack.is_adversary(N)
    got = rows(server(attack, context(attack), sent, jnp.asarray(bad)))
    honest = rows(sent)[~bad]
    np.testing.assert_allclose(got[bad], np.tile(honest.mean(0) - 1.5 * honest.std(0, ddof=1), (2, 1)), atol=1e-12)
    np.testing.assert_array_equal(got[~bad], honest)
    by_formula = rows(server(attacks.alie(adversaries=(2, 5)), context(attack), sent, jnp.asarray(bad)))
    z = attacks.z_max(N, 2)
    np.testing.assert_allclose(by_formula[bad][0], honest.mean(0) - z * honest.std(0, ddof=1), atol=1e-6)


def test_alie_at_a_server_counts_those_who_send():
    """Of 8 nodes 6 are awake, one of them an adversary: mean, std and z are those of a network of 6."""
    attack = attacks.alie(adversaries=(2, 5))
    awake = np.array([True, True, True, False, True, False, True, True])
    sent, bad = values(), attack.is_adversary(N)
    ctx = context(attack)._replace(mask=jnp.asarray(awake))
    got = rows(server(attack, ctx, sent, jnp.asarray(bad)))
    honest = rows(sent)[~bad & awake]
    want = honest.mean(0) - attacks.z_max(6, 1) * honest.std(0, ddof=1)
    np.testing.assert_allclose(got[2], want, atol=1e-6)


def test_z_of_the_formula():
    known = {(10, 2): 0.0, (16, 3): 0.097, (20, 4): 0.157, (25, 5): 0.253, (26, 5): 0.180, (50, 10): 0.253,
             (51, 12): 0.361, (64, 8): 0.135, (100, 20): 0.286}  # fmt: skip
    for (n, f), z in known.items():
        assert round(attacks.z_max(n, f), 3) == z
    links, sent = graph(), values()
    attack = attacks.alie(adversaries=2)
    _, rewrite = message(attack, context(attack, links), sent, sent)
    want = numpy_alie(links, rows(sent), rows(sent), attack.is_adversary(N), attacks.z_max(N, 2))
    np.testing.assert_allclose(rows(rewrite), want, atol=1e-12)


def test_sign_flip():
    sent = values()
    attack = attacks.sign_flip(adversaries=(0, 4), strength=3.0)
    got, per_receiver = message(attack, context(attack), sent, sent)
    assert per_receiver is None
    np.testing.assert_array_equal(rows(got), rows(sent) * np.where(attack.is_adversary(N), -3, 1)[:, None])
    h, f = 6, 2  # equal values, strength h/f: the mean is exactly 0
    equal = {"w": jnp.ones((N, 3))}
    flip = attacks.sign_flip(adversaries=(0, 4), strength=h / f)
    assert float(jnp.abs(flip.server(context(flip), equal, context(flip).is_adversary)["w"].mean(0)).max()) == 0


def test_label_flip():
    attack = attacks.label_flip(adversaries=(1,), num_classes=10)
    batch = {"x": jnp.zeros((N, 4, 2)), "y": jnp.tile(jnp.arange(4, dtype=jnp.int32), (N, 1))}
    once = attack.batch(context(attack), batch)
    np.testing.assert_array_equal(once["y"][1], [9, 8, 7, 6])
    np.testing.assert_array_equal(np.delete(once["y"], 1, 0), np.delete(batch["y"], 1, 0))
    assert once["y"].dtype == jnp.int32
    twice = attack.batch(context(attack), once)
    np.testing.assert_array_equal(twice["y"], batch["y"])
    with pytest.raises(ValueError, match="integer labels"):
        attack.batch(context(attack), {"x": jnp.zeros((N, 2)), "y": jnp.zeros((N, 2))})


def test_who_is_an_adversary():
    make = lambda who, seed=0: attacks.sign_flip(adversaries=who, seed=seed).is_adversary(100)
    masks = [make(f) for f in (0, 5, 20)]
    assert [m.sum() for m in masks] == [0, 5, 20]
    assert (masks[1] <= masks[2]).all()  # a smaller group is part of a larger one
    np.testing.assert_array_equal(make(0.2), make(20))
    np.testing.assert_array_equal(np.flatnonzero(make([7, 3])), [3, 7])
    assert (make(5) != make(5, seed=1)).any()
    assert hash(attacks.alie(adversaries=[4, 2], z=1.0)) == hash(attacks.alie(adversaries=(2, 4), z=1.0))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: attacks.sign_flip(adversaries=-1), ValueError, "adversaries is -1"),
        (lambda: attacks.sign_flip(adversaries=1.5), ValueError, "share"),
        (lambda: attacks.sign_flip(adversaries=True), TypeError, "count like 3"),
        (lambda: attacks.sign_flip(adversaries="all"), TypeError, "count like 3"),
        (lambda: attacks.sign_flip(adversaries=(1, 1)), ValueError, "distinct"),
        (lambda: attacks.sign_flip(adversaries=(1.5,)), TypeError, "ids like"),
        (lambda: attacks.sign_flip(adversaries=(9,)).is_adversary(9), ValueError, "names node 9.*n = 9"),
        (lambda: attacks.sign_flip(adversaries=9).is_adversary(9), ValueError, "fewer than 9"),
        (lambda: attacks.sign_flip(adversaries=range(4)).is_adversary(4), ValueError, "at least one honest"),
        (lambda: attacks.sign_flip(adversaries=1, strength=-1.0), ValueError, "SignFlip.strength is -1.0"),
        (lambda: attacks.alie(adversaries=1, z=float("nan")), ValueError, "Alie.z is nan"),
        (lambda: attacks.alie(adversaries=5).is_adversary(10), ValueError, "2 f < n"),
        (lambda: attacks.label_flip(adversaries=1, num_classes=1), ValueError, "num_classes is 1"),
    ],
)
def test_bad_input(make, error, text):
    with pytest.raises(error, match=text):
        make()
