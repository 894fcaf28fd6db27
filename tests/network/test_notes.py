"""f at every node and every server, and what a pair does not keep though it runs."""

import re
import warnings

import numpy as np
import problems as zoo
import pytest

import dejax as dj

N = 8
PROBLEM, _ = zoo.squares(N)
EDGES = [(i, (i + 1) % 6) for i in range(6)] + [
    (0, 2),
    (0, 3),
    (0, 4),
    (0, 6),
    (6, 7),
]  # node 0 has six neighbors, node 7 one
GRAPH = dj.topology.from_edges(EDGES, n=N)
RULES = [dj.aggregation.nna, dj.aggregation.trimmed_mean]
D = dj.methods.dsgd(lr=0.1)


def notes(method, network, problem=PROBLEM):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        network.prepare(method, problem)
    return [str(w.message) for w in found]


@pytest.mark.parametrize("rule", RULES)
def test_f_fits_every_neighborhood(rule):
    """The node that hears fewest decides, not the one that hears most; who hears nobody has nothing to judge."""
    with pytest.raises(
        ValueError, match=r"f is 1, but a node with 1 neighbors .* 1 of 8 nodes hear 1, node 7 among them; give f <= 0"
    ):
        dj.Network(GRAPH, rule=rule(f=1)).check(D, PROBLEM)
    with pytest.raises(ValueError, match="f is 3, but a node with 1 neighbors"):
        dj.Network(GRAPH, rule=rule(f=3)).check(D, PROBLEM)
    dj.Network(GRAPH, rule=rule(f=0)).check(D, PROBLEM)
    closed = dj.topology.from_edges([*EDGES, (7, 0)], n=N)  # the smallest neighborhood has two
    dj.Network(closed, rule=rule(f=1)).check(D, PROBLEM)
    lonely = dj.topology.from_edges([(i, (i + 1) % 7) for i in range(7)], n=N, allow_disconnected=True)
    dj.Network(lonely, rule=rule(f=1)).check(D, PROBLEM)


def test_every_phase_of_a_sequence_is_looked_at():
    ring = np.eye(4) / 3 + np.roll(np.eye(4), 1, 0) / 3 + np.roll(np.eye(4), -1, 0) / 3
    pairs = np.kron(np.eye(2), np.full((2, 2), 0.5))
    top = dj.topology.from_matrix(np.stack([ring, pairs]))
    problem, _ = zoo.squares(4)
    with pytest.raises(ValueError, match=r"4 of 4 nodes hear 1, node 0 among them \(phase 1\)"):
        dj.Network(top, rule=dj.aggregation.nna(f=1)).check(D, problem)


def test_cohorts_that_may_hold_more_adversaries_than_f():
    attack = dj.attacks.sign_flip(adversaries=3)
    few = notes(dj.methods.fedavg(lr=0.1, clients=5), dj.Network(rule=dj.aggregation.trimmed_mean(f=1), attack=attack))
    assert len(few) == 1 and "TrimmedMean.f is 1, but 3 of the 5 nodes that Fedavg combines" in re.sub(
        "FedAvg", "Fedavg", few[0]
    )
    assert not notes(dj.methods.fedavg(lr=0.1), dj.Network(rule=dj.aggregation.trimmed_mean(f=3), attack=attack))
    with pytest.raises(ValueError, match="f is 2, but the server combines 4 values"):
        dj.Network(rule=dj.aggregation.trimmed_mean(f=2)).check(dj.methods.fedavg(lr=0.1, clients=4), PROBLEM)


def test_a_median_of_too_few_says_so_as_a_trimmed_mean_does():
    four, rule = dj.attacks.sign_flip(adversaries=4), dj.aggregation.coordinate_median()
    for clients, most in ((3, 3), (None, 4), (7, 4)):
        (note,) = notes(dj.methods.fedavg(lr=0.1, clients=clients), dj.Network(rule=rule, attack=four))
        assert note.startswith(
            f"CoordinateMedian bears fewer than half, but {most} of the {clients or N} nodes that FedAvg combines"
        )
    two = dj.attacks.sign_flip(adversaries=2)
    assert not notes(dj.methods.fedavg(lr=0.1, clients=5), dj.Network(rule=rule, attack=two))


