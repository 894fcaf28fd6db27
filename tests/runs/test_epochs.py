"""Epochs in records, by hand: steps of all nodes over those of one epoch of all, as schedules count them."""

import numpy as np
import pytest

import dejax as dj
from dejax.engine import epochs_of_round

m = dj.methods


def problem(sizes, batch_size, sampling):
    rng = np.random.default_rng(0)
    data = dj.data.from_clients([(rng.standard_normal((s, 2)).astype("f4"), rng.integers(0, 2, s)) for s in sizes])
    task = dj.tasks.mlp(2, 2)
    return dj.Problem(task, data, batch_size=batch_size, sampling=sampling)


CASES = [  # samples, B, sampling, method, rounds, epochs by hand
    ([10] * 4, 4, "epoch", m.local_sgd(lr=0.1, local_steps=dj.Epochs(1)), 10, 10),  # 3 steps a round, 3 an epoch
    ([4] * 4, 16, "epoch", m.local_sgd(lr=0.1, local_steps=dj.Epochs(1)), 10, 10),  # one step, of all four samples
    ([10] * 4, 4, "replacement", m.dsgd(lr=0.1), 9, 3),  # 9 steps of 3
    ([10] * 4, None, None, m.dsgd(lr=0.1), 5, 5),  # a batch is all samples
    ([1, 2, 3, 9], 2, "epoch", m.local_sgd(lr=0.1, local_steps=dj.Epochs(2)), 3, 6),
    ([1, 2, 3, 9], 2, "replacement", m.dsgd(lr=0.1), 9, 4),  # 4 x 9 steps over 1 + 1 + 2 + 5
    ([4] * 4, 2, "replacement", m.fedavg(lr=0.1, clients=1, local_steps=2), 8, 2),  # 16 steps over 8
]


@pytest.mark.parametrize(("sizes", "batch_size", "sampling", "method", "rounds", "want"), CASES)
def test_epochs_of_a_run(sizes, batch_size, sampling, method, rounds, want):
    made = problem(sizes, batch_size, sampling)
    network = dj.Network() if hasattr(method, "clients") else dj.Network(dj.topology.ring(4))
    h = dj.simulate(method, made, network, rounds, metrics=["consensus"], every=rounds, progress=False)
    assert h.last("epochs") == want
    np.testing.assert_allclose(rounds * epochs_of_round(method, made), want, rtol=1e-6)  # of schedules


def test_adversaries_have_no_part_in_epochs():
    """Nodes 1 to 3 make 3 x 4 steps; an epoch of theirs is 1 + 2 + 5."""
    attack = dj.attacks.sign_flip(adversaries=(0,))
    network = dj.Network(dj.topology.ring(4), attack=attack)
    h = dj.simulate(
        m.dsgd(lr=0.1), problem([1, 2, 3, 9], 2, "replacement"), network, 4, metrics=["consensus"], progress=False
    )
    assert h.last("epochs") == 12 / 8


@pytest.mark.slow
def test_a_source_of_experience_counts_none():
    data = dj.data.cells(3).partition(dj.data.iid(), nodes=3, seed=0)
    made = dj.Problem(dj.tasks.grid_walk(size=3), data, source=dj.experience.acting(steps=2))
    h = dj.simulate(m.dsgd(lr=0.1), made, dj.Network(dj.topology.ring(3)), 1, metrics=["consensus"], progress=False)
    assert "epochs" not in h.names and "loss" in h.names
