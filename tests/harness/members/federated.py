"""Methods of dejax/methods/federated."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "fedavg": dj.methods.fedavg(lr=lr, clients=4, local_steps=2),
        "scaffold": dj.methods.scaffold(lr=lr, clients=4, local_steps=2),
    }
