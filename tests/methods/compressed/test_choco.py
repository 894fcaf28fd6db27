"""CHOCO against NumPy, its mean, and D-PSGD with a codec."""

import numpy as np
import problems as zoo
import pytest
from references import LR, MADE, QSGD, RING, ROUNDS, TOP, X0, N, W, close, grads, mix, run, same

import dejax as dj

m, c = dj.methods, dj.compression


def keep_largest(x, k):
    out = np.zeros_like(x)
    for i in range(len(x)):
        top = np.argsort(-np.abs(x[i]))[:k]
        out[i, top] = x[i, top]
    return out


@pytest.mark.parametrize("order", ["atc", pytest.param("awc", marks=pytest.mark.slow)])
def test_choco_with_top_k(order):
    x, h, gamma = X0.copy(), np.zeros_like(X0), 0.3
    for _ in range(ROUNDS):
        z = x - LR * grads(x) if order == "atc" else x
        g = grads(x)
        h = h + keep_largest(z - h, 2)
        x = z + gamma * (mix(W, h) - h)
        if order == "awc":
            x = x - LR * g
    method = m.choco(lr=LR, gamma=gamma, compressor=dj.compression.top_k(k=2), order=order)
    close(run(method, zoo.ring())[1], x)


GOSSIPS = {
    "dsgd": m.dsgd(lr=0.0),
    "choco_top_k": m.choco(lr=0.0, gamma=0.7, compressor=TOP),
    "choco_qsgd": m.choco(lr=0.0, gamma=0.7, compressor=QSGD, order="awc"),
}


@pytest.mark.parametrize("name", GOSSIPS)
def test_gossip_keeps_the_mean_and_moves_the_nodes(name):
    x = run(GOSSIPS[name], RING)[1]
    close(x.mean(0), X0.mean(0))
    assert np.abs(x - X0).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("order", ["atc", "awc"])
@pytest.mark.parametrize("compressor", [TOP, QSGD], ids=["top_k", "qsgd"])
def test_choco_is_dsgd_with_a_copies_codec_bit_for_bit(order, compressor):
    choco = m.choco(lr=LR, gamma=0.4, compressor=compressor, order=order)
    network = dj.Network(RING, codec=c.copies(compressor, gamma=0.4))
    same(run(choco, RING)[1], run(m.dsgd(lr=LR, order=order), network)[1])


@pytest.mark.slow
def test_choco_that_keeps_everything_is_dsgd():
    choco = m.choco(lr=LR, gamma=1.0, compressor=c.top_k(ratio=1.0))
    close(run(choco, RING)[1], run(m.dsgd(lr=LR), RING)[1])


@pytest.mark.slow
def test_fixed_point_of_choco_does_not_depend_on_the_compressor():
    gamma, rounds = 0.2, 1200
    w = np.eye(N) + gamma * (RING.matrix() - np.eye(N))
    lazy = dj.topology.from_matrix(w).astype("float64")
    want = run(m.dsgd(lr=LR), lazy, rounds)[1]
    for k in (2, 3):
        x = run(m.choco(lr=LR, gamma=gamma, compressor=c.top_k(k=k)), RING, rounds)[1]
        close(x, want, 1e-8)
    assert np.abs(want - MADE.x_star).max() > 1e-2  # it is not the optimum
