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
        "decent_adam": m.decent_adam(lr=lr),
        "accum_adam": m.decent_adam(lr=lr, accumulate=2),
        "decentlam": m.decentlam(lr=lr),
        "dfedsam": m.dfedsam(lr=lr, rho=0.05, local_steps=2),
        "dfedsam_mgs": m.dfedsam(lr=lr, rho=0.05, local_steps=2, gossips=2),
        "gossip_aga": m.gossip_aga(lr=lr, every=1, warm_up=1),
        "gossip_learning": m.gossip_learning(lr=lr, local_steps=2),
        "gossip_pga": m.gossip_pga(lr=lr, every=2),
        "qg_dsgdm": m.qg_dsgdm(lr=lr),
        "scheduled_sgd": m.scheduled_sgd(lr=lr, talk=[[0, None, 2], [1, 2, 1, 2]]),
        "scheduled_merge": m.scheduled_sgd(lr=lr, talk=[[0, None, 1], [1, None, 3, "server"]]),
        "semi_decentralized_s2a": m.semi_decentralized(lr=lr, every=2, clients=4, to="all"),
        "semi_decentralized_s2s": m.semi_decentralized(lr=lr, every=2, clients=4),
        "variance_corrected": m.variance_corrected(lr=lr, local_steps=2),
    }
