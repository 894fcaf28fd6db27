"""Routed 1-NN: the nearest sample that a node and those it asks hold."""

import jax
import numpy as np
import pytest

import dejax as dj

N, PUBLIC = 6, 30
DATA = dj.data.digits(flat=True).partition(
    dj.data.dirichlet_by_class(alpha=0.5, min_size=4), nodes=N, seed=0, public=PUBLIC
)
PROBLEM = dj.Problem(dj.tasks.mlp(64, 4, 10), DATA)
X, Y = (np.asarray(DATA.public[k]) for k in ("x", "y"))
SHARDS = [DATA.node(i) for i in range(N)]


def asked(method, graph, rounds=1, **options):
    return dj.rollout(method, PROBLEM, dj.Network(graph, **options), jax.random.key(0), rounds)


def nearest(q, nodes):
    """(distance, label) of the nearest sample that these nodes hold, one node after the other."""
    best = (np.inf, None)
    for j in sorted(nodes):
        far = ((SHARDS[j]["x"] - X[q]) ** 2).sum(1)
        if far.min() < best[0]:
            best = (far.min(), SHARDS[j]["y"][far.argmin()])
    return best


def check(state, nodes_of):
    queries = np.asarray(state.queries)
    for i, row in enumerate(queries):
        want = [nearest(q, nodes_of(i, q)) for q in row]
        np.testing.assert_array_equal(state.labels[i], [label for _, label in want])
        np.testing.assert_allclose(state.distances[i], [far for far, _ in want], rtol=1e-5)
    return queries


def test_who_asks_all_shards_has_the_global_nearest_neighbor():
    state, meters = asked(dj.methods.one_nn(queries=8), dj.topology.complete(N))
    queries = check(state, lambda i, q: range(N))
    assert len(np.unique(queries)) > PUBLIC // 2  # nodes draw for themselves
    totals = meters.totals()
    edges = N * (N - 1)
    assert totals["wire/query/ask/query"] == 8 * edges * 64 * 32
    assert totals["wire/query/ask/answer"] == 8 * edges * 64
    wrong = np.mean(np.asarray(state.labels) != Y[queries])
    np.testing.assert_allclose(meters.values["nearest/error"][0], wrong, rtol=1e-6)
    assert wrong < 0.2
    np.testing.assert_array_equal(state.asked, np.full(N, 8))
    np.testing.assert_array_equal(state.errors, (np.asarray(state.labels) != Y[queries]).sum(1))


def test_a_query_goes_to_the_neighbors_whose_means_are_nearest():
    ring = dj.topology.ring(N)
    means = np.stack([shard["x"].mean(0) for shard in SHARDS])

    def routed(i, q):
        around = [(i - 1) % N, (i + 1) % N]
        return [i, min(around, key=lambda j: ((means[j] - X[q]) ** 2).sum())]

    state, meters = asked(dj.methods.one_nn(queries=8, peers=1), ring)
    check(state, routed)
    totals = meters.totals()
    assert totals["wire/query/ask/query"] == 8 * N * 64 * 32 == 4 * totals["wire/means"]
    assert totals["wire/query/ask/answer"] == 8 * N * 64
    everybody = asked(dj.methods.one_nn(queries=8, peers=2), ring)[0]
    check(everybody, lambda i, q: [i, (i - 1) % N, (i + 1) % N])


def test_what_is_lost_is_not_answered():
    method = dj.methods.one_nn(queries=4)
    alone, meters = asked(method, dj.topology.ring(N), faults=dj.faults.link_loss(p=1.0))
    check(alone, lambda i, q: [i])
    assert meters.totals()["wire/query/ask/answer"] == 0 < meters.totals()["wire/query/ask/query"]


@pytest.mark.slow
def test_random_shards_answer_as_well_as_all_samples_together():
    """1-NN over shards of digits, with all neighbors of a sparse graph asked: far better than the own shard alone."""
    error = {}
    for name, faults in (("asked", ()), ("alone", dj.faults.link_loss(p=1.0))):
        _, meters = asked(dj.methods.one_nn(queries=20), dj.topology.complete(N), 4, faults=faults)
        error[name] = float(np.mean(meters.values["nearest/error"]))
    assert error["asked"] < 0.05 < 0.2 < error["alone"]


def test_impossible_numbers_and_options_are_named():
    for wrong in ({"queries": 0}, {"peers": 0}):
        with pytest.raises(dj.FieldError, match=next(iter(wrong))):
            dj.methods.one_nn(**wrong)
    ring, method = dj.topology.ring(N), dj.methods.one_nn()
    for options, text in (
        ({"faults": dj.faults.delay(phases=1)}, "asks neighbors"),
        ({"codec": dj.compression.direct(dj.compression.top_k(k=2), gamma=0.5)}, "labels of single samples"),
        ({"privacy": dj.privacy.gaussian_gradient(clip=1.0, noise_multiplier=1.0)}, "neither clips nor noises"),
    ):
        with pytest.raises(dj.RefusedError, match=text):
            asked(method, ring, **options)
    bare = dj.data.digits(flat=True).partition(dj.data.iid(), nodes=N, seed=0)
    with pytest.raises(dj.FieldError, match="no public rows"):
        dj.rollout(method, dj.Problem(dj.tasks.mlp(64, 10), bare), dj.Network(ring), jax.random.key(0), 1)
