"""One cheap instance of every method and network option, for the tests that walk all of them."""

import functools

import dejax as dj
from dejax.events._plan import plan_of

N = 6


def dummy_optimizer():
    """Adam at the nodes."""
    import optax

    return dj.optimizer(optax.adam, learning_rate=0.05)


def methods(strength=1.0):
    """name -> method on N nodes."""
    lr = 0.05 * strength
    m = dj.methods
    top = dj.compression.top_k(k=2)
    return {
        "dsgd_atc": m.dsgd(lr=lr),
        "dsgd_awc": m.dsgd(lr=lr, order="awc"),
        "dsgd_cta": m.dsgd(lr=lr, order="cta"),
        "dsgd_adam": m.dsgd(optimizer=dummy_optimizer()),
        "local_sgd": m.local_sgd(lr=lr, local_steps=2),
        "dfedavgm": m.dfedavgm(lr=lr, local_steps=2),
        "gradient_tracking": m.gradient_tracking(lr=lr),
        "choco": m.choco(lr=lr, gamma=0.3, compressor=top),
        "relaysgd": m.relaysgd(lr=lr),
        "sgp": m.sgp(lr=lr),
        "ad_psgd": m.ad_psgd(lr=lr),
        "fedavg": m.fedavg(lr=lr, clients=4, local_steps=2),
        "scaffold": m.scaffold(lr=lr, clients=4, local_steps=2),
        "ifca": m.ifca(lr=lr, clusters=2, clients=4, local_steps=2),
        "local_only": m.local_only(lr=lr),
        "centralized": m.centralized(lr=lr),
    }


STRENGTHLESS = {"label_flip", "nna", "coordinate_median", "trimmed_mean", "delay"}  # on or off


def options(strength=1.0):
    """name -> keyword arguments of Network; `strength` scales what the option does (a compressor keeps less)."""
    c, f = dj.compression, dj.faults
    s, kept = strength, round(2 / strength)
    return {
        "direct_top_k": {"codec": c.direct(c.top_k(k=kept), gamma=0.5)},
        "direct_qsgd": {"codec": c.direct(c.qsgd(levels=2 * kept), gamma=0.5)},
        "error_feedback": {"codec": c.error_feedback(c.top_k(k=kept), gamma=0.2)},
        "copies_top_k_per_edge": {"codec": c.copies(c.top_k(k=kept), gamma=0.2, per_edge=True)},
        "copies_rand_k": {"codec": c.copies(c.rand_k(k=kept), gamma=0.2)},
        "alie": {"attack": dj.attacks.alie(adversaries=(1,), z=1.5 * s)},
        "sign_flip": {"attack": dj.attacks.sign_flip(adversaries=(1,), strength=0.5 * s)},
        "label_flip": {"attack": dj.attacks.label_flip(adversaries=(0, 1), num_classes=10)},
        "nna": {"rule": dj.aggregation.nna(f=1)},
        "coordinate_median": {"rule": dj.aggregation.coordinate_median()},
        "trimmed_mean": {"rule": dj.aggregation.trimmed_mean(f=1)},
        "gaussian_gradient": {"privacy": dj.privacy.gaussian_gradient(clip=0.5 * s, noise_multiplier=0.5)},
        "gaussian_message": {"privacy": dj.privacy.gaussian_message(clip=5.0, noise_multiplier=0.1 * s)},
        "link_loss": {"faults": (f.link_loss(p=0.9 * s),)},
        "directed_link_loss": {"faults": (f.directed_link_loss(p=0.9 * s),), "repair": "row"},
        "churn": {"faults": (f.churn(p=0.5 * s),)},
        "delay": {"faults": (f.delay(phases=(0, 2)),)},
        "clock": {"clock": f.clock(gradient=1.0 * s, latency=0.1)},
    }


def plan(rounds=8, width=2):
    """An event plan on the ring of N nodes."""
    first = [0, 3, 1, 4, 2, 5, 0, 2, 4, 1, 3, 5, 0, 3, 2, 5]
    second = [1, 2, 2, 5, 3, 0, 5, 1, 3, 0, 4, 4, 1, 4, 1, 0]
    return plan_of(first, second, n=N, width=width)


@functools.cache
def problem():
    """A softmax regression on digits, N nodes of unequal shards, batches of 4."""
    data = dj.data.digits(flat=True).partition(dj.data.dirichlet_by_class(alpha=1.0, min_size=6), nodes=N, seed=1)
    task = dj.tasks.mlp(64, 10)
    return dj.Problem(task, data, batch_size=4, starts="independent")


def network(method_name, **options):
    """A network that the method can be carried by."""
    topology = dj.topology.binary_tree(N) if method_name == "relaysgd" else dj.topology.ring(N)
    if method_name == "ad_psgd":
        return dj.Network(topology, events=plan(), **options)
    if method_name in ("fedavg", "ifca", "scaffold", "local_only", "centralized"):
        return dj.Network(**options)
    return dj.Network(topology, **options)
