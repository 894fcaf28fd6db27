"""Whether the step of gossip on copies fits their compressor.

A compressor that keeps delta of a message brings copies up to date in about 1 / delta rounds; a step of gossip far
above delta outruns them, and the models diverge.
"""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ..compression.apply import least_delta
from ..core.abstract import model_like
from ..core.architectures import tasks_of
from ..core.types import Method, Topology
from ..topology import least_eigenvalue, rho
from .case import Case

LIMIT = 5.0  # times delta. Published at top 1 %: 4 times; on a ring of 8, top-k shrinks differences at 4 and blows them up at 8


def too_far(case: Case, method: Method) -> str | None:
    """A sentence for a warning where gamma is far above the compressor's delta; None elsewhere.

    The step is judged by a rule of thumb: the bound proven for CHOCO-SGD, which is named, is far too strict.
    """
    owner: Any = case.network.codec if case.network.codec.memory == "copies" else method
    compressor: Any = getattr(owner, "compressor" if owner is not method else case.traits.own_codec or "", None)
    named = [(name, _number(getattr(owner, name, None))) for name in ("gamma", "tracker_gamma")]
    steps = [(value, name) for name, value in named if value is not None]
    keeps = [share for name in ("k", "ratio") if (share := getattr(compressor, name, None)) is not None]
    if not case.gossips or not steps or not keeps:
        return None  # delta is what a sparsifier keeps; of others it is a bound that they seldom meet
    delta = min(least_delta(compressor, model_like(task)) for task in tasks_of(case.problem.task))
    gamma, name = max(steps)
    if delta <= 0 or gamma <= LIMIT * delta:  # 0: refused elsewhere
        return None
    proven = _proven(case.top, delta)
    return (
        f"{type(owner).__name__}.{name} is {gamma:.3g}, but {type(compressor).__name__} keeps delta = {delta:.2g} of a message: gossip on "
        f"copies tends to diverge with a step above {LIMIT:g} delta, a rule of thumb fitted to the published 0.04 at top 1 %"
        + ("" if proven is None else f" (the bound proven for CHOCO-SGD, far stricter, is {proven:.2g})")
        + f"; give {name} about {min(1.0, 4 * delta):.2g}, or compress less"
    )


def _number(step: Any) -> float | None:
    """The largest step; None where there is none, or one that is being traced."""
    return None if step is None or isinstance(step, Tracer) else float(np.max(np.asarray(step)))


def _proven(top: Topology, delta: float) -> float | None:
    """The step of CHOCO-SGD's theorem.

    None where W is not fixed and symmetric, or is being differentiated.
    """
    if not (top.fixed and top.symmetric and top.kind == "doubly") or any(
        isinstance(x, Tracer) for x in jax.tree.leaves(top)
    ):
        return None
    g, b = 1 - (rho(top) or 0.0), 1 - least_eigenvalue(top)
    return g**2 * delta / (16 * g + g**2 + 4 * b**2 + 2 * g * b**2 - 8 * g * delta)


__all__ = ["too_far"]
