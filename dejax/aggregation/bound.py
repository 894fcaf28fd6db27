"""The bound f on bad values that robust rules take."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ..core.struct import check_number


def check_f(owner: Any) -> None:
    """Raise unless `owner.f` is a whole number >= 0 (arrays pass)."""
    check_number(
        owner, "f", owner.f, lambda v: v >= 0 and v == int(v), "a whole number >= 0 of bad values per neighborhood"
    )


def check_majority(owner: Any, degree: int, server: bool = False) -> None:
    """Raise ValueError when `owner.f` bad values are half or more of those of `degree` neighbors and a node (or of a server's senders)."""
    if isinstance(owner.f, Tracer):
        return
    f = int(np.max(np.asarray(jax.device_get(owner.f))))
    values = degree if server else degree + 1
    if 2 * f >= values:
        best = max(0, (values - 1) // 2)
        raise ValueError(
            f"{type(owner).__name__}.f is {f}, but {'the server' if server else f'a node with {degree} neighbors'} combines {values} "
            f"values and at most {best} of them may be bad; give f <= {best}, or "
            + ("let it sample more nodes (clients)" if server else "a graph of higher degree")
        )
