"""Methods of dejax/methods/graphs."""

import dejax as dj


def methods(lr):
    """name -> method."""
    del lr
    return {"k_core": dj.methods.k_core()}
