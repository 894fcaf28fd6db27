"""Methods of dejax/methods/bilevel."""

import dejax as dj


def methods(lr):
    """name -> method; the problems have one loss for both levels, and some leaves of each are called upper."""
    upper = ("shift", "layer0/bias")
    return {"ma_dsbo": dj.methods.ma_dsbo(lr=lr, upper=upper, lower_steps=2, solve_steps=2)}
