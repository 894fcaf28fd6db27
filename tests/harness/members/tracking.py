"""Methods of dejax/methods/tracking."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "gradient_tracking": dj.methods.gradient_tracking(lr=lr),
    }
