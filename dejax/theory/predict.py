"""Predict a run: facts of its graph, exact curves, bounds, and what is not known."""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .. import methods, topology
from ..core import checks
from ..core.local_work import steps_of
from ..core.random import seeded
from ..core.types import Method, Network, Tree
from ..engine import prepare
from ..engine.starts import starts
from ..problem import Problem
from . import bounds, exact
from .constants import Constants, constants

POINTS = 200  # of a curve as it is written down
NOTE = (  # what the literature proves without constants, so that no curve can be drawn
    "for suitable rates E f(xbar) - f_star is O~(sigma^2 / (n mu T) + L (zeta^2 / p^2 + sigma^2 / p) / (mu T)^2 + exp(-mu p T / L)), with "
    "p = 1 - rho^2 and constants that are not given: Koloskova et al., A unified theory of decentralized SGD, 2020, theorem 2"
)


class Curve(NamedTuple):
    """One predicted number over the rounds.

    Args:
      name: as records hold it. kind: "exact" (the expectation itself) or "bound" (the expectation lies below). source: paper, or what it
        is. values: [rounds + 1], before each round and after the last. floor: where it ends for T to infinity, None where that is not
        known. rate: the factor per round by which the models (of a bound: the bounds of their errors) come nearer to where they end; None
        likewise.
    """

    name: str
    kind: str
    source: str
    values: np.ndarray
    floor: float | None
    rate: float | None

    def plain(self) -> dict[str, Any]:
        """For files: at most `POINTS` + 1 of the rounds."""
        rounds = np.unique(np.linspace(0, len(self.values) - 1, min(len(self.values), POINTS + 1)).round().astype(int))
        values = [float(x) if math.isfinite(x) else None for x in self.values[rounds]]
        out = self._asdict() | {"rounds": rounds.tolist(), "values": values}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in out.items()}


class Prediction(NamedTuple):
    """What theory says of a run.

    Args:
      graph: facts of the graph (`topology.facts`), or nothing where there is none. constants: of the problem, in words. curves: what
        can be said over rounds. unknown: what cannot, each with its reason. notes: results that give no curve. f_star: the least
        objective, where it is known.
    """

    graph: dict[str, Any]
    constants: str
    curves: tuple[Curve, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...] = ()
    f_star: float | None = None

    def curve(self, name: str, kind: str | None = None) -> Curve | None:
        """The curve of a number; the exact one before a bound."""
        return next((c for c in self.curves if c.name == name and kind in (None, c.kind)), None)

    def plain(self) -> dict[str, Any]:
        """For files."""
        return self._asdict() | {"curves": [curve.plain() for curve in self.curves]}


def predict(
    method: Method, problem: Problem, network: Network, rounds: int, *, seed: int = 0, params: Tree = None
) -> Prediction:
    """Predict the objective f(xbar) and the consensus distance of a run.

    Curves exist for `dsgd`, `local_sgd` and `gradient_tracking` with plain SGD steps on squares and logistic regression, over a fixed
    graph (exact ones also over a sequence), where the network has neither faults nor codec, attack, privacy, robust rule or events. Exact
    are quadratics with full batches, also with noise that does not depend on the model; else there are bounds.

    Args:
      method, problem, network: of `simulate`. rounds: T. seed: of the starts, where they are drawn. params: starts, as of `simulate`.
    Returns:
      A `Prediction`; what is not known is said there, and nothing is guessed.
    Raises:
      What `simulate` refuses.
    """
    rounds = checks.whole("rounds", rounds)
    method, problem, network = prepare(method, problem, network, rounds)
    method, uneven = _of_steps(method, problem)
    graph = {} if network.topology is None else topology.facts(network.topology)
    found, unknown = constants(problem), []
    said = found if isinstance(found, str) else found.words()
    if why := _excluded(method, network) or uneven:
        unknown.append(why)
    elif isinstance(found, str):
        unknown.append(found)
    if unknown or isinstance(found, str):
        return Prediction(graph, said, (), tuple(unknown), _notes(method))
    models = starts(method, problem, seeded(seed), params)
    x = np.asarray(jax.device_get(models["x"]), np.float64)
    rates = [_rate(method, t) for t in range(rounds)]
    curves: list[Curve] = []
    for part in (_exact, _bounds):
        got = part(method, network, found, x, rates)
        if isinstance(got, str):
            unknown.append(got)
        else:
            curves += got
    return Prediction(graph, said, tuple(curves), tuple(unknown), _notes(method), found.f_star)


def _notes(method: Method) -> tuple[str, ...]:
    return (NOTE,) if isinstance(method, (methods.dsgd, methods.local_sgd)) else ()


