"""DProxSGT and its compressed form against NumPy, their means, limits, and the composite optimum."""

import numpy as np
import pytest
from references import LR, MADE, RING, ROUNDS, TOP, X0, N, W, close, grads, mix, run

import dejax as dj

m, c = dj.methods, dj.compression
L1 = dj.proximal.l1(strength=0.3)


def shrink(u, threshold):
    return np.sign(u) * np.maximum(np.abs(u) - threshold, 0)


def clipped(g, most):
    return g * np.minimum(1, most / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-12))


def largest(x, k):
    keep = np.argsort(-np.abs(x), 1)[:, :k]
    out = np.zeros_like(x)
    np.put_along_axis(out, keep, np.take_along_axis(x, keep, 1), 1)
    return out


def reference(mix_tracker, mix_params, clip=np.inf):
    x, y, last = X0.copy(), np.zeros_like(X0), np.zeros_like(X0)
    for _ in range(ROUNDS):
        g = clipped(grads(x), clip)
        y, last = mix_tracker(y + g - last), g
        x = mix_params(shrink(x - LR * y, LR * 0.3))
    return x


def test_dproxsgt():
    want = reference(lambda u: mix(W, u), lambda v: mix(W, v), clip=1.5)
    close(run(m.dproxsgt(lr=LR, prox=L1, clip=1.5), RING)[1], want)


def test_compressed_dproxsgt():
    def on_copies(gamma):
        held = {"h": np.zeros_like(X0)}

        def step(u):
            held["h"] = held["h"] + largest(u - held["h"], 2)
            return u + gamma * (mix(W, held["h"]) - held["h"])

        return step

    method = m.cdproxsgt(lr=LR, gamma=0.3, tracker_gamma=0.5, compressor=TOP, prox=L1)
    close(run(method, RING)[1], reference(on_copies(0.5), on_copies(0.3)))


@pytest.mark.parametrize(
    "method",
    [m.dproxsgt(lr=LR, prox=L1), m.cdproxsgt(lr=LR, gamma=0.4, compressor=TOP, prox=L1)],
    ids=["plain", "compressed"],
)
def test_trackers_keep_the_mean_gradient(method):
    state, _ = run(method, RING, 6)
    close(np.asarray(state.tracker["x"]).mean(0), np.asarray(state.last_grad["x"]).mean(0))
    assert np.abs(state.tracker["x"] - state.last_grad["x"]).max() > 0.01


@pytest.mark.slow
def test_nothing_compressed_and_a_full_step_is_the_plain_method():
    whole = m.cdproxsgt(lr=LR, gamma=1.0, compressor=c.top_k(ratio=1.0), prox=L1)
    close(run(whole, RING)[1], run(m.dproxsgt(lr=LR, prox=L1), RING)[1])


@pytest.mark.slow
def test_on_the_complete_graph_without_regularizer_it_is_centralized():
    equal, complete = np.broadcast_to(X0[0], X0.shape), dj.topology.complete(N).astype("float64")
    want = run(m.centralized(lr=LR), None, x0=equal)[1]
    close(run(m.dproxsgt(lr=LR), complete, x0=equal)[1], np.broadcast_to(want, X0.shape))


@pytest.mark.slow
@pytest.mark.parametrize("prox", [L1, dj.proximal.box(low=-0.2, high=0.2)], ids=["l1", "box"])
def test_both_reach_the_composite_optimum_with_a_constant_step(prox):
    near = (lambda u: shrink(u, LR * 0.3)) if prox is L1 else (lambda u: np.clip(u, -0.2, 0.2))
    x = np.zeros(4)
    for _ in range(3000):
        x = near(x - LR * MADE.gradients(x).mean(0))
    assert np.abs(x - MADE.x_star).max() > 0.01  # r matters
    lr = 0.1
    for method in (m.dproxsgt(lr=lr, prox=prox), m.cdproxsgt(lr=lr, gamma=0.3, compressor=c.top_k(k=3), prox=prox)):
        close(run(method, RING, 3000)[1], np.broadcast_to(x, X0.shape), 1e-8)
    assert np.abs(run(m.dsgd(lr=lr), RING, 3000)[1] - MADE.x_star).max() > 0.01  # which d-psgd does not


def test_numbers_out_of_range_are_named():
    with pytest.raises(dj.FieldError, match="CompressedDProxSgt.gamma is 0.0; give a number in"):
        m.cdproxsgt(lr=0.1, gamma=0.0, compressor=TOP)
    with pytest.raises(dj.FieldError, match="DProxSgt.clip is 0.0; give a norm > 0"):
        m.dproxsgt(lr=0.1, clip=0.0)
    with pytest.raises(TypeError, match="DProxSgt.prox is .* no proximal operator"):
        m.dproxsgt(lr=0.1, prox=TOP)
