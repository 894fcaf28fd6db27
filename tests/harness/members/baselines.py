"""Methods of dejax/methods/baselines."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "local_only": dj.methods.local_only(lr=lr),
        "centralized": dj.methods.centralized(lr=lr),
    }
