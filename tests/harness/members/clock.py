"""The clock."""

import dejax as dj


def options(strength):
    """name -> keyword arguments of Network."""
    return {"clock": {"clock": dj.faults.clock(gradient=1.0 * strength, latency=0.1 * strength)}}
