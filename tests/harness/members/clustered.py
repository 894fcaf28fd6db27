"""Methods of dejax/methods/clustered."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "ifca": dj.methods.ifca(lr=lr, clusters=2, clients=4, local_steps=2),
    }


def networks(n):
    """name -> what makes the network of a method that does not run on a ring."""
    del n
    return dict.fromkeys(methods(0.1), dj.Network)
