"""The privacy that a run of Gaussian mechanisms spends: (epsilon, delta).

The noise multiplier s is the noise's standard deviation over the mechanism's sensitivity. `epsilon` composes Renyi
differential privacy (RDP) over steps and converts; where nothing is sampled it is exact, as `gaussian_epsilon` is.

What the number assumes about sampling: `sampling_rate` q < 1 is the analysis of Poisson sampling, in which every example
enters every batch independently with probability q (`Problem(sampling="poisson")`). Batches of a fixed size, drawn with or
without replacement, are not Poisson: the number is then an approximation that the literature often reports, not a bound.
`rdp_without_replacement` bounds those drawn without, for neighbors that differ by a replaced example. With replacement an example may enter a batch twice, so not even q = 1 is a bound. When batches run through the data once per epoch,
an example enters one step of each epoch, and `steps = epochs, sampling_rate = 1` is a bound for neighbors that differ by a
replaced example. `dejax.privacy_spent` says which of these a problem has.

Reference: Mironov, Renyi differential privacy, 2017; Mironov, Talwar and Zhang, Renyi differential privacy of the sampled
Gaussian mechanism, 2019; conversion: Balle et al., Hypothesis testing interpretations and Renyi differential privacy, 2020, and
Canonne, Kamath and Steinke, 2020; exact: Balle and Wang, Improving the Gaussian mechanism for differential privacy, 2018.
"""

import functools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..errors import bad

# Without sampling the best order is near 1 + s sqrt(2 log(1/delta) / T): little noise or many steps want orders near 1.
ORDERS = (*(k / 10 for k in range(11, 110)), *range(11, 257), 320, 384, 448, 512, 768, 1024)
TERMS = 2048  # of the series at an order that is not whole: from 0.1 above 1 on, what is left out is below 1e-8 of the moment


def rdp(noise_multiplier: float, sampling_rate: float = 1.0, orders: Sequence[float] = ORDERS) -> np.ndarray:
    """Compute the Renyi divergence of one step at each order.

    a / (2 s^2) without sampling, the Poisson-sampled bound otherwise:

    (1/(a-1)) log E [ ((1-q) + q exp((2z-1) / (2 s^2)))^a ] for z from N(0, s^2). At a whole order the power is a sum of a + 1 terms,
    C(a, k) (1-q)^(a-k) q^k exp(k(k-1) / (2 s^2)). At others it is a binomial series on each side of the z where both terms are equal.

    Args:
      noise_multiplier: s >= 0; 0 gives inf. sampling_rate: q in [0, 1]. orders: numbers > 1.
    Returns:
      float64 [orders].
    Raises:
      ValueError: an argument out of range.
    Reference: Mironov, Talwar and Zhang, Renyi differential privacy of the sampled Gaussian
      mechanism, 2019.
    Example:
      >>> rdp(1.0, orders=[2, 4]).tolist()
      [1.0, 2.0]
    """

    s, q = _noise(noise_multiplier), _number("sampling_rate", sampling_rate, 0, 1)
    a = np.asarray(orders, np.float64)
    if a.ndim != 1 or len(a) == 0 or not ((a > 1) & np.isfinite(a)).all():
        raise bad("orders", orders, instead="give numbers > 1")
    if q == 0:
        return np.zeros(len(a))
    if s == 0:
        return np.full(len(a), np.inf)
    if q == 1:
        return a / (2 * s**2)
    moments = [_whole_moment(order, s, q) if order == int(order) else _moment(order, s, q) for order in a.tolist()]
    return np.maximum(np.asarray(moments) / (a - 1), 0)


def rdp_without_replacement(
    noise_multiplier: float, sampling_rate: float, orders: Sequence[float] = ORDERS
) -> np.ndarray:
    """Bound the Renyi divergence of one step on a batch drawn without replacement.

    At a whole order a, with e(j) = j / (2 s^2), the lesser of e(a) and

    (1/(a-1)) log( 1 + q^2 C(a, 2) min(4 (exp(e(2)) - 1), 2 exp(e(2))) + sum_{j=3..a} 2 q^j C(a, j) exp((j-1) e(j)) );

    between two of them a - 1 times it is taken as a line, which lies above it.

    Args:
      noise_multiplier: s >= 0, over the sensitivity to a replaced example, 2 C; 0 gives inf. sampling_rate: q in [0, 1], the size of a
        batch over the number of examples, which is public. orders: numbers > 1.
    Returns:
      float64 [orders].
    Raises:
      ValueError: an argument out of range.
    Reference: Wang, Balle and Kasiviswanathan, Subsampled Renyi differential privacy and analytical moments accountant, 2019,
      theorem 9 and corollary 10.
    """
    plain, q = rdp(noise_multiplier, 1.0 if sampling_rate else sampling_rate, orders), _number("q", sampling_rate, 0, 1)
    if q in (0, 1) or noise_multiplier == 0:
        return plain
    s, a = float(noise_multiplier), np.asarray(orders, np.float64)
    ends = np.unique(np.concatenate([np.floor(a), np.ceil(a)]))
    moments = {end: 0.0 if end == 1 else _without_replacement(int(end), s, q) for end in ends.tolist()}
    low, high = (np.array([moments[end] for end in side(a).tolist()]) for side in (np.floor, np.ceil))
    return np.minimum(plain, ((1 - (a - np.floor(a))) * low + (a - np.floor(a)) * high) / (a - 1))


