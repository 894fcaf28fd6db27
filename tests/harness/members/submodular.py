"""Methods of dejax/methods/submodular."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {"dobga": dj.methods.dobga(lr=lr), "mono_dmfw": dj.methods.mono_dmfw(lr=lr, block=2)}
