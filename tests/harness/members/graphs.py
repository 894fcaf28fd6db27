"""Methods of dejax/methods/graphs."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {"k_core": dj.methods.k_core(), "quadratic_energy": dj.methods.quadratic_energy(lr=lr)}