def _without_replacement(a: int, s: float, q: float) -> float:
    """Bound the logarithm of the moment at a whole order."""
    from scipy.special import gammaln

    j = np.arange(2, a + 1, dtype=np.float64)
    binomial = gammaln(a + 1) - gammaln(j + 1) - gammaln(a - j + 1)
    size = math.log(2) + (j - 1) * j / (2 * s**2)
    size[0] = min(size[0], math.log(4) + 1 / s**2 + math.log(-math.expm1(-1 / s**2)))
    return float(np.logaddexp(0, np.logaddexp.reduce(j * math.log(q) + binomial + size)))


def _whole_moment(a: float, s: float, q: float) -> float:
    """The logarithm of the moment at a whole order."""
    k, binomial, sign = _binomials(a, int(a) + 1)
    return _log_sum(binomial + (a - k) * math.log1p(-q) + k * math.log(q) + k * (k - 1) / (2 * s**2), sign)


def _moment(a: float, s: float, q: float) -> float:
    """The logarithm of the moment at an order that is not whole.

    Below z0 = 1/2 + s^2 log(1/q - 1) the term with q is the smaller one, above it the other. Each half of the integral is a binomial
    series in the smaller over the larger, and term k is C(a, k) times the integral of a Gaussian over the half. Signs alternate in
    the end; the last term taken is positive, so that the sum is not below the moment.
    """
    k, binomial, sign = _binomials(a, TERMS if a < 2 else TERMS // 8)
    return _log_sum(np.stack([binomial + _half(k, a, s, q, 1), binomial + _half(a - k, a, s, q, -1)]), sign)


def _log_sum(logs: np.ndarray, sign: np.ndarray) -> float:
    """log of the sum of sign exp(logs)."""
    top = logs.max()
    return float(top + math.log((sign * np.exp(logs - top)).sum()))


def _half(i: np.ndarray, a: float, s: float, q: float, side: int) -> np.ndarray:
    """Compute log of (1-q)^(a-i) q^i exp(i(i-1) / (2 s^2)) Phi(side (z0 - i) / s).

    In the tail squares that cancel are not formed.
    """
    from scipy.special import erfcx, log_ndtr

    z0 = 0.5 + s**2 * math.log(1 / q - 1)
    x = side * (z0 - i) / s
    near, out = x > 0, np.empty_like(x)
    at = i[near]
    out[near] = at * math.log(q) + (a - at) * math.log1p(-q) + at * (at - 1) / (2 * s**2) + log_ndtr(x[near])
    with np.errstate(divide="ignore"):
        tail = np.log(erfcx(-x[~near] / math.sqrt(2)) / 2)
    out[~near] = a * math.log1p(-q) - z0**2 / (2 * s**2) + tail
    return out


@functools.cache
def _binomials(a: float, terms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """k from 0, log |C(a, k)| and its sign, up to a positive one."""
    from scipy.special import gammaln, gammasgn

    k = np.arange(terms, dtype=np.float64)
    sign = gammasgn(a - k + 1)
    binomial = gammaln(a + 1) - gammaln(k + 1) - gammaln(a - k + 1)
    stop = terms if sign[-1] > 0 else terms - 1
    return k[:stop], binomial[:stop], sign[:stop]


def epsilon(
    noise_multiplier: float,
    steps: int,
    sampling_rate: float,
    delta: float,
    *,
    conversion: Literal["tight", "simple"] = "tight",
    orders: Sequence[float] | None = None,
) -> float:
    """Compute the epsilon that `steps` Gaussian mechanisms spend at this delta.

    Exact without sampling, by RDP otherwise:

    simple: min over orders of steps rdp + log(1/delta)/(a-1)
    tight:  min over orders of steps rdp + log((a-1)/a) - (log delta + log a)/(a-1); 0 where delta^2 > 1 - exp(-steps rdp)

    Args:
      noise_multiplier: standard deviation of the noise over the sensitivity, >= 0; 0 gives inf.
      steps: mechanisms composed, >= 0; 0 gives 0.
      sampling_rate: q in [0, 1]; below 1 it means Poisson sampling (see the top of this file), 1 is
        no sampling.
      delta: in (0, 1).
      conversion: from RDP to (epsilon, delta).
      orders: Renyi orders tried, numbers > 1; None: `ORDERS`, and with the tight conversion no order at all where nothing is
        sampled: `gaussian_epsilon`, which lies below every order.
    Returns:
      epsilon >= 0, for the adjacency whose sensitivity the noise multiplier refers to.
    Raises:
      ValueError: an argument out of range.
    Reference: Mironov, 2017; Balle et al., Hypothesis testing interpretations and Renyi differential privacy, 2020 (tight), with
      the bound of Bretagnolle and Huber on the total variation (0).
    Example:
      >>> round(epsilon(1.0, 1000, 0.01, 1e-5), 4)
      2.1014
    """
    steps, delta = _steps(steps), _delta(delta)
    if conversion not in ("tight", "simple"):
        raise bad("conversion", conversion, instead="give 'tight' or 'simple'")
    if orders is None and conversion == "tight" and _number("sampling_rate", sampling_rate, 0, 1) == 1:
        return gaussian_epsilon(noise_multiplier, steps, delta)
    orders = ORDERS if orders is None else orders
    spent = rdp(noise_multiplier, sampling_rate, orders)
    if steps == 0 or not spent.any():
        return 0.0
    a = np.asarray(orders, np.float64)
    if conversion == "simple":
        candidates = steps * spent - math.log(delta) / (a - 1)
        return max(0.0, float(candidates.min()))
    return converted(steps * spent, a, delta)


def converted(spent: np.ndarray, orders: np.ndarray, delta: float) -> float:
    """Epsilon of Renyi divergences at orders > 1, by the tight conversion."""
    delta = _delta(delta)
    candidates = spent + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    candidates = np.where(delta**2 + np.expm1(-spent) > 0, 0, candidates)
    return max(0.0, float(candidates.min()))


def gaussian_delta(noise_multiplier: float, steps: int, epsilon: float) -> float:
    """Exact delta of `steps` Gaussian mechanisms without sampling at this epsilon.

    Phi(-eps/mu + mu/2) - exp(eps) Phi(-eps/mu - mu/2), mu = sqrt(steps) / s.

    Raises:
      ValueError: an argument out of range.
    Reference: Balle and Wang, Improving the Gaussian mechanism for differential privacy, 2018.
    Example:
      >>> round(gaussian_delta(10.0, 100, 4.3772) * 1e5, 3)
      1.0
    """
    from scipy.special import log_ndtr, ndtr

    s, steps, eps = _noise(noise_multiplier), _steps(steps), _number("epsilon", epsilon, 0, math.inf)
    if steps == 0:
        return 0.0
    if s == 0:
        return 1.0
    mu = math.sqrt(steps) / s
    return max(0.0, float(ndtr(-eps / mu + mu / 2) - math.exp(eps + log_ndtr(-eps / mu - mu / 2))))


def gaussian_epsilon(noise_multiplier: float, steps: int, delta: float) -> float:
    """Compute the exact epsilon of `steps` Gaussian mechanisms without sampling.

    Every other account must not fall below it.

    Args:
      noise_multiplier: s >= 0; 0 gives inf. steps: >= 0. delta: in (0, 1).
    Raises:
      ValueError: an argument out of range.
    Reference: Balle and Wang, Improving the Gaussian mechanism for differential privacy, 2018.
    Example:
      >>> round(gaussian_epsilon(10.0, 100, 1e-5), 4)
      4.3772
    """
    delta = _delta(delta)
    if _noise(noise_multiplier) == 0 and _steps(steps) > 0:
        return math.inf
    high = 1.0
    if gaussian_delta(noise_multiplier, steps, 0.0) <= delta:
        return 0.0
    while gaussian_delta(noise_multiplier, steps, high) > delta:
        high *= 2
    low = 0.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian_delta(noise_multiplier, steps, middle) > delta else (low, middle)
    return high


def noise_multiplier(epsilon_goal: float, steps: int, sampling_rate: float, delta: float) -> float:
    """Find the smallest noise multiplier whose `epsilon` by RDP is at most the goal.

    To a relative 1e-6.

    Args:
      epsilon_goal: > 0. steps, sampling_rate, delta: as of `epsilon`.
    Raises:
      ValueError: an argument out of range, or a goal that no noise up to 1e6 reaches.
    Example:
      >>> round(noise_multiplier(2.1014, 1000, 0.01, 1e-5), 3)
      1.0
    """
    if not epsilon_goal > 0:
        raise bad("epsilon_goal", epsilon_goal, instead="give a number > 0")
    if epsilon(1e6, steps, sampling_rate, delta) > epsilon_goal:
        raise bad(
            "epsilon_goal", epsilon_goal, why="which no noise multiplier up to 1e6 reaches", instead="give a larger one"
        )
    low, high = 1e-6, 1e6
    while high / low > 1 + 1e-6:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if epsilon(middle, steps, sampling_rate, delta) <= epsilon_goal else (middle, high)
    return high


def _number(name: str, value: float, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise bad(
            name, value, says=f"is {value!r} ({type(value).__name__})", instead=f"give a number in [{least}, {most}]"
        )
    if not least <= value <= most:
        raise bad(name, value, instead=f"give a number in [{least}, {most}]")
    return float(value)


def _noise(value: float) -> float:
    return _number("noise_multiplier", value, 0, math.inf)


def _steps(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise bad("steps", value, instead="give a whole number >= 0")
    return int(value)


def _delta(value: float) -> float:
    if not isinstance(value, (float, np.floating)) or not 0 < value < 1:
        raise bad("delta", value, instead="give a number in (0, 1), below 1 over the number of examples, e.g. 1e-5")
    return float(value)
