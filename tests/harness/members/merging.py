"""Methods of dejax/methods/merging."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "dimat": dj.methods.dimat(lr=lr, local_steps=2),
        "weight_matching": dj.methods.weight_matching(lr=lr, local_steps=2),
    }
