"""When a run is measured and saved, and by which metrics."""

import dataclasses
import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from .. import metrics as metrics_room
from ..core.arguments import called_with
from ..core.checks import above, natural, or_none, whole
from ..core.types import Problem
from ..errors import NULL, a_name, bad, call, keyword
from ..metrics import View, direction
from ..problem.averaging import has_mean, no_mean
from .patience import Patience

EVALUATIONS = 20  # about so many in a run, where nothing else is said
SAVE_SECONDS = 60.0  # between checkpoints, where nothing else is said

OF_THE_MEAN = (
    "mean_model",
    "consensus",
    "objective",
    "heterogeneity",
    "hessian_trace",
    "sharpness",
)  # need a mean of models

ON_TEST = (
    "local_models",
    "own_test",
    "mean_model",
    "per_node",
    "fairness",
    "per_class",
    "confusion",
    "ensemble",
)  # need a test set


def without_mean(problem: Problem) -> dict[str, str]:
    """The metrics of a mean that is no model, and who says so."""
    if has_mean(problem.task):
        return {}
    shared = no_mean(problem)  # None where nodes share what has a mean, which is all that consensus looks at
    excluded: dict[str, str] = dict.fromkeys(OF_THE_MEAN, shared or "the task says averageable = False of some leaves")
    return excluded if shared else {name: why for name, why in excluded.items() if name != "consensus"}


