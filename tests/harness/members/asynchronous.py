"""Methods of dejax/methods/asynchronous."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "ad_psgd": dj.methods.ad_psgd(lr=lr),
        "swift": dj.methods.swift(lr=lr),
    }
