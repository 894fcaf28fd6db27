"""Gossip-AGA against NumPy, and the period that it does not change."""

import numpy as np
import pytest
from references import LR, MADE, RING, X0, N, W, close, grads, mix, run, same

import dejax as dj

m = dj.methods


@pytest.mark.parametrize("warm_up", [0, pytest.param(5, marks=pytest.mark.slow)])
def test_rounds_follow_the_paper(warm_up):
    x, every, since, first, periods = X0.copy(), 2, 0, 0.0, []
    for t in range(14):
        z, since = x - LR * grads(x), since + 1
        if since < every:
            x = mix(W, z)
            continue
        loss = np.mean([MADE.losses(x[i])[i] for i in range(N)])
        first = loss if first == 0 else (first + loss) / 2 if t < warm_up else first
        every = every if t < warm_up else int(np.ceil(first / loss * 2))
        x, since = np.tile(z.mean(0), (N, 1)), 0
        periods.append(every)
    state, got = run(m.gossip_aga(lr=LR, every=2, warm_up=warm_up), RING, 14)
    close(got, x)
    assert int(state.every) == every and int(state.since) == since and len(set(periods)) > 1
    close(float(state.first), first)


@pytest.mark.slow
@pytest.mark.parametrize("server", [None, "all_reduce"])
def test_within_its_warm_up_it_is_gossip_pga(server):
    network = dj.Network(RING, server=server)
    same(run(m.gossip_aga(lr=LR, every=3), network)[1], run(m.gossip_pga(lr=LR, every=3), network)[1])


@pytest.mark.slow
def test_where_nobody_is_heard_the_period_stays():
    network = dj.Network(dj.topology.isolated(N).astype("float64"), faults=dj.faults.link_loss(p=1.0))
    state, _ = run(m.gossip_aga(lr=LR, every=2, warm_up=0), network, 6)
    assert int(state.every) == 2 and float(state.first) == 0


def test_bad_numbers_name_their_bounds():
    with pytest.raises(ValueError, match=r"GossipAga.every is 0; give a whole number >= 1"):
        m.gossip_aga(lr=0.1, every=0)
    with pytest.raises(ValueError, match=r"GossipAga.warm_up is -1; give a whole number >= 0"):
        m.gossip_aga(lr=0.1, warm_up=-1)
