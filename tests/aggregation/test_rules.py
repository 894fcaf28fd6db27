"""Robust rules against NumPy loops over receivers, on graphs of unequal degree, with lost and broken messages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax import aggregation
from dejax.mixing.kernels.neighbor_lists import NeighborLists
from dejax.round.context import Context
from dejax.round.received import Received

N, K = 7, 4


def links(seed=0):
    """A random graph: node i hears 1 to K others; padding holds the own id and weight 0."""
    rng = np.random.default_rng(seed)
    index, weight = np.tile(np.arange(N)[:, None], (1, K)), np.zeros((N, K))
    for i in range(N):
        degree = K if i < 4 else rng.integers(1, K + 1)
        index[i, :degree] = rng.permutation(np.delete(np.arange(N), i))[:degree]
        weight[i, :degree] = 1 / (degree + 2)
    return NeighborLists(jnp.asarray(index), jnp.asarray(weight), jnp.asarray(1 - weight.sum(1)))


def received(sent, graph, lost=None, rewrite=None, adversary=None, own=None):
    mask = None if lost is None else (graph.weights() != 0) & ~lost
    weights = None if lost is None else jnp.where(mask, graph.weights(), 0)
    self_weights = None if lost is None else 1 - weights.sum(1)
    key = jax.random.key(0)
    ctx = Context(jnp.int32(0), jnp.arange(N), key, jax.random.split(key, N), graph, mask, adversary)
    return ctx, Received(
        ctx, None, sent if own is None else own, sent, base=sent, rewrite=rewrite, weights=weights,
        self_weights=self_weights, mask=mask, adversary=adversary,
    )  # fmt: skip


@jax.jit
def combine(rule, sent, graph, lost=None, rewrite=None, adversary=None, own=None):
    return rule.combine(*received(sent, graph, lost, rewrite, adversary, own))


def tree(seed=1, dtype=jnp.float64):
    rng = np.random.default_rng(seed)
    return {"a": jnp.asarray(rng.normal(size=(N, 2, 3)), dtype), "b": jnp.asarray(rng.normal(size=(N, 4)), dtype)}


def rows(values):
    return np.concatenate([np.asarray(x).reshape(N, -1) for x in jax.tree.leaves(values)], 1)


def neighborhoods(graph, sent, lost=None, rewrite=None, adversary=None):
    """For every receiver: own row, and the list of rows that arrive."""
    sent, index, weight = rows(sent), np.asarray(graph.senders()), np.asarray(graph.weights())
    for i in range(N):
        got = []
        for s in range(K):
            if weight[i, s] and not (lost is not None and lost[i, s]):
                j = index[i, s]
                got.append(rows(rewrite)[i] if rewrite is not None and adversary[j] else sent[j])
        yield i, sent[i], np.array(got).reshape(-1, sent.shape[1])


def numpy_nna(own, got, f):
    distance = ((got - own) ** 2).sum(1)
    distance[~np.isfinite(distance)] = np.inf
    keep = [j for j in np.argsort(distance, kind="stable")[: max(len(got) - f, 0)] if np.isfinite(distance[j])]
    return np.concatenate([own[None], got[keep]]).mean(0)


def numpy_columns(fn, own, got):
    together = np.concatenate([own[None], got])
    return np.array([fn(np.sort(c[np.isfinite(c)])) for c in together.T])


def numpy_trimmed(column, f):
    cut = min(f, (len(column) - 1) // 2)
    return column[cut : len(column) - cut].mean()


RULES = {
    "nna0": (aggregation.nna(f=0), lambda own, got: numpy_nna(own, got, 0)),
    "nna1": (aggregation.nna(f=1), lambda own, got: numpy_nna(own, got, 1)),
    "nna3": (aggregation.nna(f=3), lambda own, got: numpy_nna(own, got, 3)),
    "median": (aggregation.coordinate_median(), lambda own, got: numpy_columns(np.median, own, got)),
    "trim0": (aggregation.trimmed_mean(f=0), lambda own, got: numpy_columns(lambda c: numpy_trimmed(c, 0), own, got)),
    "trim1": (aggregation.trimmed_mean(f=1), lambda own, got: numpy_columns(lambda c: numpy_trimmed(c, 1), own, got)),
    "trim2": (aggregation.trimmed_mean(f=2), lambda own, got: numpy_columns(lambda c: numpy_trimmed(c, 2), own, got)),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("case", ["plain", "lost", "rewritten", "broken"])
def test_against_numpy(name, case):
    rule, reference = RULES[name]
    graph, sent = links(), tree()
    lost = np.random.default_rng(5).random((N, K)) < 0.4 if case in ("lost", "broken") else None
    adversary = np.arange(N) % 3 == 1 if case == "rewritten" else None
    rewrite = tree(seed=9) if case == "rewritten" else None
    own = sent
    if case == "broken":  # what node 2 and 5 send is broken; what they hold is not
        sent = jax.tree.map(lambda x: x.at[2].set(jnp.nan).at[5].set(jnp.inf), sent)
    result = rows(combine(rule, sent, graph, lost, rewrite, adversary, own))
    for i, _, arrived in neighborhoods(graph, sent, lost, rewrite, adversary):
        np.testing.assert_allclose(result[i], reference(rows(own)[i], arrived), rtol=1e-12, atol=1e-12)


def test_weighted_mean_is_w():
    graph, sent = links(), tree()
    w = np.diag(np.asarray(graph.self_weights()))
    for i in range(N):
        for s in range(K):
            w[i, np.asarray(graph.senders())[i, s]] += np.asarray(graph.weights())[i, s] * (
                np.asarray(graph.senders())[i, s] != i
            )
    np.testing.assert_allclose(rows(combine(aggregation.weighted_mean(), sent, graph)), w @ rows(sent), rtol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_translation_equal_inputs_and_dtypes(name):
    rule, _ = RULES[name]
    graph, sent = links(), tree()
    base = rows(combine(rule, sent, graph))
    moved = jax.tree.map(lambda x: x + 3.0, sent)
    np.testing.assert_allclose(rows(combine(rule, moved, graph)), base + 3, atol=1e-12)
    equal = jax.tree.map(lambda x: jnp.broadcast_to(x[:1], x.shape), sent)
    np.testing.assert_allclose(rows(combine(rule, equal, graph)), rows(equal), atol=1e-14)
    out = combine(rule, tree(dtype=jnp.bfloat16), graph)
    assert {x.dtype for x in jax.tree.leaves(out)} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.slow
def test_f_can_be_swept():
    graph, sent = links(), tree()
    for kind in (aggregation.nna, aggregation.trimmed_mean):
        swept = jax.jit(jax.vmap(lambda f: combine(kind(f), sent, graph)))(jnp.arange(3))  # noqa: B023
        for f in range(3):
            want = combine(kind(jnp.int64(f)), sent, graph)
            np.testing.assert_allclose(rows(jax.tree.map(lambda x: x[f], swept)), rows(want), rtol=1e-14)  # noqa: B023


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: aggregation.nna(f=-1), ValueError, "Nna.f is -1"),
        (lambda: aggregation.nna(f=1.5), ValueError, "whole number"),
        (lambda: aggregation.trimmed_mean(f=True), TypeError, "bool"),
        (lambda: aggregation.nna(f=2).check(2), ValueError, r"Nna.f is 2.*f <= 1"),
        (lambda: aggregation.nna(f=jnp.int32(1)).check(1), ValueError, "higher degree"),
        (lambda: aggregation.trimmed_mean(f=1).check(1), ValueError, "TrimmedMean.f is 1"),
    ],
)
def test_bad_input(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_possible_f_passes():
    aggregation.nna(f=1).check(2)
    aggregation.trimmed_mean(f=2).check(4)
    aggregation.coordinate_median().check(0)
