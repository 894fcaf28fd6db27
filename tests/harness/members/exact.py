"""Methods of dejax/methods/exact."""

import dejax as dj


def methods(lr):
    """name -> method."""
    m = dj.methods
    return {
        "d2": m.d2(lr=lr),
        "exact_diffusion": m.exact_diffusion(lr=lr),
        "extra": m.extra(lr=lr),
        "nids": m.nids(lr=lr),
        "led": m.led(lr=lr, local_steps=2),
        "proxskip": m.proxskip(lr=lr, p=0.5),
        "dlm": m.dlm(lr=lr),
        "dadmm": m.dadmm(lr=lr, local_steps=2),
    }
