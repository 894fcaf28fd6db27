"""Methods of dejax/methods/distilled."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "fedmd": dj.methods.fedmd(lr=lr, digest_lr=lr, rows=8),
        "one_nn": dj.methods.one_nn(queries=3, peers=1),
    }
