"""Spectral facts against brute force, and the pictures."""

import numpy as np
import pytest

from dejax import topology as tp


def test_facts_name_every_convention():
    f = tp.facts(tp.ring(8))
    r = 1 / 3 + 2 / 3 * np.cos(np.pi / 4)
    assert f["rho"] == f["rho_per_round"] == pytest.approx(r)
    assert f["gap_abs"] == pytest.approx(1 - r) and f["gap_squared"] == pytest.approx(1 - r**2)
    assert f["gap_signed"] == pytest.approx(1 - r)
    w = tp.hypercube(2, weights=tp.constant(0.9))  # eigenvalues 1 and -0.8: the conventions part
    f = tp.facts(w)
    assert f["gap_abs"] == pytest.approx(0.2) and f["gap_signed"] == pytest.approx(1.8)
    f = tp.facts(tp.one_peer_exponential(6))
    assert f["rho_per_round"] == pytest.approx(f["rho"] ** (1 / 3))
    assert tp.facts(tp.random_matching(4)) == {}
    assert tp.facts(tp.random_digraph(10))["rho"] is None


@pytest.mark.parametrize(
    "top",
    [
        tp.ring(6),
        tp.torus(9),
        tp.grid(12, weights=tp.constant(0.3)),
        tp.barabasi_albert(12, weights=tp.lazy()),
        tp.one_peer_ring(6),
        tp.isolated(3),
    ],
    ids=lambda top: top.name,
)
def test_the_least_eigenvalue_is_that_of_every_phase(top):
    brute = min(np.linalg.eigvalsh(top.matrix(p))[0] for p in range(top.period))
    least = tp.least_eigenvalue(top)
    assert least == pytest.approx(brute, abs=1e-9) or 0 <= least <= brute  # what rows bound is not computed


@pytest.mark.slow
def test_the_least_eigenvalue_of_a_large_graph_is_the_closed_form():
    top = tp.chain(2500, weights=tp.constant(0.4))
    assert tp.least_eigenvalue(top) == pytest.approx(1 - 0.4 * (2 + 2 * np.cos(np.pi / 2500)), abs=1e-6)
    with pytest.raises(ValueError, match="directed_ring has weights that are not symmetric; use metropolis"):
        tp.least_eigenvalue(tp.directed_ring(4))


@pytest.mark.parametrize(
    "name", ["directed_ring", "exponential", "one_peer_exponential", "star", "chain", "base_graph"]
)
def test_rho_is_the_norm_and_bounds_every_start(name):
    top = getattr(tp, name)(6)
    product = tp.period_matrix(top)
    assert tp.rho(top) == pytest.approx(np.linalg.norm(product - 1 / 6, 2), abs=1e-12)
    t = tp.mixing_time(top) // top.period
    assert np.linalg.norm(np.linalg.matrix_power(product, int(t)) - 1 / 6, 2) <= 0.25 + 1e-12
    assert tp.mixing_time(tp.isolated(3)) == np.inf


@pytest.mark.parametrize("top", [tp.grid(9), tp.exponential(7), tp.barabasi_albert(12, weights=tp.uniform_neighbour())])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_effective_neighbours_is_the_noise_left_in_a_decayed_walk(top, decay):
    w, power, total = top.matrix(), np.eye(top.n), 0.0
    for t in range(4000):
        power = w @ power
        total += decay**t * np.sum(power**2) / top.n
    assert tp.effective_neighbours(top, decay) == pytest.approx(1 / (1 - decay) / total, rel=1e-9)


def test_effective_neighbours_of_the_extremes():
    assert tp.effective_neighbours(tp.complete(9), 0.7) == pytest.approx(9)
    assert tp.effective_neighbours(tp.isolated(9), 0.7) == pytest.approx(1)
    assert tp.effective_neighbours(tp.ring(9), 1 - 1e-9) == pytest.approx(9, rel=1e-6)


def test_large_graphs_use_sparse_solvers(monkeypatch):
    from dejax.topology import _spectrum

    small = [tp.random_regular(60, degree=3), tp.barabasi_albert(60), tp.one_peer_ring(20)]
    exact, constant = [tp.rho(t) for t in small], tp.grid(49, weights=tp.best_constant()).matrix()
    monkeypatch.setattr(_spectrum, "DENSE_UP_TO", 5)
    np.testing.assert_allclose([tp.rho(t) for t in small], exact, rtol=1e-6)
    np.testing.assert_allclose(tp.grid(49, weights=tp.best_constant()).matrix(), constant, rtol=1e-6, atol=1e-12)
    with pytest.raises(ValueError, match="facts"):
        tp.spectrum(small[0])
    assert tp.facts(small[0])["gap_abs"] == pytest.approx(1 - exact[0])
    assert tp.rho(tp.ring(100_000)) == pytest.approx(1 / 3 + 2 / 3 * np.cos(2 * np.pi / 100_000))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ring", "torus", "star", "binary_tree", "erdos_renyi", "one_peer_exponential", "exponential",
                                  "random_matching", "complete"])  # fmt: skip
def test_pictures_are_figures(name, tmp_path):
    top = getattr(tp, name)(9)
    figure = tp.plot(top)
    figure.savefig(tmp_path / "top.png", dpi=60)
    assert (tmp_path / "top.png").stat().st_size > 4000 and len(figure.axes) == 2
    assert tp.plot_graph(top).axes and tp.plot_spectrum(top).axes
