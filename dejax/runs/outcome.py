"""How runs ended that came to their last round."""

import math

from ..report.history import Record


def outcome(records: list[Record]) -> str:
    """Return the status of runs that came to their end.

    "done", or which evaluated number was not finite, and from which round on.
    """
    for record in records:
        for name, value in record.items():
            finite = math.isfinite(value) if isinstance(value, float) else value is not None  # null in files
            if (
                not finite and "own_test" not in name and name != "epsilon"
            ):  # NaN where no node has any; inf: no guarantee
                return f"nonfinite from round {record['round']}: {name}"
    return "done"


__all__ = ["outcome"]
