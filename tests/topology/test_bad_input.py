"""What cannot work is refused at construction, with what came, why not, and what to write instead."""

import numpy as np
import pytest

from dejax import topology as tp

HUBS = (4, 5, 6)  # each with twenty leaves; nodes 1, 2, 3 know them all and node 0
UNDER_HUBS = [(0, i) for i in (1, 2, 3)] + [(i, h) for i in (1, 2, 3) for h in HUBS]
UNDER_HUBS += [(h, 20 * h + leaf - 73) for h in HUBS for leaf in range(20)]

CASES = {
    "n zero": (lambda: tp.ring(0), ValueError, r"ring\.n is 0; give a whole number >= 1"),
    "n no number": (lambda: tp.ring(2.5), TypeError, r"n is 2.5 \(float\)"),
    "n bool": (lambda: tp.ring(True), TypeError, "n is True"),
    "degree >= n": (lambda: tp.random_regular(4, degree=4), ValueError, "degree is 4 but n is 4.*give degree < n"),
    "n d odd": (lambda: tp.random_regular(5, degree=3), ValueError, r"5 \* 3 = 15, which is odd.*n = 6 or degree = 2"),
    "regular, disconnected": (lambda: tp.random_regular(10, degree=1), ValueError, "none is connected; give degree >= 3"),
    "p": (lambda: tp.erdos_renyi(5, p=1.5), ValueError, r"p is 1.5; give a probability in \[0, 1\]"),
    "p small": (lambda: tp.erdos_renyi(50, p=0.001), ValueError, "p > ln.*allow_disconnected=True"),
    "m": (lambda: tp.barabasi_albert(3, m=3), ValueError, "m is 3 but n is 3"),
    "k odd": (lambda: tp.watts_strogatz(10, k=3), ValueError, "k is 3, which is odd"),
    "beta": (lambda: tp.watts_strogatz(10, beta=-0.1), ValueError, "beta is -0.1"),
    "p_out": (lambda: tp.stochastic_block(20, p_out=2), ValueError, "p_out is 2"),
    "blocks apart": (lambda: tp.stochastic_block(20, p_out=0), ValueError, "allow_disconnected=True"),
    "radius": (lambda: tp.geometric(5, radius=-1.0), ValueError, "radius is -1.0"),
    "seed": (lambda: tp.erdos_renyi(5, seed=-1), ValueError, "seed is -1"),
    "power of two": (lambda: tp.hypercube(6), ValueError, "n is 6, which is not a power of two; use 4 or 8"),
    "power of two, one peer": (lambda: tp.one_peer_hypercube(12), ValueError, "use 8 or 16"),
    "prime": (lambda: tp.torus(7), ValueError, "n is 7, a prime, .* a ring; use 6 or 8, or give rows=1"),
    "prime, grid": (lambda: tp.grid(5), ValueError, "a chain; use 4 or 6, or give rows=1"),
    "odd": (lambda: tp.one_peer_ring(5), ValueError, "n is 5, which is odd"),
    "base degree": (lambda: tp.base_graph(4, degree=4), ValueError, "degree is 4 but n is 4"),
    "rows": (lambda: tp.torus(10, rows=3), ValueError, "rows is 3, which does not divide n = 10"),
    "sides": (lambda: tp.grid(10, rows=3, columns=3), ValueError, "make 9 nodes, not 10"),
    "metropolis, directed": (lambda: tp.directed_ring(4, weights=tp.metropolis()), ValueError, "needs an undirected graph"),
    "degree sorted": (
        lambda: tp.from_edges(UNDER_HUBS, weights=tp.degree_sorted()), ValueError, r"gives node 0 of this graph more than 1 in all.*metropolis\(\)",
    ),
    "eps": (lambda: tp.constant(-0.1), ValueError, "eps is -0.1"),
    "lazy": (lambda: tp.lazy(tp.metropolis(), 1.5), ValueError, r"a is 1.5; give a number in \(0, 1\]"),
    "sizes": (lambda: tp.ring(4, weights=tp.data_size([1, 2])), ValueError, "holds 2 numbers, but there are n = 4 nodes; give one per node"),
    "size zero": (lambda: tp.data_size([1, 0]), ValueError, r"sizes holds 0 \(place 1\); give a positive number"),
    "rule by name": (lambda: tp.ring(4, weights="metropolis"), TypeError, "weights is 'metropolis'"),
    "not square": (lambda: tp.from_matrix(np.ones((2, 3))), ValueError, r"shape \(2, 3\)"),
    "neither sum": (lambda: tp.from_matrix([[0.5, 0.4], [0.5, 0.5]]), ValueError, "row sums of W .* lie between 0.9 and 1 .*node 0"),
    "columns": (
        lambda: tp.from_matrix([[0.5, 0.5], [0.9, 0.1]], kind="doubly"),
        ValueError,
        "column sums of W .* between 0.6 and 1.4 .*metropolis",
    ),
    "negative": (lambda: tp.from_matrix([[1.5, -0.5], [-0.5, 1.5]]), ValueError, r"-0.5, a negative weight"),
    "nan": (lambda: tp.from_matrix([[np.nan, 1], [0.5, 0.5]]), ValueError, r"matrix\[0, 0\] is nan"),
    "apart": (lambda: tp.from_matrix(np.eye(3)), ValueError, "falls into 3 parts"),
    "kind": (lambda: tp.from_matrix(np.eye(1), kind="both"), ValueError, "kind is 'both'"),
    "edge out of range": (lambda: tp.from_edges([(0, 5)], 3), ValueError, r"edges\[0\] is \(0, 5\); ids must lie in 0..2"),
    "self loop": (lambda: tp.from_edges([(0, 1), (1, 1)]), ValueError, "a self loop"),
    "one way": (lambda: tp.from_edges([(0, 1)], directed=True), ValueError, "2 parts"),
    "eps of mixing time": (lambda: tp.mixing_time(tp.ring(4), 1.0), ValueError, "eps is 1.0"),
    "decay": (lambda: tp.effective_neighbours(tp.ring(4), 1.0), ValueError, "decay is 1.0"),
    "no spectrum": (lambda: tp.spectrum(tp.random_matching(4)), ValueError, "drawn afresh"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.replace(" ", "_"))
def test_refused_with_a_reason(case):
    make, error, text = CASES[case]
    with pytest.raises(error, match=text):
        make()
