"""Per-node sampling: every real sample as often as it should be, padding never."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax.core.random import fold_in
from dejax.data.sampling import Epoch, Full, Replacement, permuted

COUNTS = np.array([1, 2, 5, 7, 8], np.int32)


def shards():
    """Unequal shards with distinct rows, padded with the node's own first row."""
    first = np.concatenate([[0], np.cumsum(COUNTS)[:-1]])
    place = np.arange(COUNTS.max())[None]
    index = np.where(place < COUNTS[:, None], first[:, None] + place, first[:, None]).astype(np.int32)
    return jnp.asarray(index), jnp.asarray(COUNTS)


def run(sampler, rounds, key):
    index, count = shards()
    ids = jnp.arange(len(COUNTS))
    base = fold_in(jax.random.fold_in(key, 99), ids)
    draw = jax.jit(sampler.draw)
    memory, out = sampler.init(len(COUNTS)), []
    for t in range(rounds):
        rows, weight, memory = draw(memory, count, index, fold_in(jax.random.fold_in(key, t), ids), base)
        out.append((np.asarray(rows), None if weight is None else np.asarray(weight)))
    return out, np.asarray(index)


def own(index, i):
    return set(index[i, : COUNTS[i]].tolist())


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 3, 8, 20])
def test_epoch_covers_every_sample_once_and_no_padding(key, size):
    epochs = 6
    rounds = epochs * max(-(-c // size) for c in COUNTS)
    out, index = run(Epoch(size), rounds, key)
    orders = []
    for i, c in enumerate(COUNTS):
        per_epoch = -(-c // size)
        seen = [rows[i][w[i] == 1] for rows, w in out]
        sizes = [len(s) for s in seen]
        expected = [size] * (c // size) + ([c % size] if c % size else [])
        assert sizes[:per_epoch] * (rounds // per_epoch) == sizes[: rounds // per_epoch * per_epoch]
        assert sizes[:per_epoch] == expected
        for e in range(rounds // per_epoch):
            epoch = np.concatenate(seen[e * per_epoch : (e + 1) * per_epoch])
            assert len(epoch) == c and set(epoch.tolist()) == own(index, i)
            if i == 4:
                orders.append(tuple(epoch))
    assert len(set(orders)) >= len(orders) - 1  # a fresh order each epoch
    assert all(set(np.unique(w)) <= {0.0, 1.0} for _, w in out)


def test_epoch_order_depends_on_node_and_epoch_only(key):
    index, count = shards()
    ids = jnp.arange(5)
    base = fold_in(key, ids)
    draw = jax.jit(Epoch(2).draw)
    at = lambda t: draw(jnp.full((5,), 3, jnp.int32), count, index, fold_in(jax.random.key(t), ids), base)[0]
    np.testing.assert_array_equal(at(0), at(1))
    part = draw(jnp.full((2,), 3, jnp.int32), count[3:], index[3:], base[3:], base[3:])
    np.testing.assert_array_equal(part[0], at(0)[3:])


@pytest.mark.slow
def test_permuted_is_a_uniform_permutation(key):
    """All 24 orders of 4 places equally often, within 5 standard errors; and exactly permutations for every size."""
    draws = 24_000
    keys = jax.random.split(key, draws)
    place = jnp.broadcast_to(jnp.arange(4, dtype=jnp.int32), (draws, 4))
    got = np.asarray(jax.jit(permuted)(keys, place, jnp.full((draws,), 4, jnp.int32)))
    assert (np.sort(got, 1) == np.arange(4)).all()
    code, freq = np.unique(got @ (4 ** np.arange(4)), return_counts=True)
    assert len(code) == 24
    assert np.abs(freq - draws / 24).max() < 5 * np.sqrt(draws / 24 * 23 / 24)
    sizes = jnp.arange(1, 41, dtype=jnp.int32)
    place = jnp.minimum(jnp.arange(40, dtype=jnp.int32)[None, :], sizes[:, None] - 1)
    got = np.asarray(jax.jit(permuted)(jax.random.split(key, 40), place, sizes))
    for n in range(1, 41):
        assert sorted(got[n - 1, :n]) == list(range(n))


def test_permuted_places_and_neighbours_are_uniform(key):
    """Of 50 places: where 0 goes is uniform, and so is the distance between where 0 and 1 go (chi-square, 5 sigma)."""
    draws, n = 20_000, 50
    keys = jax.random.split(key, draws)
    place = jnp.broadcast_to(jnp.arange(2, dtype=jnp.int32), (draws, 2))
    got = np.asarray(jax.jit(permuted)(keys, place, jnp.full((draws,), n, jnp.int32)))
    for values, cells in ((got[:, 0], n), ((got[:, 1] - got[:, 0]) % n - 1, n - 1)):
        freq = np.bincount(values, minlength=cells)
        chi = ((freq - draws / cells) ** 2 / (draws / cells)).sum()
        assert abs(chi - (cells - 1)) < 5 * np.sqrt(2 * (cells - 1))


def test_replacement_is_uniform_over_own_samples(key):
    rounds, size = 200, 16
    out, index = run(Replacement(size), rounds, key)
    assert all(w is None for _, w in out)
    rows = np.concatenate([r for r, _ in out], 1)
    for i, c in enumerate(COUNTS):
        values, freq = np.unique(rows[i], return_counts=True)
        assert set(values.tolist()) == own(index, i)
        p, total = 1 / c, rounds * size
        assert np.abs(freq - total * p).max() <= 5 * np.sqrt(total * p * (1 - p)) + 1e-9


def test_replacement_differs_between_nodes_and_rounds(key):
    out, index = run(Replacement(8), 2, key)
    place = [[np.argmax(index[i] == r) for r in out[t][0][i]] for t in (0, 1) for i in (3, 4)]
    assert len({tuple(p) for p in place}) == 4


def test_full_gives_everything_once(key):
    out, index = run(Full(), 2, key)
    for rows, w in out:
        assert w.dtype == np.float32
        np.testing.assert_array_equal(w.sum(1), COUNTS)
        for i in range(5):
            assert set(rows[i][w[i] == 1].tolist()) == own(index, i)


def test_even_nodes_need_no_weights(key):
    index = jnp.arange(12, dtype=jnp.int32).reshape(3, 4)
    count, keys = jnp.full((3,), 4, jnp.int32), jax.random.split(key, 3)
    assert Full(even=True).draw((), count, index, keys, keys)[1] is None
    rows, weight, _ = jax.jit(Epoch(2, even=True).draw)(jnp.zeros((3,), jnp.int32), count, index, keys, keys)
    assert weight is None and rows.shape == (3, 2)


def test_dtypes_are_kept(key):
    index, count = shards()
    keys = jax.random.split(key, 5)
    for s in (Full(), Epoch(3), Replacement(3)):
        memory = s.init(5)
        rows, weight, after = jax.jit(s.draw)(memory, count, index, keys, keys)
        assert rows.dtype == jnp.int32 and (weight is None or weight.dtype == jnp.float32)
        assert jax.tree.map(lambda x: (x.shape, x.dtype), memory) == jax.tree.map(lambda x: (x.shape, x.dtype), after)


def test_bad_batch_sizes():
    for bad in (0, -3):
        with pytest.raises(ValueError, match="batch_size"):
            Replacement(bad)
    with pytest.raises(TypeError, match=r"batch_size is 2\.5"):
        Epoch(2.5)