def _excluded(method: Method, network: Network) -> str:
    """Why no recursion here describes this run; nothing where one may."""
    if bounds.bound(method) is None:
        return f"no curve of {type(method).__name__} is written down: there are those of dsgd, local_sgd and gradient_tracking"
    if getattr(method, "optimizer", None) is not None:
        return "no curve is known for an optimizer in place of lr"
    given = {
        "codec": not network.codec.lossless,
        "privacy": network.privacy is not None,
        "attack": network.attack is not None,
        "faults": bool(network.faults),
        "rule": not network.rule.linear,
        "events": network.events is not None,
    }
    on = [f"network.{name}" for name, there in given.items() if there]
    if on:
        return f"no curve holds with {', '.join(on)}: the recursions are of plain messages in plain rounds"
    if network.topology.period == 0:
        return f"no curve is known for {network.topology.name}, which is drawn afresh in each phase"
    if network.topology.kind != "doubly":
        return f"no curve is known for W that is {network.topology.kind} stochastic alone: the mean of models is then not kept"
    return ""


def _of_steps(method: Any, problem: Problem) -> tuple[Any, str]:
    """The method with a number of local steps, or why it has none: nodes make different ones."""
    work, data = getattr(method, "local_steps", None), problem.data
    if work is None or isinstance(work, int):
        return method, ""
    most, steps = steps_of(work, data.index, data.count, problem.batches, jnp.asarray, data.even)
    if steps is None:
        return replace(method, local_steps=most), ""
    return method, "no curve is known where nodes make different numbers of local steps"


def _rate(method: Any, t: int) -> exact.Rate:
    """A number, or [n, 1] for rates per node."""
    lr = method.lr(t) if callable(method.lr) else method.lr
    lr = np.asarray(jax.device_get(lr), np.float64)
    return lr[:, None] if lr.ndim else float(lr)


def _constant(rates: list[exact.Rate]) -> bool:
    return all(np.array_equal(rates[0], lr) for lr in rates)


def _exact(
    method: Method, network: Network, known: Constants, x: np.ndarray, rates: list[exact.Rate]
) -> list[Curve] | str:
    form = exact.linear(method)
    if form is None or known.hessians is None or known.pulls is None:
        return f"no exact recursion: the gradients of {known.name} are not linear in the model"
    if known.variance is None:
        return "no exact recursion: the noise of batches depends on the model"
    top = network.topology
    size = form.blocks * x.size
    if known.variance.any() and size > exact.MOST:
        return (
            f"no exact recursion: its covariance has {size:,}^2 numbers, and more than {exact.MOST:,}^2 are not formed"
        )
    mixing = [np.asarray(top.host(t).matrix(), np.float64) for t in range(top.period)]
    system = exact.System(form, known.hessians, known.pulls, known.variance, mixing)
    hessian = known.hessians.mean(0)
    seen = system.moments(x, rates)
    limit = factor = None
    if _constant(rates) and size <= exact.MOST:
        factor = system.rate(rates[0])
        limit = system.limit(x, rates[0]) if factor < 1 else None
    spent = "exact recursion of the mean" + (" and the covariance of all models" if system.noisy else "")
    objective = lambda m, c: known.f_star + exact.excess(m, c, hessian, known.x_star)
    out = []
    for name, of in (("objective", objective), ("consensus", exact.consensus)):
        floor = None if factor is None else math.inf if limit is None else of(*limit)
        out.append(Curve(name, "exact", spent, np.array([of(m, c) for m, c in seen]), floor, factor))
    return out


def _bounds(
    method: Method, network: Network, known: Constants, x: np.ndarray, rates: list[exact.Rate]
) -> list[Curve] | str:
    found, top = bounds.bound(method), network.topology
    if found is None:
        return ""
    step, source = found
    if top.period != 1:
        return "no bound over a sequence of graphs: single phases need not contract"
    if any(np.ndim(lr) for lr in rates):
        return "no bound where every node has a rate of its own"
    if known.at_star is None:
        return "no bound: " + known.no_noise
    noisy = known.at_star > 0 or known.growth > 0
    if step is bounds._track and noisy:
        return "no bound for tracking with noisy gradients is written down here; see Pu and Nedic, 2021, theorem 1"
    rho = topology.rho(top)
    spread = 1 - topology.least_eigenvalue(top) if top.symmetric else 2.0
    facts = bounds.Facts(known, len(x), 0.0 if rho is None else rho, spread)
    first: tuple[float, ...] = (float(np.linalg.norm(x.mean(0) - known.x_star)), math.sqrt(exact.consensus(x, None)))
    if step is bounds._track:  # the first round sets trackers to gradients
        g = known.gradients(x)
        first = (*first, 0.0, math.sqrt(exact.consensus(g, None)) / known.L)
    numbers = [float(lr) for lr in rates]
    errors = bounds.curve(step, facts, first, numbers)
    last, factor = None, None
    if _constant(rates):
        factor = bounds.rate(step, facts, first, numbers[0])
        last = bounds.floor(step, facts, first, numbers[0]) if factor < 1 else tuple(math.inf for _ in first)
    objective = lambda err: known.f_star + known.L / 2 * err[0] ** 2
    out = []
    for name, of in (("objective", objective), ("consensus", lambda err: err[1] ** 2)):
        values = np.array([of(err) for err in errors])
        out.append(Curve(name, "bound", source, values, None if last is None else of(last), factor))
    return out


__all__ = ["Curve", "Prediction", "predict"]
