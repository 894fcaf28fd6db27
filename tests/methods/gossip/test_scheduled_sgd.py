"""Local SGD by a schedule against NumPy, its limits, and one merge at the end."""

import numpy as np
import problems as zoo
import pytest
from references import LR, RING, ROUNDS, X0, W, close, grads, mix, run, same

import dejax as dj

m = dj.methods


def test_scheduled_sgd():
    x, talk = X0.copy(), [[0, None, 3], [4, 9, 2, 2], [8, 9, 1, 0]]
    phases = dict.fromkeys(range(0, ROUNDS, 3), 1) | {4: 2, 6: 2, 8: 0}
    for t in range(ROUNDS):
        for _ in range(2):
            x = x - LR * grads(x)
        for _ in range(phases.get(t, 0)):
            x = mix(W, x)
    close(run(m.scheduled_sgd(lr=LR, talk=talk, local_steps=2), RING)[1], x)


def test_talking_in_every_round_is_local_sgd_bit_for_bit():
    same(run(m.scheduled_sgd(lr=LR, local_steps=2), RING)[1], run(m.local_sgd(lr=LR, local_steps=2), RING)[1])


@pytest.mark.slow
def test_no_windows_are_independent_runs():
    close(run(m.scheduled_sgd(lr=LR, talk=()), RING)[1], run(m.local_only(lr=LR))[1], 1e-14)


def test_messages_are_sent_in_the_rounds_of_the_schedule_alone():
    _, meters = zoo.run(m.scheduled_sgd(lr=LR, talk=[[1, 8, 3, 2]]), zoo.squares()[0], RING, 10, X0)
    sent = meters.counts["wire/talk2/repeat/gossip"]["lo"]
    np.testing.assert_array_equal(sent, [20 if t in (1, 4, 7) else 0 for t in range(10)])


@pytest.mark.slow
@pytest.mark.parametrize("graph", [dj.topology.one_peer_hypercube, dj.topology.one_peer_exponential])
def test_one_merge_at_the_end_gives_all_nodes_the_mean_which_is_better_than_they_were(graph):
    problem, made = zoo.squares(n=4)
    x0, network = zoo.starts(4), graph(4).astype("float64")
    alone = run(m.local_only(lr=LR), None, 30, problem, x0)[1]
    merged = run(m.scheduled_sgd(lr=LR, talk=[[29, 30, 1, 2]]), network, 30, problem, x0)[1]
    close(merged, np.broadcast_to(alone.mean(0), x0.shape))
    far = lambda x: ((x - made.x_star) ** 2).sum(-1).mean()
    assert far(merged) < 0.5 * far(alone)


@pytest.mark.slow
def test_a_global_average_every_few_rounds_is_gossip_pga():
    problem, made = zoo.squares(n=4)
    x, network = zoo.starts(4), dj.topology.one_peer_hypercube(4).astype("float64")
    at = [network.matrix(t) for t in range(2)]
    grads_of = lambda x: np.stack([made.gradients(x[i])[i] for i in range(4)])
    for t in range(9):
        z = x - LR * grads_of(x)
        x = np.broadcast_to(z.mean(0), z.shape) if (t + 1) % 3 == 0 else mix(at[t % 2], z)
    talk = [[0, None, 1], [2, None, 3, 2]]
    close(run(m.scheduled_sgd(lr=LR, talk=talk), network, 9, problem, zoo.starts(4))[1], x)


@pytest.mark.parametrize(
    ("talk", "text"),
    [
        ([[0, 0]], r"talk\[0\].last is 0"),
        ([[3, 2]], r"talk\[0\].last is 2, but first is 3"),
        ([[0, 5], [0, 5, 0]], r"talk\[1\].every is 0; give a whole number >= 1"),
        ([[0, 5, 1, -1]], r"talk\[0\].phases is -1; give a whole number >= 0"),
        ([[0, 5, 1, "hub"]], r"talk\[0\].phases is 'hub'; give a whole number >= 0, or 'server'"),
        ([0, 5], "give a list of windows"),
        ("often", "give a list of windows"),
        ([[0]], "give a list of windows"),
    ],
)
def test_windows_that_cannot_be_are_named(talk, text):
    with pytest.raises(dj.FieldError, match="ScheduledSgd." + text if "talk" in text else text):
        m.scheduled_sgd(lr=0.1, talk=talk)
