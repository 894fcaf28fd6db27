"""The privacy that a run of Gaussian mechanisms spends: (epsilon, delta).

It is computed on the host in float64. The noise multiplier s is the noise's standard deviation over
the mechanism's sensitivity. `epsilon` composes Renyi differential privacy (RDP) over steps and
converts; `gaussian_epsilon` is exact where nothing is sampled.

What the number assumes about sampling: `sampling_rate` q < 1 is the analysis of Poisson sampling,
in which every example enters every batch independently with probability q. Batches of a fixed size,
drawn with or without replacement, are not Poisson: the number is then an approximation that the
literature often reports, not a bound. With replacement an example may enter a batch twice, so not
even q = 1 is a bound. When batches run through the data once per epoch, an example enters one step
of each epoch, and `steps = epochs, sampling_rate = 1` is a bound for neighbors that differ by a
replaced example.

Reference: Mironov, Renyi differential privacy, 2017; Mironov, Talwar and Zhang, Renyi differential
privacy of the sampled Gaussian mechanism, 2019; conversion: Canonne, Kamath and Steinke, 2020;
exact: Dong, Roth and Su, Gaussian differential privacy, 2019.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..errors import bad

# Without sampling the best order is near 1 + s sqrt(2 log(1/delta) / T).
ORDERS = (*range(2, 257), 320, 384, 448, 512, 768, 1024)


def rdp(noise_multiplier: float, sampling_rate: float = 1.0, orders: Sequence[int] = ORDERS) -> np.ndarray:
    """Compute the Renyi divergence of one step at each order.

    a / (2 s^2) without sampling, the Poisson-sampled bound otherwise:

    (1/(a-1)) log sum_{k=0}^a C(a, k) (1-q)^(a-k) q^k exp(k(k-1) / (2 s^2)), summed as logarithms.

    Args:
      noise_multiplier: s >= 0; 0 gives inf. sampling_rate: q in [0, 1]. orders: whole numbers >= 2.
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
    from scipy.special import gammaln, logsumexp

    s, q = _noise(noise_multiplier), _number("sampling_rate", sampling_rate, 0, 1)
    a = np.asarray(orders, np.float64)
    if a.ndim != 1 or len(a) == 0 or not ((a >= 2) & (a == np.floor(a))).all():
        raise bad("orders", orders, instead="give whole numbers >= 2")
    if q == 0:
        return np.zeros(len(a))
    if s == 0:
        return np.full(len(a), np.inf)
    if q == 1:
        return a / (2 * s**2)
    out = []
    for order in a:
        k = np.arange(order + 1)
        binomial = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
        terms = binomial + (order - k) * math.log1p(-q) + k * math.log(q) + k * (k - 1) / (2 * s**2)
        out.append(logsumexp(terms) / (order - 1))
    return np.maximum(np.asarray(out), 0)


def epsilon(
    noise_multiplier: float,
    steps: int,
    sampling_rate: float,
    delta: float,
    *,
    conversion: Literal["tight", "simple"] = "tight",
    orders: Sequence[int] = ORDERS,
) -> float:
    """Epsilon that `steps` Gaussian mechanisms spend at this delta, by RDP.

    simple: min over orders of steps rdp + log(1/delta)/(a-1)
    tight:  min over orders of steps rdp + log((a-1)/a) - (log delta + log a)/(a-1)

    Args:
      noise_multiplier: standard deviation of the noise over the sensitivity, >= 0; 0 gives inf.
      steps: mechanisms composed, >= 0; 0 gives 0.
      sampling_rate: q in [0, 1]; below 1 it means Poisson sampling (see the top of this file), 1 is
        no sampling.
      delta: in (0, 1).
      conversion: from RDP to (epsilon, delta).
      orders: Renyi orders tried, whole numbers >= 2.
    Returns:
      epsilon >= 0, for the adjacency whose sensitivity the noise multiplier refers to.
    Raises:
      ValueError: an argument out of range.
    Reference: Mironov, 2017; Canonne, Kamath and Steinke, The discrete Gaussian for differential
      privacy, 2020.
    Example:
      >>> round(epsilon(1.0, 1000, 0.01, 1e-5), 4)
      2.1078
    """
    steps, delta = _steps(steps), _delta(delta)
    if conversion not in ("tight", "simple"):
        raise bad("conversion", conversion, instead="give 'tight' or 'simple'")
    spent = rdp(noise_multiplier, sampling_rate, orders)
    if steps == 0 or not spent.any():
        return 0.0
    a = np.asarray(orders, np.float64)
    if conversion == "simple":
        candidates = steps * spent - math.log(delta) / (a - 1)
    else:
        candidates = steps * spent + np.log1p(-1 / a) - (math.log(delta) + np.log(a)) / (a - 1)
    return max(0.0, float(candidates.min()))


def gaussian_delta(noise_multiplier: float, steps: int, epsilon: float) -> float:
    """Exact delta of `steps` Gaussian mechanisms without sampling at this epsilon.

    Phi(-eps/mu + mu/2) - exp(eps) Phi(-eps/mu - mu/2), mu = sqrt(steps) / s.

    Raises:
      ValueError: an argument out of range.
    Reference: Dong, Roth and Su, Gaussian differential privacy, 2019.
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
    Reference: Dong, Roth and Su, Gaussian differential privacy, 2019.
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
      >>> round(noise_multiplier(2.1078, 1000, 0.01, 1e-5), 3)
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
