"""Splits: every sample where it belongs, the limits of their laws, and impossible requests refused."""

import subprocess
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest

import dejax as dj
from dejax import data

LABELS = np.repeat(np.arange(10), 60)[np.random.default_rng(7).permutation(600)].astype(np.int32)
DISJOINT = {
    "iid": data.iid(),
    "dirichlet": data.dirichlet(alpha=0.3),
    "dirichlet_by_class": data.dirichlet_by_class(alpha=0.1),
    "shards": data.shards(per_node=2),
    "classes_per_node": data.classes_per_node(k=3),
    "quantity": data.quantity(sigma=1.5),
    "quantity_alpha": data.quantity(sigma=1.5, alpha=0.3),
    "power_law": data.power_law(exponent=1.2),
    "power_law_alpha": data.power_law(exponent=1.2, alpha=0.3),
    "rotation": data.rotation(turns=3),
    "rotation_alpha": data.rotation(alpha=0.5),
}
EQUAL = ("iid", "dirichlet", "rotation", "rotation_alpha")


def split(p, nodes=40, seed=0, labels=LABELS, groups=None):
    return p(labels, nodes, np.random.default_rng(seed), groups)


def histogram(parts, labels=LABELS):
    return np.stack([np.bincount(labels[p], minlength=labels.max() + 1) for p in parts])


def mean_distance(parts, labels=LABELS):
    """Mean total variation between the nodes' mixes and the overall one."""
    h = histogram(parts, labels)
    return 0.5 * np.abs(h / h.sum(1, keepdims=True) - h.sum(0) / h.sum()).sum(1).mean()


@pytest.mark.parametrize("name", DISJOINT)
@pytest.mark.parametrize("nodes", [1, 7, 40, 120])
def test_every_sample_once_and_nobody_empty(name, nodes):
    if name == "classes_per_node" and nodes * 3 < 10:
        pytest.skip("too few places for ten classes")
    parts = split(DISJOINT[name], nodes)
    assert len(parts) == nodes and parts.sizes.min() >= 1
    np.testing.assert_array_equal(np.sort(np.concatenate(list(parts))), np.arange(600))
    if name in EQUAL:
        assert parts.sizes.max() - parts.sizes.min() <= 1


@pytest.mark.parametrize("name", DISJOINT)
def test_as_many_nodes_as_samples_or_a_refusal(name):
    if name == "shards":
        with pytest.raises(ValueError, match="use at most 300 nodes"):
            split(DISJOINT[name], 600)
    elif name == "classes_per_node":
        with pytest.raises(ValueError, match="has 60 samples but 180 owners"):
            split(DISJOINT[name], 600)
    else:
        assert (split(DISJOINT[name], 600).sizes == 1).all()
    with pytest.raises(ValueError, match="nodes( is|=| = )?.*601"):
        split(DISJOINT[name], 601)


@pytest.mark.parametrize("name", [*DISJOINT, "overlapping"])
def test_seeded(name):
    p = DISJOINT.get(name, data.overlapping(samples=9, alpha=0.5))
    a, b, c = split(p, seed=3), split(p, seed=3), split(p, seed=4)
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not all(np.array_equal(x, y) for x, y in zip(a, c, strict=True))


