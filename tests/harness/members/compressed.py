"""Methods of dejax/methods/compressed."""

import dejax as dj


def methods(lr):
    """name -> method."""
    m, top, l1 = dj.methods, dj.compression.top_k(ratio=0.1), dj.proximal.l1(strength=1e-3)
    return {
        "choco": m.choco(lr=lr, gamma=0.3, compressor=top),
        "cdproxsgt": m.cdproxsgt(lr=lr, gamma=0.3, compressor=top, prox=l1, clip=0.5),
        "dproxsgt": m.dproxsgt(lr=lr, prox=l1),
    }
