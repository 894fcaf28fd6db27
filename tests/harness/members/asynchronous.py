"""Methods of dejax/methods/asynchronous."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "ad_psgd": dj.methods.ad_psgd(lr=lr),
        "dadao": dj.methods.dadao(smoothness=1 / lr, convexity=0.1 / lr, chi=1.0),
        "swift": dj.methods.swift(lr=lr),
    }
