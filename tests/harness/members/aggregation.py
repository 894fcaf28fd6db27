"""Options of dejax/aggregation."""

import dejax as dj

STRENGTHLESS = {"nna", "coordinate_median", "trimmed_mean"}  # on or off


def options(strength):
    """name -> keyword arguments of Network."""
    del strength
    return {
        "nna": {"rule": dj.aggregation.nna(f=1)},
        "coordinate_median": {"rule": dj.aggregation.coordinate_median()},
        "trimmed_mean": {"rule": dj.aggregation.trimmed_mean(f=1)},
    }
