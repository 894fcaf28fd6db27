"""Gossip-PGA against NumPy, its limits, and what is sent in which round."""

import numpy as np
import problems as zoo
import pytest
from references import LR, RING, ROUNDS, X0, N, W, close, grads, mix, run, same

import dejax as dj

m = dj.methods


def everybody_every(h, rounds=ROUNDS, w=W):
    """The paper's rounds from X0."""
    x = X0.copy()
    for t in range(rounds):
        z = x - LR * grads(x)
        x = np.tile(z.mean(0), (N, 1)) if (t + 1) % h == 0 else mix(w, z)
    return x


@pytest.mark.parametrize("server", [None, pytest.param("all_reduce", marks=pytest.mark.slow)])
def test_rounds_follow_the_paper(server):
    network = dj.Network(RING, server=server)
    close(run(m.gossip_pga(lr=LR, every=3), network)[1], everybody_every(3))


@pytest.mark.slow
def test_its_limits_are_parallel_sgd_gossip_and_local_sgd():
    close(run(m.gossip_pga(lr=LR, every=1), RING)[1], everybody_every(1))
    close(run(m.gossip_pga(lr=LR, every=99), RING)[1], run(m.dsgd(lr=LR), RING)[1])
    alone = dj.topology.isolated(N).astype("float64")
    close(run(m.gossip_pga(lr=LR, every=4), alone)[1], everybody_every(4, w=np.eye(N)))


@pytest.mark.slow
def test_a_schedule_of_gossip_adds_the_average_to_it():
    """Gossip before an exact mean changes nothing where W keeps the mean."""
    talk = [[0, None, 1], [2, None, 3, "server"]]
    close(run(m.scheduled_sgd(lr=LR, talk=talk), RING)[1], everybody_every(3))
    merged = run(m.scheduled_sgd(lr=LR, talk=[[9, 10, 1, "server"]]), RING)[1]
    close(merged, np.tile(run(m.local_only(lr=LR))[1].mean(0), (N, 1)))


def test_who_sleeps_or_is_not_heard_keeps_its_model():
    """The mean is of those who are heard, and theirs alone."""
    problem, x0 = zoo.squares()[0], zoo.starts()
    network = dj.Network(dj.topology.isolated(N).astype("float64"), faults=dj.faults.link_loss(p=0.5))
    x = run(m.gossip_pga(lr=LR, every=3), network, 3)[1]
    alone = run(m.local_only(lr=LR), None, 3, problem, x0)[1]
    kept = np.isclose(x, alone, rtol=0, atol=1e-13).all(1)
    assert 0 < kept.sum() < N - 1
    close(x[~kept], np.tile(alone[~kept].mean(0), ((~kept).sum(), 1)))


@pytest.mark.slow
def test_compressed_meetings_keep_the_mean():
    """They move by gamma (mean - own) of what the server rebuilt, as gossip does."""
    codec = dj.compression.copies(dj.compression.top_k(k=2), gamma=0.4)
    x = run(m.gossip_pga(lr=0.0, every=2), dj.Network(RING, codec=codec), 60)[1]
    close(x.mean(0), X0.mean(0))
    assert np.square(x - x.mean(0)).sum() < 1e-3 * np.square(X0 - X0.mean(0)).sum()


def test_messages_of_each_kind_are_sent_in_their_rounds():
    _, meters = zoo.run(m.gossip_pga(lr=LR, every=3), zoo.squares()[0], RING, 6, X0)
    at = lambda name: np.asarray(meters.counts[name]["lo"])
    gossip = [2 * N, 2 * N, 0] * 2
    same(at("wire/neighbors/gossip"), gossip)
    same(at("up/everyone/merge"), [0, 0, N] * 2)
    same(at("down/everyone/merge"), [0, 0, N] * 2)
