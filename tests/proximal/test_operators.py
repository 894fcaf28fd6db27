"""Proximal operators are nearest points, of the step's weight."""

import numpy as np
import pytest
from references import close

import dejax as dj

L1 = dj.proximal.l1(strength=0.3)


def shrink(u, threshold):
    return np.sign(u) * np.maximum(np.abs(u) - threshold, 0)


def test_proximal_operators_are_nearest_points():
    rng = np.random.default_rng(0)
    u, points = rng.standard_normal((3, 4)), rng.standard_normal((2000, 3, 4))
    for prox, r in (
        (L1, lambda x: 0.3 * np.abs(x)),
        (dj.proximal.box(low=-0.5), lambda x: np.where(x < -0.5, np.inf, 0)),
    ):
        got = np.asarray(prox.prox(0.7, u))
        cost = lambda x, r=r: 0.5 * (x - u) ** 2 + 0.7 * r(x)
        assert (cost(got) <= np.nanmin(cost(points), 0) + 1e-12).all()
        assert (cost(got) <= cost(got + 1e-4)).all() and (cost(got) <= cost(got - 1e-4)).all()
    rates = np.array([0.0, 1.0, 2.0])
    close(L1.prox(rates, u), shrink(u, 0.3 * rates[:, None]))


def test_applying_a_box_twice_is_applying_it_once_and_no_regularizer_changes_nothing():
    u = np.random.default_rng(1).standard_normal((3, 4))
    box = dj.proximal.box(low=-0.5, high=0.2)
    once = box.prox(0.1, u)
    np.testing.assert_array_equal(once, np.clip(u, -0.5, 0.2))
    np.testing.assert_array_equal(box.prox(0.7, once), once)
    np.testing.assert_array_equal(dj.proximal.none().prox(0.7, u), u)


def test_a_budget_is_the_nearest_point():
    rng = np.random.default_rng(2)
    u, points = 2 * rng.standard_normal((20, 5)), rng.random((5000, 5))
    budget = dj.proximal.budget(total=1.5, high=0.9)
    got = np.asarray(budget.prox(0.7, {"a": u[:, :2], "b": u[:, 2:]})["a"])
    whole = np.asarray(budget.prox(0.7, u))
    np.testing.assert_array_equal(got, whole[:, :2])
    assert (whole >= 0).all() and (whole <= 0.9).all() and (whole.sum(1) <= 1.5 + 1e-12).all()
    fits = points[(points <= 0.9).all(1) & (points.sum(1) <= 1.5)]
    for row, best in zip(u, whole, strict=True):
        assert ((fits - best) @ (row - best) <= 1e-12).all()  # what is nearest in a convex set
    close(np.asarray(dj.proximal.budget(total=100.0).prox(1.0, u)), np.clip(u, 0, 1))


def test_numbers_out_of_range_are_named():
    with pytest.raises(dj.FieldError, match="L1.strength is -1.0; give a finite number >= 0"):
        dj.proximal.l1(strength=-1.0)
    with pytest.raises(dj.FieldError, match="Box.low is 2.0, but high is 1.0; give at most 1.0"):
        dj.proximal.box(low=2.0, high=1.0)
