"""Spectral facts: how fast a topology mixes, with every convention named.

    rho = ||W - J||_2, J = 11^T / n        the factor by which one round shrinks the distance to the mean, at most
    gap = 1 - rho                          the spectral gap, wherever one is printed

Others say gap and mean gap_abs = 1 - |lambda_2| (the same for symmetric W), gap_squared = 1 - rho^2 (often called p) or
gap_signed = 1 - lambda_2 (real part, largest). Of a sequence the eigenvalues are those of the product over one period, and rho
and the gaps are per period, with rho^(1/P) beside them.
"""

import math
from typing import Any

import jax
import numpy as np

from ..errors import bad
from ..mixing import Edges
from ._graph import Graph
from ._topology import Topology

DENSE_UP_TO = (
    2000  # nodes: up to here all eigenvalues are computed; beyond, only what circulants and sparse solvers give
)
WORDS = {  # of facts, each with its convention; {per}: of a sequence, of how many rounds the product is meant
    "rho": "rho = ||W - J||{per}",
    "rho_per_round": "rho^(1/P), per round",
    "gap": "spectral gap 1 - rho{per}",
    "gap_abs": "1 - |lambda_2|{per}",
    "gap_squared": "1 - rho^2{per}",
    "gap_signed": "1 - lambda_2, real part{per}",
    "mixing_time": "mixing time (rounds until a quarter of the distance is left)",
    "effective_neighbours": "effective neighbours at decay 0.9",
}


def eigenvalues_known(top: Topology) -> bool:
    """Return whether all eigenvalues of W (of the product over one period) can be computed.

    They can for few nodes, or by a closed form.
    """
    if not top.period:
        return False
    return top.n <= DENSE_UP_TO or top.links.offset_weights() is not None or top.links.pair_weights() is not None


def _circulant_eigenvalues(top: Topology) -> np.ndarray | None:
    """Return the eigenvalues [n] of the product over a period, complex; or None.

    They are in the order of the Fourier modes. None: W is not circulant.
    """
    rows = top.links.offset_weights()
    if rows is None:
        return None
    out = np.ones(top.n, np.complex128)
    for offsets, weights in rows:
        first = np.zeros(top.n)
        np.add.at(first, offsets % top.n, weights)
        out *= np.fft.fft(first)
    return out


def period_matrix(top: Topology) -> np.ndarray:
    """Return the product of the W_t of one period, [n, n]."""
    _fixed_sequence(top)
    out = top.host(0).matrix()
    for t in range(1, top.period):
        out = top.host(t).matrix() @ out
    return out


def _fixed_sequence(top: Topology) -> None:
    if top.period == 0:
        raise ValueError(
            f"{top.name} is drawn afresh in each phase and has no spectrum of its own; use from_matrix(top.matrix(key=key))"
        )


def spectrum(top: Topology) -> np.ndarray:
    """Eigenvalues of W (of the product over one period, for a sequence), largest modulus first.

    Args:
      top: a topology of period >= 1, with at most 2,000 nodes unless it is circulant.
    Returns:
      [n] float64 if all are real, else complex128; the first is 1.
    Raises:
      ValueError: random phases, or too many nodes.
    Example:
      >>> spectrum(ring(4)).round(3).tolist()
      [1.0, 0.333, 0.333, -0.333]
    """
    _fixed_sequence(top)
    values = _circulant_eigenvalues(top)
    if values is None:
        pairs = top.links.pair_weights()
        if pairs is not None:
            share, extra = pairs
            values = np.full(top.n, extra)
            values[0] = extra + top.n * share
        elif top.n > DENSE_UP_TO:
            raise ValueError(
                f"all eigenvalues of {top.name} with n = {top.n} > {DENSE_UP_TO} take too long; use facts(), which needs only the largest"
            )
        else:
            w = period_matrix(top)
            values = np.linalg.eigvalsh(w) if np.allclose(w, w.T, rtol=0, atol=1e-13) else np.linalg.eigvals(w)
    if np.iscomplexobj(values) and np.abs(values.imag).max(initial=0) < 1e-12:
        values = values.real
    # equal moduli: positive ones first, so that the order does not hang on the last bit
    return values[np.lexsort((values.imag, -values.real, -np.abs(values).round(12)))]


