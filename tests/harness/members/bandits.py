"""Methods of dejax/methods/bandits."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {"fed_go_ucb": dj.methods.fed_go_ucb(lr=lr, explore=1, beta=0.1, gamma=0.5)}
