"""Dirichlet splits of thousands of classes: the laws of the tables, in time that grows with the samples."""

import math
import time

import numpy as np
import pytest

from dejax import data
from dejax.data.partitions._dirichlet import serve, simplex
from dejax.data.partitions.urns import owners_by_halves, serve_by_urns

LABELS = np.random.default_rng(5).integers(0, 700, 2000)


@pytest.mark.parametrize("alpha", [1e-300, 1e-9, 0.3, 100.0, 1e13, math.inf])
@pytest.mark.parametrize("nodes", [1, 40, 2000])
def test_every_sample_once_and_nobody_empty(alpha, nodes):
    for law in (data.dirichlet(alpha), data.dirichlet_by_class(alpha), data.quantity(alpha=alpha)):
        parts = law(LABELS, nodes, np.random.default_rng(0), None)
        assert len(parts) == nodes and parts.sizes.min() >= 1
        np.testing.assert_array_equal(np.sort(parts.rows), np.arange(2000))
        again = law(LABELS, nodes, np.random.default_rng(0), None)
        np.testing.assert_array_equal(parts.rows, again.rows)
        assert (parts.facts["drift"] >= 0).all() and (parts.facts["drift"] <= 1).all()


def close(one, other):
    """Means over seeds, within five standard errors."""
    one, other = np.asarray(one), np.asarray(other)
    error = np.hypot(one.std(0), other.std(0)) / math.sqrt(len(one))
    assert (np.abs(one.mean(0) - other.mean(0)) <= 5 * error + 1e-9).all(), (one.mean(0), other.mean(0), error)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 4.0, math.inf])
def test_urns_serve_as_tables_do(alpha):
    """Classes of a node, their counts and drift; supply that lasts, and supply that runs out."""
    q = np.random.default_rng(0).integers(1, 9, 12)
    for supply, size in ((q * 200, 6), (q * 6, int(q.sum() * 6 // 8))):
        sizes, found = np.full(8, size), {"urns": [], "tables": []}
        for seed in range(80):
            rng = np.random.default_rng(seed)
            node, kind, count, drift = serve_by_urns(alpha, supply, sizes, rng)
            got = np.zeros((8, 12))
            got[node, kind] = count
            assert (got.sum(1) == sizes).all() and (got.sum(0) <= supply).all() and (count > 0).all()
            table, other = serve(simplex(alpha, supply / supply.sum(), 8, rng), sizes, supply, rng)
            for name, g, d in (("urns", got, drift), ("tables", table, other)):
                found[name].append(
                    [(g > 0).sum(1).mean(), (g**2).sum(1).mean(), g.max(1).mean(), g[:, 0].mean(), d.mean()]
                )
        close(found["urns"], found["tables"])


@pytest.mark.parametrize("alpha", [0.05, 0.5, 5.0, math.inf])
def test_halves_divide_as_tables_do(alpha):
    per_class, nodes = np.array([5, 1, 0, 30, 12]), 7
    kind, found = np.repeat(np.arange(5), per_class), {"halves": [], "tables": []}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        share = simplex(alpha, np.full(nodes, 1 / nodes), 5, rng)
        cut = [np.floor(np.cumsum(s)[:-1] * m + 0.5) for s, m in zip(share, per_class, strict=True)]
        table = np.concatenate(
            [np.searchsorted(c, np.arange(m), side="right") for c, m in zip(cut, per_class, strict=True)]
        )
        for name, owner in (("halves", owners_by_halves(alpha, per_class, nodes, rng)), ("tables", table)):
            got = np.zeros((5, nodes))
            np.add.at(got, (kind, owner), 1)
            found[name].append([(got > 0).sum(), (got**2).sum(), got.sum(0).max(), got[:, :2].sum(), got[3, 6]])
    close(found["halves"], found["tables"])


@pytest.mark.parametrize("classes", [1_000, 5_000, 50_000])
@pytest.mark.parametrize("law", [data.dirichlet, data.dirichlet_by_class])
def test_five_thousand_nodes_of_as_many_classes_take_no_two_seconds(law, classes):
    labels = np.random.default_rng(0).integers(0, classes, 50_000)
    begun = time.perf_counter()
    law(alpha=0.3)(labels, 5_000, np.random.default_rng(0), None)
    assert time.perf_counter() - begun < 2