def rho(top: Topology) -> float | None:
    """Compute rho = ||W - J||_2, J = 11^T / n, of W or of its product over one period.

    None where W is not doubly stochastic. Beyond 2,000 nodes the largest singular value comes from
    a sparse iterative solver (relative error about 1e-6).

    Example:
      >>> rho(complete(8)) == 0
      True
    """
    _fixed_sequence(top)
    if top.kind != "doubly":
        return None
    r = _rho(top)
    return 0.0 if r < 1e-12 else r  # what is left of exact averaging is rounding


def _rho(top: Topology) -> float:
    if top.n == 1:
        return 0.0
    values = _circulant_eigenvalues(top)
    if values is not None:  # circulant matrices are normal: singular values are moduli
        return float(np.abs(values[1:]).max(initial=0))
    pairs = top.links.pair_weights()
    if pairs is not None:
        return abs(pairs[1])
    if top.n <= DENSE_UP_TO:
        w = period_matrix(top) - 1 / top.n
        return float(
            np.abs(np.linalg.eigvalsh(w)).max() if np.allclose(w, w.T, rtol=0, atol=1e-13) else np.linalg.norm(w, 2)
        )
    return _sparse_rho(top)


def _operators(top: Topology) -> list[Any]:
    return [_operator(top.host(t)) for t in range(top.period)]


def _operator(e: Edges) -> Any:
    from scipy.sparse import coo_array, dia_array

    w = coo_array((e.weights, (e.receivers, e.senders)), shape=(e.n, e.n)).tocsr()
    return (w + dia_array((e.own[None], [0]), shape=(e.n, e.n))).tocsr()


def _sparse_rho(top: Topology) -> float:
    from scipy.sparse.linalg import LinearOperator, eigsh, svds

    phases = _operators(top)
    n = top.n

    def forward(x: np.ndarray) -> np.ndarray:
        y = x - x.mean()
        for w in phases:
            y = w @ y
        return y - y.mean()

    def backward(x: np.ndarray) -> np.ndarray:
        y = x - x.mean()
        for w in reversed(phases):
            y = w.T @ y
        return y - y.mean()

    start = np.random.default_rng(0).normal(size=n)
    operator = LinearOperator((n, n), matvec=forward, rmatvec=backward, dtype=np.float64)
    if top.symmetric and top.period == 1:
        return float(np.abs(eigsh(operator, 1, which="LM", v0=start, tol=1e-7, return_eigenvectors=False)).max())
    return float(svds(operator, 1, v0=start, tol=1e-7, return_singular_vectors=False).max())


def _lambda2(top: Topology) -> complex | None:
    """Compute the eigenvalue of second largest modulus; None where W is large and not symmetric.

    For a large symmetric W, its modulus.
    """
    if top.n == 1:
        return 0.0
    if eigenvalues_known(top):
        return spectrum(top)[1]
    return rho(top) if top.symmetric and top.period == 1 and top.kind == "doubly" else None


def least_eigenvalue(top: Topology) -> float:
    """Find the least eigenvalue of a symmetric W, or of all W_t of a period.

    Where rows bound it by >= 0, that bound is returned.

    Row i says that no eigenvalue lies below W_ii - sum_j |W_ij|, which is enough for lazy weights. Of phases that are drawn
    afresh one is looked at. Beyond 2,000 nodes it comes from a sparse iterative solver.

    Raises:
      ValueError: a W that is not symmetric.
    Reference: Gershgorin, Ueber die Abgrenzung der Eigenwerte einer Matrix, 1931.
    Example:
      >>> round(least_eigenvalue(ring(4)), 3)
      -0.333
    """
    if not top.symmetric:
        raise ValueError(f"{top.name} has weights that are not symmetric; use metropolis() on an undirected graph")
    key = None if top.period else jax.random.key(0)
    return min(_least(top.host(t, key)) for t in range(max(top.period, 1)))


