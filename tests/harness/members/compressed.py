"""Methods of dejax/methods/compressed."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "choco": dj.methods.choco(lr=lr, gamma=0.3, compressor=dj.compression.top_k(k=2)),
    }