@pytest.mark.slow
def test_same_split_in_another_process():
    code = (
        "import numpy as np, zlib, dejax.data as d; "
        "p = d.letters().partition(d.dirichlet(alpha=0.3), nodes=64, seed=5); "
        "print(zlib.crc32(np.asarray(p.index).tobytes()))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = np.asarray(data.letters().partition(data.dirichlet(alpha=0.3), nodes=64, seed=5).index)
    assert out == f"{zlib.crc32(here.tobytes())}\n"


def test_dirichlet_limits():
    far = [mean_distance(split(data.dirichlet(alpha=a), 20)) for a in (1e-6, 0.1, 1.0, 1e6)]
    iid = mean_distance(split(data.iid(), 20))
    assert far[0] > far[1] > far[2] > far[3]
    assert far[3] < iid * 1.3
    h = histogram(split(data.dirichlet(alpha=1e-9), 20))
    assert np.median((h > 0).sum(1)) <= 2 and (h.max(1) >= 15).sum() >= 15  # one class, but for those served last
    assert mean_distance(split(data.dirichlet(alpha=float("inf")), 20)) < iid * 1.3


def test_dirichlet_follows_what_it_drew_when_supply_allows():
    """With one node per ten samples of a class, realised counts are multinomial draws; drift tells the rest."""
    from dejax.data.partitions._dirichlet import serve

    rng = np.random.default_rng(0)
    mixes = rng.dirichlet(np.full(5, 0.5), size=30)
    got, drift = serve(mixes, np.full(30, 10), np.full(5, 10_000), rng)
    assert (got.sum(1) == 10).all() and (drift == 0).all()
    err = np.abs(got - 10 * mixes)
    assert err.mean() < 1.3 and (got[mixes < 1e-9] == 0).all()
    got, drift = serve(mixes, np.full(30, 10), np.full(5, 60), rng)
    assert (got.sum(0) == 60).all() and (got.sum(1) == 10).all() and 0 < drift.mean() < 0.5


def test_classes_without_samples_cost_nothing():
    """Class numbers with gaps give the split of the same classes without gaps."""
    gaps = LABELS * 10_000
    for p in (data.dirichlet(alpha=0.3), data.quantity(alpha=0.3)):
        a, b = split(p, labels=gaps), split(p)
        np.testing.assert_array_equal(a.rows, b.rows)


@pytest.mark.parametrize("alpha", [1e-9, 0.01])
def test_dirichlet_by_class_takes_no_table_of_nodes_by_nodes(alpha):
    labels = np.arange(50_000) % 10
    tracemalloc.start()
    parts = split(data.dirichlet_by_class(alpha=alpha, min_size=10), 5_000, labels=labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert parts.sizes.min() == 10 and peak < 5_000 * 5_000  # bytes; it takes 10 MB


def test_dirichlet_keeps_an_uneven_overall_mix():
    labels = np.repeat([0, 1], [900, 100])
    h = histogram(split(data.dirichlet(alpha=1e5), 50, labels=labels), labels)
    assert abs((h / h.sum(1, keepdims=True)).std(0)[0] - np.sqrt(0.09 / 20)) < 0.02


def test_dirichlet_by_class_limits():
    even = split(data.dirichlet_by_class(alpha=1e9), 20)
    assert even.sizes.max() - even.sizes.min() <= 10 and mean_distance(even) < 0.06
    lone = histogram(split(data.dirichlet_by_class(alpha=1e-9), 5))
    assert (lone.max(0) >= 55).all()  # every class at one node, but for what the empty ones were given
    small = split(data.dirichlet_by_class(alpha=0.05, min_size=10), 40)
    assert small.sizes.min() >= 10 and small.facts["drift"].max() > 0


def test_shards():
    h = histogram(split(data.shards(per_node=2), 50))
    assert (h.sum(1) == 12).all() and (h > 0).sum(1).max() <= 4
    h = histogram(split(data.shards(per_node=1), 10))
    assert (h.max(1) == 60).all() and (h.argmax(1).tolist() != list(range(10)))


@pytest.mark.parametrize("nodes, k", [(10, 1), (13, 3), (40, 7), (25, 10)])
def test_classes_per_node(nodes, k):
    h = histogram(split(data.classes_per_node(k=k), nodes))
    assert ((h > 0).sum(1) == k).all()
    owners = (h > 0).sum(0)
    assert owners.max() - owners.min() <= 1
    for c in range(10):
        held = h[h[:, c] > 0, c]
        assert held.max() - held.min() <= 1


def test_quantity_laws():
    flat = split(data.quantity(sigma=0.0), 40)
    assert (flat.sizes == 15).all()
    logs = np.log(split(data.quantity(sigma=0.5), 200, labels=np.zeros(100_000, np.int32)).sizes)
    assert abs(logs.std() - 0.5) < 5 * 0.5 / np.sqrt(400)
    sizes = np.sort(split(data.power_law(exponent=1.0), 4, labels=np.zeros(250, np.int32)).sizes)[::-1]
    assert np.abs(sizes - 250 / (25 / 12) / np.arange(1, 5)).max() < 2.5
    assert split(data.power_law(exponent=3.0, min_size=5), 40).sizes.min() >= 5


def test_apportion():
    from dejax.data.partitions._quantity import apportion

    assert apportion(10, np.array([1.0, 1.0, 1.0])).tolist() == [4, 3, 3]
    assert apportion(7, np.array([0.5, 3.0])).tolist() == [1, 6]
    assert apportion(0, np.array([1.0, 2.0])).tolist() == [0, 0]


def test_more_nodes_than_memory_holds_are_refused_before_they_are_drawn(monkeypatch):
    monkeypatch.setattr("dejax.data.partitions._overlapping.host_memory", lambda: 17 * 9 * 100)
    assert len(split(data.overlapping(samples=9), 100)) == 100
    words = r"nodes is 101, .* 9 samples alone take 15.5 kB of the 15.3 kB .* give nodes <= 100, or Overlapping.samples below 9"
    with pytest.raises(dj.TooLargeError, match=words) as error:
        split(data.overlapping(samples=9), 101)
    assert error.value.largest == 100


def test_overlapping_no_row_twice_at_a_node():
    parts = split(data.overlapping(samples=50, alpha=0.2), 3000)
    rows = np.stack(list(parts))
    assert rows.shape == (3000, 50) and (np.diff(np.sort(rows, 1), axis=1) > 0).all()
    assert mean_distance(parts) > mean_distance(split(data.overlapping(samples=50), 3000)) + 0.2
    freq = np.bincount(split(data.overlapping(samples=50), 3000).rows, minlength=600)
    p = 50 / 600
    assert np.abs(freq - 3000 * p).max() < 5 * np.sqrt(3000 * p * (1 - p))
    everything = split(data.overlapping(samples=600, alpha=0.2), 3)
    assert all(np.array_equal(np.sort(p), np.arange(600)) for p in everything)


def test_by_group():
    groups = np.array(["b", "a", "b", "c", "c", "c"])
    labels = np.zeros(6, np.int32)
    parts = split(data.by_group(), 3, labels=labels, groups=groups)
    assert [p.tolist() for p in parts] == [[1], [0, 2], [3, 4, 5]]
    merged = split(data.by_group(), 2, labels=labels, groups=groups)
    assert sorted(np.concatenate(list(merged)).tolist()) == list(range(6))
    assert all(
        len({m for m in range(2) if set(np.flatnonzero(groups == g)) & set(merged[m].tolist())}) == 1 for g in "abc"
    )
    with pytest.raises(ValueError, match="there are 3 groups"):
        split(data.by_group(), 4, labels=labels, groups=groups)
    with pytest.raises(ValueError, match="by_group needs group ids"):
        split(data.by_group(), 2)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: data.dirichlet(alpha=0), "alpha is 0; give a number > 0"),
        (lambda: data.dirichlet(alpha=-1.0), r"alpha is -1\.0"),
        (lambda: data.dirichlet(alpha=float("nan")), "alpha is nan"),
        (lambda: data.dirichlet_by_class(alpha=0.0), r"DirichletByClass\.alpha"),
        (lambda: data.dirichlet_by_class(alpha=1.0, min_size=0), "min_size is 0"),
        (lambda: data.overlapping(samples=0), "samples is 0"),
        (lambda: data.overlapping(alpha=0.0), "alpha"),
        (lambda: data.quantity(sigma=-1.0), "sigma"),
        (lambda: data.power_law(exponent=float("nan")), "exponent"),
        (lambda: data.rotation(turns=5), "turns is 5; give 1 to 4"),
        (lambda: data.shards(per_node=0), "per_node is 0"),
        (lambda: split(data.classes_per_node(k=11)), "the data have 10 classes"),
        (lambda: split(data.classes_per_node(k=2), 4), "leave some without owner"),
        (lambda: split(data.dirichlet_by_class(alpha=1.0, min_size=20)), "use at most 30 nodes"),
        (lambda: split(data.overlapping(samples=601)), "there are 600 samples"),
        (lambda: data.letters().partition(data.iid(), nodes=0), "nodes"),
        (lambda: data.letters().partition(data.iid(), nodes=2, holdout=1.0), "holdout is 1"),
        (lambda: data.letters().partition(data.rotation(), nodes=2), "rotation turns square images"),
        (lambda: data.letters().partition(lambda *a: [[0], []], nodes=2), "node 1 got no sample"),
        (lambda: data.letters().partition(lambda *a: [[0], [16000]], nodes=2), "rows 0..16000 of 16000"),
        (lambda: data.letters().partition(lambda *a: [[0]], nodes=2), "returned 1 parts"),
    ],
)
def test_impossible_requests_are_named(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: data.dirichlet(alpha="0.3"), r"alpha is '0\.3' \(str\)"),
        (lambda: data.dirichlet(alpha=True), "alpha is True"),
        (lambda: data.shards(per_node=1.5), r"per_node is 1\.5"),
        (lambda: split(data.dirichlet(alpha=1.0), labels=np.zeros((600, 2))), "splits by class"),
        (lambda: data.letters().partition("iid", nodes=2), "partitioner is 'iid'"),
        (lambda: data.letters().partition(lambda *a: [[0.5], [1]], nodes=2), "give row numbers"),
    ],
)
def test_wrong_types_are_named(make, text):
    with pytest.raises(TypeError, match=text):
        make()


def test_partitioners_are_values():
    for p in (*DISJOINT.values(), data.overlapping(), data.by_group()):
        assert hash(p) == hash(type(p)(**vars(p))) and p == type(p)(**vars(p))


def test_your_own_partitioner():
    halves = lambda labels, nodes, rng, groups: [np.arange(len(labels))[i::nodes] for i in range(nodes)]
    nd = data.letters().partition(halves, nodes=3)
    assert nd.rows(1)[:3].tolist() == [1, 4, 7]


def test_thousands_of_nodes_are_fast():
    letters = data.letters()
    start = time.perf_counter()
    parts = data.dirichlet(alpha=0.3)(letters.labels, 1024, np.random.default_rng(0))
    many = data.overlapping(samples=16, alpha=0.3)(letters.labels, 65_536, np.random.default_rng(0))
    seconds = time.perf_counter() - start
    assert set(parts.sizes.tolist()) == {15, 16} and len(many) == 65_536
    assert seconds < 5  # 0.4 s alone on one core; a Python loop over nodes would take far longer


def test_quickstart_skew():
    h = data.letters().partition(data.dirichlet(alpha=0.3), nodes=1024).label_histogram()
    assert 6.5 < (h > 0).sum(1).mean() < 8.5