@dataclasses.dataclass(frozen=True)
class Cadence:
    """When a run is measured and saved; see `simulate` for the fields."""

    rounds: int
    every: int | None = None
    at: Sequence[int] | None = None
    at_seconds: Sequence[float] | None = None
    nodes: int | None = None
    final_nodes: int | None = None
    metrics: Sequence[Any] | None = None
    checkpoint_every: int | None = None
    patience: int | None = None
    monitor: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.metrics, str) or callable(self.metrics):  # one, without a list around it
            object.__setattr__(self, "metrics", (self.metrics,))
        if self.metrics is not None and not isinstance(self.metrics, Sequence):
            raise bad("metrics", self.metrics, instead="give names or functions fn(view), one or a list of them")
        for name in ("every", "nodes", "final_nodes", "checkpoint_every", "patience"):
            object.__setattr__(self, name, or_none(whole)(name, getattr(self, name)))
        for name, check, some in (("at", natural, "[1, 2, 5, 10]"), ("at_seconds", above(0), "[0.5, 1.0, 2.0]")):
            object.__setattr__(self, name, _several(name, getattr(self, name), check, some))
        if self.monitor is not None and not isinstance(self.monitor, str):
            raise bad("monitor", self.monitor, instead="give the name of a number, e.g. 'accuracy/validation'")
        if self.monitor is not None and self.patience is None:
            way = "give " + keyword("patience", 5) + ", the evaluations that may pass without a better one, or " + NULL
            raise bad("monitor", self.monitor, why="but no patience says when a run ends", instead=way)

    @property
    def step(self) -> int | None:
        """Rounds between evaluations; None where a list says when they are."""
        if self.every is not None:
            return self.every
        listed = self.at is not None or self.at_seconds is not None
        return None if listed else max(1, math.ceil(self.rounds / EVALUATIONS))

    def longer(self, rounds: int, options: dict[str, Any]) -> "Cadence":
        """The same for more rounds; takes its own fields out of `options`."""
        if options.get("patience", self.patience) is None:
            options.setdefault("monitor", None)
        names = [f.name for f in dataclasses.fields(self) if f.name in options]
        return dataclasses.replace(
            self, **({"rounds": rounds, "every": self.step} | {name: options.pop(name) for name in names})
        )

    def patient(self, problem: Problem) -> Patience | None:
        """Who says which runs end early; None where none do.

        Raises:
          ValueError: nothing says which way the number to watch is better.
        """
        if self.patience is None:
            return None
        return Patience(self.patience, self.monitor, direction.declared(problem.task, *self.measures(problem)))

    def evaluates(self, round: int) -> bool:
        """Whether the state after `round` rounds is measured."""
        step = self.step
        return round in (0, self.rounds) or (step is not None and round % step == 0) or round in (self.at or ())

    def next_time(self, seconds: float) -> float:
        """The next virtual time at which it is measured, after `seconds`; inf where none is left."""
        return next((t for t in self.at_seconds or () if t > seconds), math.inf)

    def saves(self, round: int, measured: bool, seconds: float) -> bool:
        """Whether it is saved, `seconds` after the last checkpoint."""
        if round == self.rounds:
            return True
        if self.checkpoint_every is not None:
            return round % self.checkpoint_every == 0
        return measured and seconds >= SAVE_SECONDS

    def next_stop(self, round: int) -> int:
        """The next round at which the host has something to do, as far as rounds say."""
        steps = [s for s in (self.step, self.checkpoint_every) if s]
        listed = [t for t in self.at or () if t > round]
        return min([self.rounds, *listed, *(round // s * s + s for s in steps)])

    def measures(self, problem: Problem) -> list[Callable[[View], dict[str, Any]]]:
        """The metrics as functions.

        Raises:
          ValueError: an unknown name. TypeError: neither a name nor a function.
        """
        if self.metrics is None:
            usual = ("local_models", "mean_model") if problem.data.test is not None else ("objective",)
            usual = (*usual, "validation") if problem.data.validation is not None else usual
            names = (*usual, "consensus")
            excluded = without_mean(problem)
            names = tuple(name for name in names if name not in excluded)
            return [getattr(metrics_room, name) for name in names]
        known = [n for n in metrics_room.__all__ if n not in ("View", "Metric")]
        out = []
        for metric in self.metrics:
            if isinstance(metric, str):
                if metric not in known:
                    near = difflib.get_close_matches(metric, known, 1, 0.5)
                    hint = f" Did you mean {near[0]!r}?" if near else ""
                    raise bad(
                        "metrics",
                        metric,
                        says=f"holds {metric!r}",
                        why=f"which is no metric.{hint} Known: {', '.join(known)}",
                    )
                metric = getattr(metrics_room, metric)
            if not callable(metric):
                raise bad(
                    "metrics",
                    metric,
                    says=f"holds {metric!r}",
                    instead="give functions fn(view) -> {name: number}, or names of built-in ones",
                )
            if takes := called_with(metric, "view"):
                says = f"holds {a_name(metric)}, which {takes}"
                raise bad("metrics", metric, says=says, instead="give functions fn(view) -> {name: number}")
            out.append(metric)
        if metrics_room.local_models in out and metrics_room.own_test in out:  # one pass over the test set serves both
            out[out.index(metrics_room.local_models)] = partial(metrics_room.local_models, own=True)
            out.remove(metrics_room.own_test)
        return out

    def check(self, run: Any) -> None:
        """Refuse, before anything is compiled, what the problem cannot be measured by.

        These are metrics that it cannot give, and more models than there are nodes.
        """
        for name in ("nodes", "final_nodes"):
            asked = getattr(self, name)
            if asked is not None and asked > run.problem.n:
                raise bad(
                    name,
                    asked,
                    why=f"but there are {run.problem.n} nodes",
                    instead=f"give 1 to {run.problem.n}, or " + NULL + " to evaluate all",
                )
        self.patient(run.problem)
        if self.patience is not None and self.monitor is None and run.problem.data.validation is None:
            why = f"but {run.problem.data.name} has no validation part, by which a run should end"
            way = "set one aside with data.split(validation=0.1), or say by which number, " + keyword("monitor", "loss")
            raise bad("patience", self.patience, why=why, instead=way)
        if self.at_seconds is not None and run.network.clock is None and run.network.events is None:
            clock = call("dejax.faults.clock", latency=0.01)
            way = (
                "give the network a clock, "
                + keyword("clock", clock)
                + ", or a list of rounds, "
                + keyword("at", "[1, 2, 5]")
            )
            raise bad("at_seconds", self.at_seconds, why="but the network has no clock", instead=way)
        direction.declared(run.problem.task, *self.measures(run.problem))
        excluded = without_mean(run.problem)
        for metric in self.measures(run.problem):
            name = getattr(getattr(metric, "func", metric), "__name__", "")
            if name in excluded:
                why = f"but {excluded[name]}: the mean of its models is no model"
                way = "measure local_models, own_test or ensemble"
                raise bad("metrics", name, says=f"holds {name!r}", why=why, instead=way)
        needs = [getattr(metrics_room, name) for name in ON_TEST]
        for metric in self.measures(run.problem):
            name = getattr(getattr(metric, "func", metric), "__name__", "")
            if getattr(metric, "func", metric) in needs and run.problem.data.test is None:
                raise bad(
                    "metrics",
                    name,
                    says=f"holds {name!r}",
                    why=f"but {run.problem.data.name} has no test set",
                    instead="give one, or leave it out",
                )
            if getattr(metric, "func", metric) is metrics_room.validation and run.problem.data.validation is None:
                why = f"but {run.problem.data.name} has no validation part"
                instead = "set one aside with data.split(validation=0.1), or leave it out"
                raise bad("metrics", name, says=f"holds {name!r}", why=why, instead=instead)


def _several(name: str, given: Any, check: Callable[[str, Any], Any], some: str) -> tuple[Any, ...] | None:
    """A list of different numbers in order; None where there is none.

    Raises:
      ValueError, TypeError: no list of at least one, or a number that `check` refuses.
    """
    if given is None:
        return None
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable) or not (found := list(given)):
        raise bad(name, given, instead=f"give a list, e.g. {some}")
    return tuple(sorted({check(name, x) for x in found}))


__all__ = ["OF_THE_MEAN", "Cadence"]
