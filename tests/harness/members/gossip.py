"""Methods of dejax/methods/gossip."""

import optax

import dejax as dj


def methods(lr):
    """name -> method."""
    m = dj.methods
    return {
        "dsgd_atc": m.dsgd(lr=lr),
        "dsgd_awc": m.dsgd(lr=lr, order="awc"),
        "dsgd_cta": m.dsgd(lr=lr, order="cta"),
        "dsgd_adam": m.dsgd(optimizer=dj.optimizer(optax.adam, learning_rate=0.05)),
        "local_sgd": m.local_sgd(lr=lr, local_steps=2),
        "dfedavgm": m.dfedavgm(lr=lr, local_steps=2),
        "relaysgd": m.relaysgd(lr=lr),
    }
