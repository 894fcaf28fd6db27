"""Every member of every kind keeps what its kind promises."""

import members
import numpy as np
import probes
import pytest

import dejax as dj
from dejax import testing

c, d, a = dj.compression, dj.data, dj.attacks

METHODS = {
    **members.methods(),
    "fedavg_all": dj.methods.fedavg(lr=0.05, local_steps=2),
    "scaffold_all": dj.methods.scaffold(lr=0.05, local_steps=2),
    "dsgd_schedule": dj.methods.dsgd(lr=dj.Cosine(peak=0.1, length=20)),
}


def few(members, *common):
    """All names; those that are not `common` are left to the long tests."""
    return [name if name in common else pytest.param(name, marks=pytest.mark.slow) for name in members]


def by_day(name):
    """The method as a case: in the quick suite, in CI where it stands for its like, else at night."""
    if name in ("dsgd_atc", "scaffold_all"):
        return name
    return pytest.param(
        name, marks=pytest.mark.slow if name in probes.METHODS + probes.FAMILIES else pytest.mark.nightly
    )


def bandit():
    """Rewards of arms of five features, linear in a model of five numbers."""
    made = dj.data.least_squares(nodes=members.N, dim=5, samples=40)
    answer = lambda params, batch: batch["x"] @ params["x"]
    return dj.Problem(dj.tasks.from_functions(made.task.init, made.task.loss, answer=answer), made.data, batch_size=16)


@pytest.mark.parametrize("name", [by_day(name) for name in METHODS])
def test_methods(name):
    if name == "fed_go_ucb":  # answers, and matrices of the model's size squared
        return testing.check_method(METHODS[name], bandit(), members.network(name))
    if name in ("heterofl", "fedmd", "one_nn"):  # sub-models of hidden layers; public rows
        return testing.check_method(METHODS[name], members.problem(), members.network(name))
    return testing.check_method(METHODS[name])


def test_every_method_has_a_row():
    assert set(dj.methods.__all__) <= set(METHODS) | {"dsgd", "semi_decentralized"}


index = lambda d, k: 0 if k == d else min(k * int(np.ceil(np.log2(d))), d)
COMPRESSORS = {
    "identity": (c.identity(), lambda d, w: d * w),
    "top_k": (c.top_k(k=5), lambda d, w: 5 * w + index(d, 5)),
    "top_k_share": (c.top_k(ratio=0.5), lambda d, w: None),
    "rand_k": (c.rand_k(k=5), lambda d, w: 5 * w),
    "rand_k_unbiased": (c.rand_k_unbiased(k=5), lambda d, w: 5 * w),
    "qsgd": (c.qsgd(levels=15), lambda d, w: w + 5 * d),
    "qsgd_unbiased": (c.qsgd_unbiased(levels=1), lambda d, w: w + 2 * d),
}


@pytest.mark.parametrize("name", COMPRESSORS)
def test_compressors(name):
    compressor, bits = COMPRESSORS[name]
    testing.check_compressor(compressor, None if bits(10, 32) is None else bits)


CODECS = {
    "direct": c.direct(c.identity()),
    "direct_top_k": c.direct(c.top_k(k=2), gamma=0.5),
    "direct_by_leaf": c.direct(c.top_k(k=2, scope="leaf"), gamma=0.5),
    "error_feedback": c.error_feedback(c.top_k(k=3), gamma=0.3),
    "copies": c.copies(c.top_k(k=2), gamma=0.3),
    "copies_rand_k": c.copies(c.rand_k(k=5), gamma=0.3),
    "copies_qsgd": c.copies(c.qsgd(levels=15), gamma=0.3),
}


@pytest.mark.parametrize("name", CODECS)
def test_codecs(name):
    testing.check_codec(CODECS[name])


def test_every_part_of_compression_has_a_row():
    from dejax.compression import codecs, compressors

    assert set(compressors.__all__) <= set(COMPRESSORS)
    assert set(codecs.__all__) <= set(CODECS)


RULES = {
    "weighted_mean": dj.aggregation.weighted_mean(),
    "coordinate_median": dj.aggregation.coordinate_median(),
    "nna": dj.aggregation.nna(f=1),
    "trimmed_mean": dj.aggregation.trimmed_mean(f=2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", few(RULES, "trimmed_mean"))
def test_rules(name):
    testing.check_rule(RULES[name])


ATTACKS = {
    "alie": a.alie(adversaries=3, z=1.5),
    "sign_flip": a.sign_flip(adversaries=2),
    "label_flip": a.label_flip(adversaries=0.2, num_classes=4),
}


@pytest.mark.parametrize("name", few(ATTACKS, "sign_flip"))
def test_attacks(name):
    testing.check_attack(ATTACKS[name])


PARTITIONS = {
    "iid": d.iid(),
    "dirichlet": d.dirichlet(alpha=0.5),
    "dirichlet_by_class": d.dirichlet_by_class(alpha=1.0, min_size=2),
    "shards": d.shards(per_node=2),
    "classes_per_node": d.classes_per_node(k=3),
    "quantity": d.quantity(alpha=1.0, min_size=2),
    "power_law": d.power_law(),
    "by_group": d.by_group(),
    "rotation": d.rotation(),
    "overlapping": d.overlapping(samples=60, alpha=0.5),
}


@pytest.mark.parametrize("name", PARTITIONS)
def test_partitions(name):
    testing.check_partition(PARTITIONS[name], shared=name == "overlapping")


def test_every_option_has_a_row():
    from dejax.aggregation import linear, robust
    from dejax.attacks import messages, samples
    from dejax.data import partitions

    assert {*linear.__all__, *robust.__all__} <= set(RULES)
    assert {*messages.__all__, *samples.__all__} - {"z_max"} <= set(ATTACKS)
    assert set(partitions.__all__) <= set(PARTITIONS)


TOPOLOGIES = {
    "ring": dj.topology.ring(8),
    "complete": dj.topology.complete(5),
    "star": dj.topology.star(9),
    "chain": dj.topology.chain(7),
    "torus": dj.topology.torus(12),
    "directed_ring": dj.topology.directed_ring(6),
    "random_digraph": dj.topology.random_digraph(9, degree=2, seed=0),
    "one_peer_exponential": dj.topology.one_peer_exponential(8),
    "random_matching": dj.topology.random_matching(8),
    "equi_dynamic": dj.topology.equi_dynamic(8, directed=False),
    "fresh_regular": dj.topology.fresh_regular(9, degree=4),
    "random_peers": dj.topology.random_peers(8, peers=3),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_topologies(name):
    testing.check_topology(TOPOLOGIES[name])


TASKS = {"mlp": lambda: dj.tasks.mlp(6, 5, 4), "logistic": lambda: dj.tasks.logistic(6, 4)}


@pytest.mark.slow
@pytest.mark.parametrize("name", few(TASKS, "logistic"))
def test_tasks(name):
    x = np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)
    testing.check_task(TASKS[name](), {"x": x, "y": np.arange(3, dtype=np.int32)})
