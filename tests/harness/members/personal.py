"""Methods of dejax/methods/personal."""

import dejax as dj


def methods(lr):
    """name -> method."""
    return {
        "apfl": dj.methods.apfl(lr=lr, clients=4, local_steps=2),
        "dispfl": dj.methods.dispfl(lr=lr, local_steps=2),
        "ditto": dj.methods.ditto(lr=lr, clients=4, local_steps=2),
        "l2c": dj.methods.l2c(lr=lr, mix_lr=lr, local_steps=2),
        "network_lasso": dj.methods.network_lasso(lr=lr, local_steps=2),
        "pfedhn": dj.methods.pfedhn(lr=lr, clients=4, local_steps=2, embedding=3, hidden=[4]),
        "fedrep": dj.methods.fedrep(lr=lr, head_steps=2, clients=4, local_steps=2),
    }
