"""Options of dejax/faults."""

import dejax as dj

STRENGTHLESS = {"delay"}  # on or off


def options(strength):
    """name -> keyword arguments of Network."""
    f = dj.faults
    return {
        "link_loss": {"faults": (f.link_loss(p=0.9 * strength),)},
        "directed_link_loss": {"faults": (f.directed_link_loss(p=0.9 * strength),), "repair": "row"},
        "churn": {"faults": (f.churn(p=0.5 * strength),)},
        "delay": {"faults": (f.delay(phases=(0, 2)),)},
        "clock": {"clock": f.clock(gradient=1.0 * strength, latency=0.1)},
    }
