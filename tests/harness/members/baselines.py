"""Methods of dejax/methods/baselines."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "local_only": dj.methods.local_only(lr=lr),
        "centralized": dj.methods.centralized(lr=lr),
    }


def networks(n):
    """name -> what makes the network of a method that does not run on a ring."""
    del n
    return dict.fromkeys(methods(0.1), dj.Network)
