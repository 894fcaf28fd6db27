"""The bound f on bad values that robust rules take."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .._struct import check_number


def check_f(owner: Any) -> None:
    """Raise unless `owner.f` is a whole number >= 0 (arrays pass)."""
    check_number(
        owner, "f", owner.f, lambda v: v >= 0 and v == int(v), "a whole number >= 0 of bad values per neighborhood"
    )


def check_majority(owner: Any, degree: int, values: int) -> None:
    """Raise ValueError when `owner.f` bad values are half or more of `values`."""
    if isinstance(owner.f, Tracer):
        return
    f = int(np.max(np.asarray(jax.device_get(owner.f))))
    if 2 * f >= values:
        best = max(0, (values - 1) // 2)
        raise ValueError(
            f"{type(owner).__name__}.f is {f}, but a node with {degree} neighbors combines {values} values and at most "
            f"{best} of them may be bad; give f <= {best}, or a graph of higher degree"
        )
