"""DADAO: against one event at a time in NumPy, its fixed point, and its rate on badly connected graphs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from references import MADE, PROBLEM, RING, X0, N, close, grad, run

import dejax as dj
from dejax.events._timetable import Timetable, pack

m, L, MU = dj.methods, 1.0, 0.3
CHI = dj.topology.edge_rates(RING).connectivity
METHOD = m.dadao(smoothness=L, convexity=MU, chi=CHI)
RNG = np.random.default_rng(7)
FIRST = RNG.integers(0, N, 40)
MEETS = RNG.integers(0, 2, 40)
SECOND = np.where(MEETS == 1, (FIRST + 1) % N, FIRST)
TIMES = np.cumsum(RNG.exponential(0.2, 40))
NU = MU / 2
S = np.sqrt(NU / L)


def flow_matrix():
    matrix = np.zeros((6, 6))
    matrix[0, :2], matrix[1, :2] = (-S / 8, S / 8), (S / 8, -S / 8)
    matrix[2, 2:4], matrix[4, 4:], matrix[5, 4:] = (-S / 4, S / 4), (-S / 4, S / 4), (S / 8, -S / 8)
    matrix[3, [1, 2, 4]] = -NU / (2 * S), -1 / (2 * S), -1 / (2 * S)
    return matrix


def one_at_a_time():
    """[n, 6, d] at the time of the last event."""
    v, at = np.zeros((N, 6, X0.shape[1])), np.zeros(N)
    v[:, 0] = X0

    def advance(i, now):
        v[i], at[i] = scipy.linalg.expm((now - at[i]) * flow_matrix()) @ v[i], now

    for i, j, meets, now in zip(FIRST, SECOND, MEETS, TIMES, strict=True):
        advance(i, now)
        if not meets:
            h = grad(i, v[i, 0]) - NU * v[i, 0] - v[i, 3]
            v[i, 0] -= h / (4 * L)
            v[i, 1] -= h / (4 * np.sqrt(L * NU))
            v[i, 3] += (S / 4 + 1) * h
        else:
            advance(j, now)
            p = v[i, 2] + v[i, 4] - v[j, 2] - v[j, 4]
            v[i, 4], v[j, 4] = v[i, 4] - p / 2, v[j, 4] + p / 2
            v[i, 5], v[j, 5] = v[i, 5] - 2 * CHI / S * p, v[j, 5] + 2 * CHI / S * p
    for i in range(N):
        advance(i, TIMES[-1])
    return v


def timetable(width):
    columns = pack(FIRST, SECOND, TIMES, N, width, meetings=MEETS)
    return Timetable(**{k: jnp.asarray(x) for k, x in columns.items()}, stale=False)


@pytest.mark.parametrize("width", [1, 2])
def test_events_against_one_at_a_time(width):
    plan = timetable(width)
    assert width == 1 or plan.rounds < len(FIRST)
    state, got = run(METHOD, dj.Network(RING, events=plan), plan.rounds)
    want = one_at_a_time()
    close(got, want[:, 0], 1e-11)
    dual = METHOD.flow(state, state.time.max() - state.time)[4]["x"]
    close(np.asarray(dual), want[:, 4], 1e-11)
    assert np.abs(np.asarray(dual).sum(0)).max() < 1e-12 and np.abs(np.asarray(dual)).max() > 1e-2


def test_meetings_send_and_gradients_compute():
    plan = timetable(2)
    _, meters = dj.rollout(METHOD, PROBLEM, dj.Network(RING, events=plan), jax.random.key(0), plan.rounds)
    totals = meters.totals()
    assert totals["wire/gossip"] == 2 * MEETS.sum() * 64 * X0.shape[1] and totals["gradients"] == (1 - MEETS).sum()


def test_randomized_gossip_beside_sgd_is_dsgd_on_the_same_events():
    """Without acceleration: pairs that meet average, nodes whose clock fires descend."""
    x = X0.copy()
    for i, j, meets in zip(FIRST, SECOND, MEETS, strict=True):
        if meets:
            x[i] = x[j] = (x[i] + x[j]) / 2
        else:
            x[i] = x[i] - 0.2 * grad(i, x[i])
    plan = timetable(2)
    close(run(m.dsgd(lr=0.2, order="awc"), dj.Network(RING, events=plan), plan.rounds)[1], x)


@pytest.mark.parametrize("graph", ["ring", "chain"])
def test_all_nodes_come_to_the_optimum_at_a_linear_rate(graph):
    top = getattr(dj.topology, graph)(N).astype("float64")
    method = m.dadao(smoothness=L, convexity=MU, chi=dj.topology.edge_rates(top).connectivity)
    gap = lambda rounds: np.abs(
        run(method, dj.Network(top, events=dj.events.decoupled(width=1, seed=1)), rounds)[1] - np.asarray(MADE.x_star)
    ).max()
    gaps = [gap(rounds) for rounds in (2000, 4000, 8000)]
    assert gaps[1] < gaps[0] / 100 and gaps[2] < gaps[1] / 10**4 and gaps[2] < 1e-11, gaps


def test_a_least_curvature_above_the_largest_is_refused():
    with pytest.raises(
        ValueError, match=r"Dadao.convexity is 2.0, but smoothness is 1.0, .*; give convexity <= smoothness"
    ):
        m.dadao(smoothness=1.0, convexity=2.0, chi=1.0)
    m.dadao(smoothness=1.0, convexity=1.0, chi=1.0)
