"""Rates of meetings: equal where all edges are alike, and never worse than equal ones."""

import networkx as nx
import numpy as np
import pytest

from dejax import topology as tp


@pytest.mark.parametrize("top", [tp.ring(8), tp.complete(5), tp.hypercube(8), tp.star(6)], ids=lambda t: t.name)
def test_edges_that_are_alike_have_equal_rates(top):
    found = tp.edge_rates(top)
    np.testing.assert_allclose(found.rates, found.rates.mean(), rtol=1e-3)


@pytest.mark.parametrize("steps", [0, 300])
def test_what_the_rates_promise(steps):
    """chi_1 and chi_2 of the Laplacian of the rates, by its pseudo-inverse; their product is one half."""
    found = tp.edge_rates(barbell(), steps=steps)
    laplacian = np.zeros((10, 10))
    for (a, b), rate in zip(found.pairs, found.rates, strict=True):
        laplacian[[a, b], [a, b]] += rate
        laplacian[[a, b], [b, a]] -= rate
    inverse = np.linalg.pinv(laplacian)
    apart = [inverse[a, a] + inverse[b, b] - 2 * inverse[a, b] for a, b in found.pairs]
    assert found.connectivity == pytest.approx(1 / np.linalg.eigvalsh(laplacian)[1], rel=1e-9)
    assert found.resistance == pytest.approx(max(apart) / 2, rel=1e-9)
    assert found.connectivity * found.resistance == pytest.approx(0.5, rel=1e-9)


def barbell():
    return tp.from_networkx(nx.barbell_graph(5, 0), weights=tp.metropolis())


def test_the_bridge_of_a_barbell_is_used_more_than_the_others():
    best, equal = tp.edge_rates(barbell()), tp.edge_rates(barbell(), steps=0)
    assert best.rates.sum() < 0.6 * equal.rates.sum()
    bridge = [i for i, pair in enumerate(best.pairs.tolist()) if pair == [4, 5]]
    assert best.rates[bridge[0]] == best.rates.max()


def test_parts_are_refused():
    with pytest.raises(ValueError, match="falls into parts; give a connected one"):
        tp.edge_rates(tp.isolated(3))
