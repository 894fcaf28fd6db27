"""GT-SAGA: against NumPy on the same samples, and where its table takes all noise away."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest
from references import RING, ROUNDS, X0, N, W, close, mix, run

import dejax as dj
from dejax.round import Round, Store

m, SLOW = dj.methods, 0.05
SAMPLINGS = {
    "replacement": {"batch_size": 2, "sampling": "replacement"},
    "epoch": {"batch_size": 2, "sampling": "epoch"},
    "poisson": {"batch_size": 2, "sampling": "poisson"},
    "full": {},
}


class Seen(NamedTuple):
    params: Any
    places: Any


@dj.struct
class Watch:
    """Draws the batch of a method's step, and keeps the places; models stay."""

    width: int = dj.static(default=2)

    def init(self, params, key):
        return Seen(params, jnp.zeros((params["x"].shape[0], self.width), jnp.int32))

    def step(self, state, round):
        return Seen(state.params, round.batch(places=True).places)


def drawn(made, t, width):
    """Places of round t, of each node those of real samples."""
    state, _ = zoo.run(Watch(width=width), made.problem, RING, t + 1, X0)
    return [[k for k in row if k < made.count[i]] for i, row in enumerate(np.asarray(state.places))]


def sample_gradient(made, i, k, x):
    a, b = made.a[made.rows[i][k]], made.b[made.rows[i][k]]
    return (a @ x - b) * a


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_rounds_against_a_loop(sampling):
    made = zoo.Uneven(**SAMPLINGS[sampling])
    width = {"full": N, "poisson": N}.get(sampling, 2)
    table = [np.zeros((c, X0.shape[1])) for c in made.count]
    x, y, v = X0.copy(), np.zeros_like(X0), np.zeros_like(X0)
    for t in range(ROUNDS):
        new = []
        for i, places in enumerate(drawn(made, t, width)):
            found = {k: sample_gradient(made, i, k, x[i]) for k in places}
            gaps = [found[k] - table[i][k] for k in places]
            new.append(sum(gaps, np.zeros(X0.shape[1])) / max(len(places), 1) + table[i].mean(0))
            for k, g in found.items():
                table[i][k] = g
        y, v = mix(W, y + np.stack(new) - v), np.stack(new)
        x = mix(W, x - SLOW * y)
    state, got = run(m.gt_saga(lr=SLOW), RING, problem=made.problem)
    close(got, x)
    for i, rows in enumerate(table):
        close(np.asarray(state.table["x"])[i, : len(rows)], rows)
        assert not np.asarray(state.table["x"])[i, len(rows) :].any()
    close(np.asarray(state.tracker["x"]).mean(0), np.asarray(state.estimate["x"]).mean(0))


def test_the_estimate_is_unbiased_whatever_the_table_holds():
    """One sample at a time: the estimates of all samples of a node are as many, and their mean is its gradient."""
    made = zoo.Uneven(batch_size=1)
    network = dj.Network(RING)
    rng = np.random.default_rng(3)
    real = np.arange(N)[None, :, None] < made.count[:, None, None]
    table = {"x": jnp.asarray(rng.standard_normal((N, N, X0.shape[1])) * real)}
    begun = m.gt_saga(lr=SLOW).init({"x": jnp.asarray(X0)}, jax.random.key(0))._replace(table=table)

    def estimate(key):
        round = Round(made.problem, network, Store({}, record=True), key, jnp.int32(1))
        return m.gt_saga(lr=SLOW).step(begun, round).estimate["x"]

    found = np.asarray(jax.vmap(estimate)(jax.random.split(jax.random.key(1), 200)))
    for i in range(N):
        each = np.unique(found[:, i].round(12), axis=0)
        assert len(each) == made.count[i]
        close(each.mean(0), made.gradient(i, X0[i]), 1e-11)


def test_full_batches_or_one_sample_per_node_are_tracking():
    full = zoo.Uneven().problem
    close(run(m.gt_saga(lr=SLOW), RING, problem=full)[1], run(m.gt_hsgd(lr=SLOW, beta=1.0), RING, problem=full)[1])
    one = dataclasses.replace(zoo.Uneven().problem.data, count=jnp.ones(N, jnp.int32))
    one = dj.Problem(full.task, one, batch_size=1)
    close(run(m.gt_saga(lr=SLOW), RING, problem=one)[1], run(m.gt_hsgd(lr=SLOW, beta=1.0), RING, problem=one)[1])


def test_single_samples_lead_to_the_optimum_at_a_linear_rate():
    made = zoo.Uneven(batch_size=1)
    hessian = sum(made.a[r].T @ made.a[r] / len(r) for r in made.rows)
    best = np.linalg.solve(hessian, sum(made.a[r].T @ made.b[r] / len(r) for r in made.rows))
    gap = lambda method, rounds: np.abs(run(method, RING, rounds, made.problem)[1] - best).max()
    gaps = [gap(m.gt_saga(lr=SLOW), rounds) for rounds in (1000, 2000, 4000)]
    assert gaps[0] < 0.1 and gaps[1] < gaps[0] / 10 and gaps[2] < 1e-8, gaps
    assert gap(m.gt_hsgd(lr=SLOW, beta=1.0), 4000) > 1e-3


def test_memory_is_one_model_per_sample():
    made = zoo.Uneven(batch_size=1)
    state, _ = run(m.gt_saga(lr=SLOW), RING, 1, made.problem)
    assert state.table["x"].shape == (N, max(made.count), X0.shape[1])
