"""Methods of dejax/methods/clustered."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "ifca": dj.methods.ifca(lr=lr, clusters=2, clients=4, local_steps=2),
        "pens": dj.methods.pens(lr=lr, peers=3, best=2, explore=1),
    }
