"""Methods of dejax/methods/federated."""

import optax

import dejax as dj


def methods(lr):
    """name -> method."""
    kw = {"lr": lr, "clients": 4, "local_steps": 2}
    return {
        "dbw": dj.methods.dbw(lr=lr),
        "favano": dj.methods.favano(speed=0.5, interval=3, **kw),
        "fedadagrad": dj.methods.fedadagrad(server_lr=0.1, **kw),
        "fedadam": dj.methods.fedadam(server_lr=0.1, **kw),
        "fedamd": dj.methods.fedamd(p=0.5, anchor_batches=2, **kw),
        "fedavg": dj.methods.fedavg(**kw),
        "fedbuff": dj.methods.fedbuff(delay=2, **kw),
        "feddyn": dj.methods.feddyn(alpha=0.1, **kw),
        "fedes": dj.methods.fedes(lr=lr, pairs=5, clients=4),
        "fednova": dj.methods.fednova(work=0.5, momentum=0.5, **kw | {"local_steps": 4}),
        "fedopt": dj.methods.fedopt(server=dj.optimizer(optax.sgd, 0.5, momentum=0.9), **kw),
        "fedprox": dj.methods.fedprox(mu=0.1, work=0.5, **kw | {"local_steps": 4}),
        "fedyogi": dj.methods.fedyogi(server_lr=0.1, **kw),
        "heterofl": dj.methods.heterofl(width=0.5, **kw),
        "mime": dj.methods.mime(**kw),
        "plexus": dj.methods.plexus(success=0.75, **kw),
        "savic": dj.methods.savic(floor=0.1, **kw),
        "savic_oasis": dj.methods.savic(floor=0.1, scaling="oasis", **kw),
        "scaffnew": dj.methods.scaffnew(lr=lr, p=0.7),
        "scaffold": dj.methods.scaffold(**kw),
    }
