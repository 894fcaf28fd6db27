"""The bound f on bad values that robust rules take."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ..core.checks import Number
from ..errors import bad

BOUND = Number("a whole number >= 0 of bad values per neighborhood", lambda v: v >= 0 and v == v // 1)  # of a leaf


def check_majority(owner: Any, degree: int, server: bool = False) -> None:
    """Refuse `owner.f` bad values if they are half or more of all.

    All are those of `degree` neighbors and the node itself, or those of a server's senders.
    """
    if isinstance(owner.f, Tracer):
        return
    f = int(np.max(np.asarray(jax.device_get(owner.f))))
    values = degree if server else degree + 1
    if 2 * f >= values:
        best = max(0, (values - 1) // 2)
        who = "the server" if server else f"a node with {degree} neighbors"
        more = "let it sample more nodes (clients)" if server else "a graph of higher degree"
        raise bad(
            "f",
            f,
            owner=owner,
            why=f"but {who} combines {values} values and at most {best} of them may be bad",
            instead=f"give f <= {best}, or {more}",
        )
