"""Bounds by a small-gain argument, for losses of which L and mu are known.

With e^2 = E ||xbar - x_star||^2, c^2 = E (1/n) sum_i ||x_i - xbar||^2, r^2 = e^2 + c^2, q = max(|1 - lr mu|, |1 - lr L|) (by which a
gradient step of any f_i contracts), zeta^2 the spread of gradients at x_star, delta how fast that spread can grow (`apart`),
s <= at_star + growth r the noise, rho = ||W - J||_2:

    a step        e <- sqrt((q e + lr L c)^2 + lr^2 s^2 / n),   c <- sqrt((q c + lr (zeta + delta e))^2 + lr^2 s^2 (1 - 1/n))
    an average    c <- rho c

Tracking carries the spread a of the trackers before the noise of their own round, too, and what gradients changed by; see `_track`.
The proof is on docs/theory.md. Curves follow: f(xbar) - f_star <= L e^2 / 2, and the consensus distance is c^2.

Reference: Polyak, Introduction to optimization, 1987, section 1.4 (contraction of a gradient step); the same argument: Yuan, Ling and
Yin, On the convergence of decentralized gradient descent, 2016; for tracking Qu and Li, Harnessing smoothness to accelerate
distributed optimization, 2018, theorem 1.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import methods
from ..core.types import Method
from .constants import Constants

LONG = 300_000  # rounds after which nothing is said of where a bound that still moves will end
Errors = tuple[float, ...]  # (e, c); for tracking see `_track`


class Facts(NamedTuple):
    """What a bound reads of problem and graph."""

    known: Constants
    n: int
    rho: float
    spread: float  # ||W - I||_2

    def contraction(self, lr: float) -> float:
        """q."""
        return max(abs(1 - lr * self.known.mu), abs(1 - lr * self.known.L))

    def noise(self, e: float, c: float) -> float:
        """s."""
        return (self.known.at_star or 0.0) + self.known.growth * math.hypot(e, c)


Step = Callable[[Facts, float, Errors], Errors]


def bound(method: Method) -> tuple[Step, str] | None:
    """(errors from those a round before, source); None where no bound is written down."""
    made: Any = method
    if isinstance(method, methods.dsgd):
        steps = {"atc": _local(1), "awc": _with_combine, "cta": _combine_adapt}
        return steps[made.order], "small gain, as Yuan, Ling and Yin, 2016"
    if isinstance(method, methods.local_sgd):
        return _local(made.local_steps), "small gain over K local steps, as Yuan, Ling and Yin, 2016"
    if isinstance(method, methods.gradient_tracking):
        return _track, "small gain, as Qu and Li, 2018, theorem 1"
    return None


def _descend(f: Facts, lr: float, e: float, c: float) -> Errors:
    q, s = f.contraction(lr), f.noise(e, c)
    mean = math.hypot(q * e + lr * f.known.L * c, lr * s / math.sqrt(f.n))
    apart = math.hypot(q * c + lr * (math.sqrt(f.known.zeta2) + f.known.apart * e), lr * s * math.sqrt(1 - 1 / f.n))
    return mean, apart


def _local(steps: int) -> Step:
    def step(f: Facts, lr: float, errors: Errors) -> Errors:
        e, c = errors
        for _ in range(steps):
            e, c = _descend(f, lr, e, c)
        return e, f.rho * c

    return step


def _combine_adapt(f: Facts, lr: float, errors: Errors) -> Errors:
    e, c = errors
    return _descend(f, lr, e, f.rho * c)


def _with_combine(f: Facts, lr: float, errors: Errors) -> Errors:
    e, c = errors
    s, pull = f.noise(e, c), math.sqrt(f.known.zeta2) + f.known.L * math.hypot(e, c)
    return _descend(f, lr, e, c)[0], math.hypot(f.rho * c + lr * pull, lr * s * math.sqrt(1 - 1 / f.n))


def _track(f: Facts, lr: float, errors: Errors) -> Errors:
    """One round of (e, c, a, s, g), of which a, s and g are of the round before.

    The trackers spread by y_i - ybar = a_i + (n_i - nbar), where n is the noise of their own round, of root mean square s, and a is
    known before it is drawn. Over g, the change of the gradients without noise:

        a <- hypot(rho a, w s) + g        w = ||W - I|| sqrt(1 - 1/n): what W leaves of the noise that the tracker then subtracts
        c <- hypot(rho (c + lr a), lr rho s sqrt(1 - 1/n))
        g <- L hypot(w' c + lr rho a, lr L r, lr s sqrt(1/n + rho^2 (1 - 1/n)))        w' = ||W - I||
    """
    e, c, a, s, g = errors
    off = 1 - 1 / f.n  # of the noise of n nodes, what is not in its mean
    a, s = math.hypot(f.rho * a, f.spread * math.sqrt(off) * s) + g, f.noise(e, c)
    moved = math.hypot(
        f.spread * c + lr * f.rho * a, lr * f.known.L * math.hypot(e, c), lr * s * math.sqrt(1 / f.n + f.rho**2 * off)
    )
    apart = math.hypot(f.rho * (c + lr * a), lr * f.rho * s * math.sqrt(off))
    return _descend(f, lr, e, c)[0], apart, a, s, f.known.L * moved


def first(method: Method, known: Constants, x: np.ndarray) -> Errors:
    """Errors before round 0, from models [n, d]; the first round sets trackers to gradients."""
    spread = lambda values: float(np.sqrt(((values - values.mean(0)) ** 2).sum(1).mean()))
    errors = float(np.linalg.norm(x.mean(0) - known.x_star)), spread(x)
    return (*errors, 0.0, 0.0, spread(known.gradients(x))) if isinstance(method, methods.gradient_tracking) else errors


def curve(step: Step, facts: Facts, before: Errors, rates: list[float]) -> list[Errors]:
    """Errors after each round."""
    out = [before]
    for lr in rates:
        out.append(step(facts, lr, out[-1]))
    return out[1:]


def floor(step: Step, facts: Facts, before: Errors, lr: float, factor: float) -> Errors | None:
    """Where a bound with a factor below 1 ends at a constant rate, to 1e-6.

    None where `LONG` rounds do not show it.
    """
    now, nothing = before, tuple(0.0 for _ in before)
    if step(facts, lr, nothing) == nothing:
        return nothing
    for _ in range(LONG):
        new = step(facts, lr, now)
        if all(
            abs(a - b) <= 1e-6 * (1 - factor) * a for a, b in zip(new, now, strict=True)
        ):  # what is left: a geometric sum
            return new
        now = new
    return None


def rate(step: Step, facts: Facts, before: Errors, lr: float) -> float:
    """The factor per round of what is left when gradients agree and nothing is noisy.

    Where L is 0, e stays what it is, and neither number depends on it.
    """
    plain = facts._replace(known=facts.known._replace(zeta2=0.0, at_star=0.0))
    now, factor = (float(facts.known.L > 0), *(1.0 for _ in before[1:])), 1.0
    for _ in range(2000):
        new = step(plain, lr, now)
        if not max(new) > 0:
            return 0.0
        factor = max(new) / max(now)
        now = tuple(x / max(new) for x in new)
    return factor


__all__ = ["LONG", "Errors", "Facts", "Step", "bound", "curve", "first", "floor", "rate"]