def _least(e: Edges) -> float:
    bound = float((e.own - np.bincount(e.receivers, np.abs(e.weights), e.n)).min())
    if bound >= -1e-12:
        return max(bound, 0.0)
    if e.n <= DENSE_UP_TO:
        return float(np.linalg.eigvalsh(e.matrix())[0])
    from scipy.sparse.linalg import eigsh

    start = np.random.default_rng(0).normal(size=e.n)
    return float(eigsh(_operator(e), 1, which="SA", v0=start, tol=1e-8, return_eigenvectors=False)[0])


def mixing_time(top: Topology, eps: float = 0.25) -> float | None:
    """Return the rounds after which every start is within eps of its mean.

    That is eps times its first distance: ceil(ln eps / ln rho), in whole periods.

    Inf for a graph that never mixes, None where rho is not defined.

    Args:
      top: a topology of period >= 1.
      eps: in (0, 1); 1/4 is customary.
    Example:
      >>> mixing_time(one_peer_exponential(8))
      3
    """
    if not 0 < eps < 1:
        raise bad("eps", eps, owner="mixing_time", instead="give a factor in (0, 1), e.g. 0.25")
    r = rho(top)
    return None if r is None else _rounds(r, eps, top.period)


def _rounds(r: float, eps: float, period: int) -> float:
    if r <= 1e-12:
        return period
    return period * max(1, math.ceil(math.log(eps) / math.log(r) - 1e-9)) if r < 1 - 1e-12 else math.inf


def effective_neighbours(top: Topology, decay: float = 0.9) -> float | None:
    """Compute the effective number of neighbours, between 1 and n.

    It says by how much a decayed random walk through W averages noise away.

    n_W(decay) = 1/(1 - decay) / (1/n sum_t decay^t ||W^{t+1}||_F^2); for symmetric (or normal) W
    the denominator is 1/n sum_i |lambda_i|^2 / (1 - decay |lambda_i|^2). decay 0 looks one round
    ahead, decay -> 1 gives n for a connected graph.

    Args:
      top: a fixed topology (period 1), with at most 2,000 nodes unless circulant or complete.
      decay: in [0, 1); related to the learning rate: steps small against 1 - decay see the whole
        network.
    Returns:
      The number; None for sequences, and for large graphs whose eigenvalues are not all known.
    Reference: Vogels, Hendrikx and Jaggi, Beyond spectral gap: the role of the topology in
      decentralized learning (NeurIPS 2022).
    Example:
      >>> round(effective_neighbours(complete(8), 0.5), 6)
      8.0
    """
    if not 0 <= decay < 1:
        raise bad("decay", decay, owner="effective_neighbours", instead="give a number in [0, 1), e.g. 0.9")
    if top.period != 1:
        return None
    n = top.n
    circulant = _circulant_eigenvalues(top)
    if circulant is not None or (top.symmetric and n <= DENSE_UP_TO) or top.links.pair_weights() is not None:
        squares = np.abs(circulant if circulant is not None else spectrum(top)) ** 2
        squares = np.minimum(squares, 1.0) if top.kind == "doubly" else squares
        return float(1 / (1 - decay) / np.mean(squares / (1 - decay * squares)))
    if n > DENSE_UP_TO:
        return None
    # sum_t decay^t ||W^{t+1}||_F^2 = tr(S) with S = W W^T + decay W S W^T, by doubling
    w = top.host().matrix()
    total, power, factor = w @ w.T, w, decay
    for _ in range(60):
        step = factor * power @ total @ power.T
        total = total + step
        if np.trace(step) < 1e-13 * np.trace(total):
            break
        power, factor = power @ power, factor * factor
    return float(1 / (1 - decay) / (np.trace(total) / n))


