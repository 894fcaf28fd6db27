"""DFedSAM against NumPy, its limits, and what several averages are."""

import numpy as np
import problems as zoo
import pytest
from references import LR, RING, ROUNDS, X0, N, W, close, grad, mix, run

import dejax as dj

m = dj.methods


@pytest.mark.parametrize("gossips", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_dfedsam(gossips):
    x, rho = X0.copy(), 0.3
    for _ in range(ROUNDS):
        for i in range(N):
            for _ in range(3):
                up = grad(i, x[i])
                x[i] = x[i] - LR * grad(i, x[i] + rho * up / (np.linalg.norm(up) + 1e-12))
        for _ in range(gossips):
            x = mix(W, x)
    close(run(m.dfedsam(lr=LR, rho=rho, local_steps=3, gossips=gossips), RING)[1], x)


def test_without_looking_uphill_it_is_local_sgd():
    close(run(m.dfedsam(lr=LR, rho=0.0, local_steps=3), RING)[1], run(m.local_sgd(lr=LR, local_steps=3), RING)[1])


@pytest.mark.slow
def test_one_step_without_looking_uphill_is_dsgd():
    close(run(m.dfedsam(lr=LR, rho=0.0, local_steps=1), RING)[1], run(m.dsgd(lr=LR), RING)[1])


@pytest.mark.slow
def test_several_averages_are_one_under_a_power_of_w():
    squared = dj.topology.from_matrix(W @ W).astype("float64")
    want = run(m.dfedsam(lr=LR, rho=0.3, local_steps=2), squared)[1]
    close(run(m.dfedsam(lr=LR, rho=0.3, local_steps=2, gossips=2), RING)[1], want)


@pytest.mark.slow
def test_on_a_linear_loss_it_is_sgd():
    task = dj.tasks.from_functions(zoo.rows_init, lambda params, batch, key: batch["x"] @ params["x"])
    flat = dj.Problem(task, zoo.Uneven().problem.data)
    sam, sgd = m.dfedsam(lr=LR, rho=0.5, local_steps=2), m.local_sgd(lr=LR, local_steps=2)
    close(run(sam, RING, 5, flat)[1], run(sgd, RING, 5, flat)[1])


@pytest.mark.slow
def test_both_gradients_of_a_step_see_one_batch():
    """With a batch of one row of linear regression, uphill is along the row: a step is along it, too."""
    uneven = zoo.Uneven(batch_size=1, sampling="replacement")
    alone = dj.topology.from_matrix(np.eye(N), allow_disconnected=True).astype("float64")
    x = run(m.dfedsam(lr=LR, rho=0.5, local_steps=1), alone, 1, uneven.problem)[1]
    for i in range(N):
        moved, rows = x[i] - X0[i], uneven.a[uneven.rows[i]]
        cosines = np.abs(rows @ moved) / np.linalg.norm(rows, axis=1) / np.linalg.norm(moved)
        assert cosines.max() > 1 - 1e-9


@pytest.mark.slow
def test_several_averages_bring_the_nodes_closer():
    spread = lambda x: ((x - x.mean(0)) ** 2).sum()
    one, four = (run(m.dfedsam(lr=LR, gossips=q), RING, 30)[1] for q in (1, 4))
    assert spread(four) < 0.2 * spread(one)


def test_numbers_out_of_range_are_named():
    for name, value, want in (("rho", -0.1, ">= 0"), ("local_steps", 0, ">= 1"), ("gossips", 0, ">= 1")):
        with pytest.raises(dj.FieldError, match=f"DFedSam.{name} is {value}; give a .*{want}"):
            m.dfedsam(lr=0.1, **{name: value})
