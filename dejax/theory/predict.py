"""Predict a run: facts of its graph, exact curves, bounds, and what is not known."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np

from .. import topology
from ..core import checks
from ..core.local_work import steps_of
from ..core.random import seeded
from ..core.types import Method, Network, Tree
from ..engine import epochs_of_round, prepare
from ..engine.starts import starts
from ..errors import bad
from ..problem import Problem
from . import bounds, exact
from .constants import constants
from .curves import Curve, Stage, bound_curves, exact_curves
from .literature import notes


class Prediction(NamedTuple):
    """What theory says of a run.

    Args:
      graph: facts of the graph of the first phase (`topology.facts`), or nothing where there is none. constants: of the problem, in words. curves: what
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
    method: Method,
    problem: Problem,
    network: Network,
    rounds: int,
    *,
    seed: int | Sequence[int] = 0,
    params: Tree = None,
    phases: Sequence[tuple[int, Method, Network]] = (),
) -> Prediction:
    """Predict the objective f(xbar) and the consensus distance of a run.

    Curves exist for `dsgd`, `local_sgd` and `gradient_tracking` with plain SGD steps on squares and logistic regression, over a fixed
    graph (exact ones also over a sequence), where the network has neither faults nor codec, attack, privacy, robust rule or events. Exact
    are quadratics with full batches, also with noise that does not depend on the model; else there are bounds.

    Args:
      method, problem, network: of `simulate`. rounds: T. seed: of the starts, where they are drawn; of several, curves are of the mean over
        these seeds. params: starts, as of `simulate`. phases: (first round, method, network) of each phase after the first, with a method
        of the same kind.
    Returns:
      A `Prediction`; what is not known is said there, and nothing is guessed.
    Raises:
      ValueError: no seeds; phases that are out of order, or change the kind of method. What `simulate` refuses.
    """
    rounds = checks.whole("rounds", rounds)
    seeds = [int(seed)] if isinstance(seed, SupportsIndex) else list(seed)
    if not seeds:
        raise bad("seed", seeds, says="is empty", instead="give at least one, e.g. seed=[0, 1, 2]")
    _check_phases(method, phases, rounds)
    stages: list[Stage] = []
    unknown: list[str] = []
    epochs: Any = 0.0
    given, ends = [(0, method, network), *phases], [*(begin for begin, *_ in phases), rounds]
    first, graph = problem, {}
    for (begin, method, network), end in zip(given, ends, strict=True):
        made, ready, net = prepare(method, problem, network, rounds, before=(begin, epochs))
        if begin == 0:
            first, graph = ready, {} if net.topology is None else topology.facts(net.topology)
        if phases and ready.source is None:
            epochs = epochs + (end - begin) * epochs_of_round(made, ready)
        made, uneven = _of_steps(made, ready)
        if why := _excluded(made, net) or uneven:
            unknown.append(f"rounds {begin} to {rounds}: {why}" if begin else why)
            break
        stages.append(Stage(begin, made, net, [_rate(made, t) for t in range(begin, end)]))
    found = constants(first)
    said = found if isinstance(found, str) else found.words()
    if stages and isinstance(found, str):
        unknown.append(found)
    if not stages or isinstance(found, str):
        return Prediction(graph, said, (), tuple(unknown))
    models = [starts(stages[0].method, first, seeded(s), params)["x"] for s in seeds]
    x = np.stack([np.asarray(jax.device_get(m), np.float64) for m in models])
    x = x[:1] if (x == x[0]).all() else x
    curves: list[Curve] = []
    for part in (exact_curves, bound_curves):
        got, why = part(stages, found, x, float(jnp.finfo(models[0].dtype).eps))
        curves += [c if len(stages) == len(given) else c._replace(floor=None, rate=None) for c in got]
        unknown += [why] if why else []
    return Prediction(
        graph, said, tuple(curves), tuple(unknown), () if phases else notes(stages[0], found), found.f_star
    )


def _check_phases(method: Method, phases: Sequence[tuple[int, Method, Network]], rounds: int) -> None:
    before = 0
    for i, (begin, other, _) in enumerate(phases):
        if not before < begin < rounds:
            way = f"give rounds above {before} and below {rounds}, in order"
            raise bad(f"phases[{i}]", begin, says=f"begins at round {begin}", instead=way)
        if type(other) is not type(method):
            says = f"is a {type(other).__name__}"
            raise bad(f"phases[{i}]", other, says=says, instead=f"give a {type(method).__name__} with other numbers")
        before = begin


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


__all__ = ["Prediction", "predict"]
