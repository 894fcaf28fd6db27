"""Semi-decentralized SGD against NumPy, both of its identities, and components that the server alone brings together."""

import dataclasses
from itertools import combinations

import jax
import numpy as np
import problems as zoo
import pytest
from references import LR, RING, X0, N, W, close, grads, mix, run, same

import dejax as dj
from dejax.core.random import fold_name
from dejax.round.cohort import floyd

m = dj.methods
PAIRS = np.zeros((N, N))
PAIRS[:2, :2], PAIRS[2:, 2:] = 1 / 2, 1 / 3
PARTS = dj.topology.from_matrix(PAIRS, allow_disconnected=True).astype("float64")


def sampled(t, clients):
    """Ids of round t: the cohort is drawn within `when`, from its key."""
    key = fold_name(jax.random.fold_in(jax.random.key(0), t), "when")
    return np.asarray(floyd(fold_name(key, "when/sample"), N, clients))


def rounds(h, clients, to, number, w=PAIRS):
    x = X0.copy()
    for t in range(number):
        x = mix(w, x - LR * grads(x))
        if (t + 1) % h == 0:
            ids = np.arange(N) if clients is None else sampled(t, clients)
            x[ids if to == "sampled" else slice(None)] = x[ids].mean(0)
    return x


@pytest.mark.parametrize("to", ["sampled", "all"])
@pytest.mark.parametrize("clients", [pytest.param(None, marks=pytest.mark.slow), 2])
def test_rounds_follow_the_paper(to, clients):
    close(run(m.semi_decentralized(lr=LR, every=3, clients=clients, to=to), PARTS, 7)[1], rounds(3, clients, to, 7))


@pytest.mark.parametrize("to", ["sampled", "all"])
def test_a_meeting_keeps_what_the_paper_says(to):
    """Over all samples of K nodes; one round of the method is among them."""
    k, far = 2, lambda x: np.square(x - x.mean(0)).sum()
    before, results = X0, []
    for ids in map(list, combinations(range(N), k)):
        x = X0.copy()
        x[ids if to == "sampled" else slice(None)] = X0[ids].mean(0)
        results.append(x)
    got = run(m.semi_decentralized(lr=1e-9, every=1, clients=k, to=to), dj.topology.isolated(N).astype("float64"), 1)
    ends = got[1]
    assert min(np.abs(ends - x).max() for x in results) < 1e-7
    share = (N - k) / (N - 1) * far(before)
    if to == "sampled":
        close(np.mean([far(x) for x in results]), share)
        close(ends.mean(0), X0.mean(0), 1e-7)
    else:
        close(np.mean([N * np.square(x[0] - X0.mean(0)).sum() for x in results]), share / k)
        assert far(ends) < 1e-20


@pytest.mark.slow
def test_limits():
    for to in ("sampled", "all"):
        close(run(m.semi_decentralized(lr=LR, every=99, to=to), RING)[1], run(m.dsgd(lr=LR), RING)[1])
        close(run(m.semi_decentralized(lr=LR, every=3, to=to), RING)[1], rounds(3, None, "all", 10, W))


@pytest.mark.slow
@pytest.mark.parametrize("to", ["sampled", "all"])
def test_who_sleeps_keeps_its_model_and_nobody_heard_changes_nothing(to):
    isolated = dj.topology.isolated(N).astype("float64")
    method = m.semi_decentralized(lr=LR, every=2, to=to)
    lost = dj.Network(isolated, faults=dj.faults.link_loss(p=1.0))
    alone = run(m.local_only(lr=LR), None, 4)[1]
    close(run(method, lost, 4)[1], alone)


@pytest.mark.parametrize(("to", "down"), [("sampled", 2), ("all", N)])
def test_messages_are_counted_in_rounds_of_meetings(to, down):
    method = m.semi_decentralized(lr=LR, every=3, clients=2, to=to)
    _, meters = zoo.run(method, zoo.squares()[0], PARTS, 6, X0)
    count = lambda way: sum(np.asarray(c["lo"]) for name, c in meters.counts.items() if name.startswith(way))
    same(count("up/"), [0, 0, 2] * 2)
    same(count("down/"), [0, 0, down] * 2)
    same(count("wire/"), [2 + 6] * 6)


@pytest.mark.slow
def test_sampled_nodes_wait_for_each_other_and_others_do_not():
    """Nodes without neighbors: one gradient takes node i i + 1 seconds; after a meeting of all the clock is the slowest's."""
    seconds = np.arange(1.0, N + 1)
    network = dj.Network(dj.topology.isolated(N).astype("float64"), clock=dj.faults.clock(gradient=seconds))
    end = lambda clients: (
        zoo.run(m.semi_decentralized(lr=LR, every=1, clients=clients), zoo.squares()[0], network, 4, X0)[1].seconds
    )
    everyone = np.asarray(end(None))
    close(everyone.reshape(-1)[-4:] if everyone.ndim == 1 else everyone, N * np.arange(1, 5))
    some, free = np.asarray(end(2)), N * np.arange(1, 5)
    assert (some >= free).all()  # the slowest never waits less than for itself


def test_more_sampled_nodes_than_nodes_are_refused():
    with pytest.raises(dj.FieldError, match=r"clients is 9, but there are 5 nodes"):
        run(m.semi_decentralized(lr=LR, clients=9), RING)
    assert dataclasses.replace(m.semi_decentralized(lr=LR), to="all").traits.server == "all"
