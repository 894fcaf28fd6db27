"""Predicted curves of a run that goes through phases: exact ones, and bounds."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import topology
from ..core.types import Method, Network
from . import bounds, exact
from .constants import Constants

POINTS = 200  # of a curve as it is written down
ONE = 1e-8  # as near as this to 1, a factor may be 1, and nothing is said of where a curve ends
ROUNDING = 100  # times the spacing of numbers: what rounding may do to a run


class Curve(NamedTuple):
    """One predicted number over the rounds.

    Args:
      name: as records hold it. kind: "exact" (the expectation itself) or "bound" (the expectation lies below). source: paper, or what it
        is. values: [rounds + 1], before each round and after the last; fewer where the last phases are not known. floor: where it ends
        for T to infinity (of a sequence of graphs after whole periods), None where that is not known. rate: the factor per round by which the models (of a bound: the bounds of their
        errors) come nearer to where they end, in the last phase; None likewise.
      resolution: how far from its least value (f_star, or 0) a number must be to stand clear of the rounding of a run.
    """

    name: str
    kind: str
    source: str
    values: np.ndarray
    floor: float | None
    rate: float | None
    resolution: float = 0.0

    def plain(self) -> dict[str, Any]:
        """For files: at most `POINTS` + 1 of the rounds.

        A floor without limit is "inf", one that is not known None.
        """
        rounds = np.unique(np.linspace(0, len(self.values) - 1, min(len(self.values), POINTS + 1)).round().astype(int))
        values = [float(x) if math.isfinite(x) else None for x in self.values[rounds]]
        out = self._asdict() | {"rounds": rounds.tolist(), "values": values}
        out = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in out.items()}
        return out | {"floor": "inf" if self.floor == math.inf else out["floor"]}


class Stage(NamedTuple):
    """One phase of a run, prepared: its rounds begin, ..., begin + len(rates) - 1."""

    begin: int
    method: Method
    network: Network
    rates: list[exact.Rate]

    @property
    def steady(self) -> bool:
        """Whether its rate stays the same."""
        return all(np.array_equal(self.rates[0], lr) for lr in self.rates)


Found = tuple[list[Curve], str]  # curves, and why there are none, or none of later rounds


def exact_curves(stages: list[Stage], known: Constants, x: np.ndarray, precision: float) -> Found:
    """Follow mean and covariance of all models; the state goes from phase to phase as it is.

    Args:
      x: starts [seeds, n, d], over which curves are means. precision: spacing of the numbers of a run at 1.
    """
    form = exact.linear(stages[0].method)
    if form is None or known.hessians is None or known.pulls is None:
        return [], f"no exact recursion: the gradients of {known.name} are not linear in the model"
    if known.variance is None:
        return [], "no exact recursion: the noise of batches depends on the model"
    size = form.blocks * x[0].size
    if known.variance.any() and size > exact.MOST:
        return [], (
            f"no exact recursion: its covariance has {size:,}^2 numbers, and more than {exact.MOST:,}^2 are not formed"
        )
    hessian = known.hessians.mean(0)
    numbers = {
        "objective": lambda models: known.f_star + exact.excess(models, hessian, known.x_star),
        "consensus": exact.consensus,
    }
    systems = [_system(stage, known) for stage in stages]
    states = [systems[0].start(x)]  # at the begin of each phase
    values = [[of(states[0].models) for of in numbers.values()]]
    with np.errstate(over="ignore", invalid="ignore"):  # of what diverges
        for stage, system in zip(stages, systems, strict=True):
            now = states[-1]
            for now in system.moments(states[-1], stage.rates, stage.begin):
                values.append([of(now.models) for of in numbers.values()])
            states.append(now)
    system, values = systems[-1], np.asarray(values)
    values = np.where(np.isfinite(values), values, math.inf)
    factor, floors = None, dict.fromkeys(numbers)
    if stages[-1].steady and size <= exact.MOST:
        factor = system.rate(stages[-1].rates[0])
        if factor < 1 - ONE:
            end = system.limit(stages[-1].rates[0]).models
            floors = {name: of(end) for name, of in numbers.items()}
        elif factor > 1 + ONE:
            floors = dict.fromkeys(numbers, math.inf)
    source = "exact recursion of the mean" + (" and the covariance of all models" if system.noisy else "")
    return _curves("exact", source, values, floors, factor, _resolution(known, x, precision)), ""


def _system(stage: Stage, known: Constants) -> exact.System:
    top, form = stage.network.topology, exact.linear(stage.method)
    assert form is not None and known.hessians is not None and known.pulls is not None and known.variance is not None
    mixing = [np.asarray(top.host(t).matrix(), np.float64) for t in range(top.period)]
    return exact.System(form, known.hessians, known.pulls, known.variance, mixing)


def bound_curves(stages: list[Stage], known: Constants, x: np.ndarray, precision: float) -> Found:
    """Follow bounds of the errors, from each start; a mean of bounds is a bound of the mean.

    Args: as of `exact_curves`.
    """
    if known.at_star is None:
        return [], "no bound: " + known.no_noise
    held, why = stages, ""
    for i, stage in enumerate(stages):
        if why := _no_bound(stage):
            held, why = stages[:i], why if i == 0 else f"rounds {stage.begin} and later: {why}"
            break
    if not held:
        return [], why
    numbers: dict[str, Callable[[bounds.Errors], float]] = {
        "objective": lambda errors: (
            known.f_star + known.L / 2 * errors[0] * errors[0]
        ),  # no power: those of large floats raise
        "consensus": lambda errors: errors[1] * errors[1],
    }
    over = lambda many: {name: float(np.mean([of(e) for e in many])) for name, of in numbers.items()}
    paths = [[bounds.first(stages[0].method, known, start)] for start in x]
    for stage in held:
        step, _, facts = _bound(stage, known)
        for path in paths:
            path += bounds.curve(step, facts, path[-1], [float(lr) for lr in stage.rates])
    values = np.asarray([list(over(at).values()) for at in zip(*paths, strict=True)])
    factor, floors = None, dict.fromkeys(numbers)
    step, source, facts = _bound(held[-1], known)
    if held is stages and stages[-1].steady:
        lr, ends = float(stages[-1].rates[0]), [path[-1] for path in paths]
        factor = bounds.rate(step, facts, ends[0], lr)
        if factor > 1 + ONE:
            floors = dict.fromkeys(numbers, math.inf)
        elif factor < 1 - ONE:
            found = [bounds.floor(step, facts, errors, lr, factor) for errors in ends]
            floors = floors if None in found else over(found)
    return _curves("bound", source, values, floors, factor, _resolution(known, x, precision)), why


def _bound(stage: Stage, known: Constants) -> tuple[bounds.Step, str, bounds.Facts]:
    found, top = bounds.bound(stage.method), stage.network.topology
    assert found is not None  # of other methods there are no curves at all
    spread = 1 - topology.least_eigenvalue(top) if top.symmetric else 2.0
    return *found, bounds.Facts(known, top.n, topology.rho(top) or 0.0, spread)


def _no_bound(stage: Stage) -> str:
    if stage.network.topology.period != 1:
        return "no bound over a sequence of graphs: single phases need not contract"
    if any(np.ndim(lr) for lr in stage.rates):
        return "no bound where every node has a rate of its own"
    return ""


def _resolution(known: Constants, x: np.ndarray, precision: float) -> dict[str, float]:
    part, size = ROUNDING * precision, float(known.x_star @ known.x_star + (x**2).sum(2).mean())
    f = part * abs(known.f_star) + part**2 * (known.L * size + 2 * known.offset)
    return {"objective": f, "consensus": part**2 * size}


def _curves(
    kind: str, source: str, values: np.ndarray, floors: dict[str, Any], rate: float | None, clear: dict[str, float]
) -> list[Curve]:
    return [Curve(name, kind, source, values[:, i], floors[name], rate, clear[name]) for i, name in enumerate(floors)]


__all__ = ["Curve", "Stage", "bound_curves", "exact_curves"]
