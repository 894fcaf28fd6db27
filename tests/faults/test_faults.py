"""Lost links and sleeping nodes: rates, symmetry, independence of the layout."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax import faults
from dejax.mixing.kernels.neighbor_lists import NeighborLists
from dejax.round.context import Context

N, K = 12, 4


def graph(seed=0):
    """Ring with two chords a side, neighbors of each node in a random order."""
    rng = np.random.default_rng(seed)
    index = np.array([rng.permutation([(i + o) % N for o in (-2, -1, 1, 2)]) for i in range(N)])
    return NeighborLists(jnp.asarray(index), jnp.full((N, K), 0.2), jnp.full((N,), 0.2))


def context(key, n=N, ticks=None):
    return Context(
        jnp.int32(0), jnp.arange(n), key, jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(n)), ticks=ticks
    )


def matrix(up, links):
    """[receiver, sender]: 1 arrives, 0 lost, -1 no link."""
    out = -np.ones((N, N), int)
    for i in range(N):
        for s in range(K):
            out[i, int(links.senders()[i, s])] = up[i, s]
    return out


arrives = jax.jit(lambda fault, ctx, links: fault.arrives(ctx, links))
many = jax.jit(jax.vmap(lambda fault, key, links: fault.arrives(context(key), links), (None, 0, None)))


def test_link_loss_hits_both_directions_and_ignores_the_layout(key):
    first = matrix(arrives(faults.link_loss(0.4), context(key), graph(0)), graph(0))
    np.testing.assert_array_equal(first, first.T)
    again = matrix(arrives(faults.link_loss(0.4), context(key), graph(1)), graph(1))
    np.testing.assert_array_equal(first, again)
    assert 0 < (first == 0).sum() < (first >= 0).sum()
    directed = matrix(arrives(faults.directed_link_loss(0.4), context(key), graph(0)), graph(0))
    assert (directed != directed.T).any()


@pytest.mark.parametrize("make", [faults.link_loss, faults.directed_link_loss])
def test_rate_independence_and_extremes(make, key):
    p, draws = 0.3, 2000
    lost = 1.0 - np.asarray(many(make(p), jax.random.split(key, draws), graph()))
    slack = 5 * math.sqrt(p * (1 - p) / draws)
    assert (np.abs(lost.mean(0) - p) < slack).all()
    assert abs(np.corrcoef(lost[:, 0, 0], lost[:, 5, 1])[0, 1]) < 5 / math.sqrt(draws)
    assert bool(arrives(make(0.0), context(key), graph()).all()) and not bool(
        arrives(make(1.0), context(key), graph()).any()
    )
    np.testing.assert_array_equal(  # more loss loses the same links and more
        arrives(make(0.2), context(key), graph()) | arrives(make(0.6), context(key), graph()),
        arrives(make(0.2), context(key), graph()),
    )


def test_p_is_a_leaf_and_sweeps(key):
    swept = jax.vmap(lambda p: faults.link_loss(p).arrives(context(key), graph()))(jnp.array([0.1, 0.8]))
    for up, p in zip(swept, (0.1, 0.8), strict=True):
        np.testing.assert_array_equal(up, arrives(faults.link_loss(p), context(key), graph()))


def test_timetables_index_losses_by_the_event(key):
    """Pairs share the event's number; another number draws anew, other pairs are untouched."""
    pair = NeighborLists(jnp.arange(N)[:, None] ^ 1, jnp.full((N, 1), 0.5), jnp.full((N,), 0.5))
    loss = faults.link_loss(0.5)
    ticks = jnp.arange(N) // 2
    base = np.asarray(arrives(loss, context(key, ticks=ticks), pair))[:, 0]
    np.testing.assert_array_equal(base[::2], base[1::2])
    changed = False
    for tick in range(10, 20):
        new = np.asarray(arrives(loss, context(key, ticks=ticks.at[:2].set(tick)), pair))[:, 0]
        np.testing.assert_array_equal(new[2:], base[2:])
        changed |= bool(new[0] != base[0])
    assert changed


def test_large_networks_use_both_ids(key):
    n = 70_000
    index = jnp.stack([(jnp.arange(n) - 1) % n, (jnp.arange(n) + 1) % n], 1)
    links = NeighborLists(index, jnp.full((n, 2), 1 / 3), jnp.full((n,), 1 / 3))
    up = np.asarray(arrives(faults.link_loss(0.5), Context(jnp.int32(0), jnp.arange(n), key, None), links))
    np.testing.assert_array_equal(up[:, 1], np.roll(up[:, 0], -1))
    assert abs(up.mean() - 0.5) < 5 * 0.5 / math.sqrt(n)


def test_churn_and_uploads(key):
    p, n = 0.3, 4000
    slack = 5 * math.sqrt(p * (1 - p) / n)
    for fault, mask in (
        (faults.churn(p), faults.churn(p).awake(context(key, n))),
        (faults.link_loss(p), faults.link_loss(p).uploads(context(key, n))),
        (faults.directed_link_loss(p), faults.directed_link_loss(p).uploads(context(key, n))),
    ):
        assert abs(1 - float(mask.mean()) - p) < slack, fault
    assert faults.churn(p).arrives(context(key), graph()) is None and faults.churn(p).uploads(context(key)) is None
    assert faults.link_loss(p).awake(context(key)) is None
    assert faults.churn(p).sleeps and not faults.link_loss(p).sleeps
    both = np.stack([faults.churn(p).awake(context(key, n)), faults.link_loss(p).uploads(context(key, n))])
    assert abs(np.corrcoef(both)[0, 1]) < 5 / math.sqrt(n)  # one key, two names: independent draws


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: faults.link_loss(p=1.1), ValueError, "LinkLoss.p is 1.1"),
        (lambda: faults.directed_link_loss(p=-0.1), ValueError, "DirectedLinkLoss.p is -0.1"),
        (lambda: faults.churn(p=1.0), ValueError, "Churn.p is 1.0"),
        (lambda: faults.churn(p=True), TypeError, "bool"),
    ],
)
def test_bad_input(make, error, text):
    with pytest.raises(error, match=text):
        make()