def laplacian_extremes(graph: Graph) -> tuple[float, float]:
    """(lambda_2, lambda_n) of the Laplacian of an undirected connected graph."""
    from scipy.sparse import coo_array, dia_array

    n, ones = graph.n, np.ones(len(graph.receivers))
    adjacency = coo_array((ones, (graph.receivers, graph.senders)), shape=(n, n))
    laplacian = (dia_array((graph.in_degrees[None].astype(float), [0]), shape=(n, n)) - adjacency).tocsr()
    if n <= DENSE_UP_TO:
        values = np.linalg.eigvalsh(laplacian.toarray())
        low, high = float(values[1]), float(values[-1])
    else:
        from scipy.sparse.linalg import LinearOperator, eigsh

        start = np.random.default_rng(0).normal(size=n)
        high = float(eigsh(laplacian, 1, which="LA", v0=start, tol=1e-8, return_eigenvectors=False)[0])
        # lambda_2 is the top of high I - L once the constant vector is taken out
        flipped = LinearOperator((n, n), matvec=lambda x: high * (x - x.mean()) - laplacian @ x, dtype=np.float64)
        low = high - float(eigsh(flipped, 1, which="LA", v0=start, tol=1e-8, return_eigenvectors=False)[0])
    if low <= 1e-12:
        raise ValueError("best_constant needs a connected graph, and this one falls into parts; use metropolis()")
    return low, high


def facts(top: Topology, decay: float = 0.9) -> dict[str, Any]:
    """Return spectral facts by name, each convention under its own.

    Plain numbers, None where not defined or not computed.

    Args:
      top: any topology; one that is drawn afresh each phase has no spectrum, and gets an empty
        dictionary.
      decay: of the effective number of neighbours.
    Returns:
      period (P, in rounds), rho (||W - J||_2, per period), rho_per_round (its P-th root), gap
      (1 - rho, the spectral gap), gap_abs (1 - |lambda_2|), gap_squared (1 - rho^2), gap_signed
      (1 - the largest real part but one), all four per period, mixing_time (rounds to a quarter),
      effective_neighbours.
    Example:
      >>> round(facts(ring(8))["rho"], 4)
      0.8047
    """
    if top.period == 0:
        return {}
    r, second = rho(top), _lambda2(top)
    signed = None
    if second is not None and (top.n <= DENSE_UP_TO or top.links.offset_weights() is not None):
        real = np.sort(np.real(spectrum(top)))[::-1]
        signed = 1 - float(real[1]) if top.n > 1 else 1.0
    return {
        "period": top.period,
        "rho": r,
        "gap": None if r is None else 1 - r,
        "rho_per_round": None if r is None else float(r ** (1 / top.period)),
        "gap_abs": None if second is None else 1 - float(abs(second)),
        "gap_squared": None if r is None else 1 - r * r,
        "gap_signed": signed,
        "mixing_time": None if r is None else _rounds(r, 0.25, top.period),
        "effective_neighbours": effective_neighbours(top, decay),
    }


def in_words(facts: dict[str, Any]) -> dict[str, str]:
    """Name -> words with the convention, of those `facts` that are numbers of the spectrum.

    Example:
      >>> in_words(facts(one_peer_exponential(8)))["gap"]
      'spectral gap 1 - rho, per period of 3 rounds'
    """
    period = facts.get("period") or 1
    per = f", per period of {period} rounds" if period > 1 else ""
    return {name: words.format(per=per) for name, words in WORDS.items() if name in facts}


__all__ = [
    "WORDS",
    "effective_neighbours",
    "facts",
    "in_words",
    "laplacian_extremes",
    "least_eigenvalue",
    "mixing_time",
    "period_matrix",
    "rho",
    "spectrum",
]
