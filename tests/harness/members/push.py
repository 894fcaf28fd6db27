"""Methods of dejax/methods/push."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "sgp": dj.methods.sgp(lr=lr),
    }