def test_a_step_of_gossip_far_above_what_a_compressor_keeps_is_told():
    d, top, c = 100, dj.topology.ring(N), dj.compression
    problem, _ = zoo.squares(N, dim=d)
    one = c.top_k(k=1)
    (note,) = notes(dj.methods.choco(lr=0.1, gamma=0.5, compressor=one), dj.Network(top), problem)
    g, b, delta = 1 - dj.topology.rho(top), 4 / 3, 1 / d
    proven = g**2 * delta / (16 * g + g**2 + 4 * b**2 + 2 * g * b**2 - 8 * g * delta)
    for said in (
        "Choco.gamma is 0.5",
        "TopK keeps delta = 0.01",
        "rule of thumb",
        f"is {proven:.2g})",
        "give gamma about 0.04",
    ):
        assert said in note
    (note,) = notes(D, dj.Network(top, codec=c.copies(one, gamma=0.5)), problem)
    assert note.startswith("Copies.gamma is 0.5")
    tracked = lambda gamma: dj.methods.cdproxsgt(lr=0.1, gamma=0.04, tracker_gamma=gamma, compressor=one)
    (note,) = notes(tracked(0.5), dj.Network(top), problem)
    assert note.startswith("CompressedDProxSgt.tracker_gamma is 0.5")
    for method in (
        tracked(None),
        dj.methods.choco(lr=0.1, gamma=0.04, compressor=one),
        dj.methods.choco(lr=0.1, gamma=0.8, compressor=c.top_k(ratio=0.4)),
    ):
        assert not notes(method, dj.Network(top), problem)
    assert not notes(dj.methods.fedavg(lr=0.1), dj.Network(codec=c.copies(one, gamma=0.5)), problem)


@pytest.mark.parametrize(("times", "shrinks"), [(4, True), (8, False)])
def test_the_rule_of_thumb_lies_between_what_shrinks_and_what_grows(times, shrinks):
    """Gossip alone, top 5 of 100 numbers on a ring of 8, one plain loop."""
    w, rng = dj.topology.ring(N).matrix(), np.random.default_rng(0)
    x = rng.normal(size=(N, 100))
    x, h = x - x.mean(0), np.zeros_like(x)
    before, w = np.linalg.norm(x), np.asarray(w, float)
    for _ in range(1200):
        change = x - h
        kept = np.argsort(-np.abs(change), 1)[:, :5]
        np.put_along_axis(h, kept, np.take_along_axis(x, kept, 1), 1)
        x = x + times * 0.05 * (w @ h - h)
        if np.linalg.norm(x) > 100 * before:
            break
    assert (np.linalg.norm(x) < before) == shrinks
    assert shrinks or np.linalg.norm(x) > 100 * before


KEPT = {
    "gt": (dj.methods.gradient_tracking(lr=0.1), "mean(y) = mean(g)"),
    "augdgm": (dj.methods.augdgm(lr=0.1), "mean(y) = mean(g)"),
    "kgt": (dj.methods.kgt(lr=0.1), "sum(c) = 0"),
    "mt_dsgdm": (dj.methods.mt_dsgdm(lr=0.1), "sum(c) = 0"),
    "gt_hsgd": (dj.methods.gt_hsgd(lr=0.1), "mean(y) = mean(v)"),
    "d2": (dj.methods.d2(lr=0.1), "sum(c) = 0"),
    "exact_diffusion": (dj.methods.exact_diffusion(lr=0.1), "sum(c) = 0"),
    "extra": (dj.methods.extra(lr=0.1), "sum(q) = 0"),
    "nids": (dj.methods.nids(lr=0.1), "sum(d) = 0"),
    "scaffold": (dj.methods.scaffold(lr=0.1), "c = mean(c_i)"),
    "feddyn": (dj.methods.feddyn(lr=0.1), "h = mean(d_i)"),
    "scaffnew": (dj.methods.scaffnew(lr=0.1), "sum(h) = 0"),
}


@pytest.mark.parametrize("name", KEPT)
def test_methods_that_keep_a_sum_say_which(name):
    method, kept = KEPT[name]
    served = method.traits.channel == "server"
    network = dj.Network(
        None if served else dj.topology.ring(N, weights=dj.topology.lazy()), rule=dj.aggregation.coordinate_median()
    )
    (note,) = notes(method, network)
    assert f"is no sum {'of uploads' if served else 'under W'}, so that it does not keep {kept}" in note


def test_tracking_under_a_robust_rule_says_what_is_gone():
    ring, tracking = dj.topology.ring(N), dj.methods.gradient_tracking(lr=0.1)
    for rule in (dj.aggregation.coordinate_median(), dj.aggregation.nna(f=1)):
        (note,) = notes(tracking, dj.Network(ring, rule=rule))
        assert "does not keep mean(y) = mean(g)" in note and "GradientTracking" in note
    assert not notes(tracking, dj.Network(ring)) and not notes(D, dj.Network(ring, rule=dj.aggregation.nna(f=1)))
