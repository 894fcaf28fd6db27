"""The accountant against closed forms, published conversions, an exact account, and a library."""

import math

import numpy as np
import pytest

from dejax.privacy import accountant

INTEGERS = range(2, 257)


@pytest.mark.parametrize(
    ("q", "s", "steps", "simple", "tight"),
    [
        (0.01, 1.0, 1000, 2.5383, 2.1078),
        (0.01, 1.1, 10_000, 6.2798, 5.6543),
        (0.05, 2.0, 500, 3.2055, 2.7749),
        (0.1, 4.0, 1000, 4.2445, 3.7431),
        (1.0, 10.0, 100, 5.3026, 4.7527),
    ],
)
def test_known_values(q, s, steps, simple, tight):
    assert accountant.epsilon(s, steps, q, 1e-5, conversion="simple", orders=INTEGERS) == pytest.approx(
        simple, abs=5e-5
    )
    assert accountant.epsilon(s, steps, q, 1e-5, orders=INTEGERS) == pytest.approx(tight, abs=5e-5)
    assert accountant.epsilon(s, steps, q, 1e-5) <= tight + 5e-5  # more orders only tighten


@pytest.mark.parametrize(("mu", "exact"), [(0.5, 1.9931), (1.0, 4.3772), (2.0, 9.9973)])
def test_exact_gaussian(mu, exact):
    """Exact epsilon, its inverse, and its place below RDP."""
    s, steps = 10.0, round((10 * mu) ** 2)
    got = accountant.gaussian_epsilon(s, steps, 1e-5)
    assert got == pytest.approx(exact, abs=5e-5)
    assert accountant.gaussian_delta(s, steps, got) == pytest.approx(1e-5, rel=1e-9)
    assert accountant.epsilon(s, steps, 1.0, 1e-5) == got  # nothing is sampled: no orders are asked
    tight = accountant.epsilon(s, steps, 1.0, 1e-5, orders=accountant.ORDERS)
    assert got < tight < accountant.epsilon(s, steps, 1.0, 1e-5, conversion="simple")
    zcdp = mu**2 / 2 + 2 * math.sqrt(mu**2 / 2 * math.log(1e5))
    assert accountant.epsilon(s, steps, 1.0, 1e-5, conversion="simple") >= zcdp - 1e-9  # the best real order
    one = accountant.gaussian_epsilon(1 / mu, 1, 1e-5)  # T steps at s = one step at s / sqrt(T)
    assert one == pytest.approx(got, rel=1e-12)


def test_rdp_against_numerical_integration():
    """The sampled formula is the Renyi divergence of the mixture from N(0, s^2), integrated on a grid."""
    s, q = 1.3, 0.07
    x = np.linspace(-30, 40, 2_000_001)
    log_p0 = -(x**2) / (2 * s**2)
    ratio = np.log1p(q * np.expm1((2 * x - 1) / (2 * s**2)))
    for order in (1.1, 1.5, 2, 2.3, 3, 6.9, 7):
        moment = np.trapezoid(np.exp(log_p0 + order * ratio), x) / (s * math.sqrt(2 * math.pi))
        want = math.log(moment) / (order - 1)
        assert accountant.rdp(s, q, [order])[0] == pytest.approx(want, rel=1e-8)


# dp-accounting 0.6.0: get_epsilon_and_optimal_order of its RdpAccountant at default orders
LIBRARY = [
    (0.01, 0.3, 1, 1e-5, 2.1, 12.058042),
    (0.1, 0.5, 50, 1e-5, 1.7, 25.884179),
    (0.3, 1.0, 50, 1e-8, 2.5, 21.822954),
    (0.5, 2.0, 50, 1e-3, 2.9, 7.992425),
    (0.01, 0.7, 100, 1e-6, 4.5, 3.818941),
    (0.1, 0.3, 50, 1e-3, 1.4, 87.590925),
]


@pytest.mark.parametrize(("q", "s", "steps", "delta", "order", "library"), LIBRARY)
def test_orders_that_are_not_whole(q, s, steps, delta, order, library):
    """Within 1 % of a library at its best order, and not above it: its series has no signs (ours meets the integral to 1e-8)."""
    assert 0.99 * library < accountant.epsilon(s, steps, q, delta, orders=[order]) <= library
    assert accountant.epsilon(s, steps, q, delta) <= library


def test_much_spent_at_little_noise():
    """Above the exact account (53.3158, by dp-accounting's privacy loss distributions), below its RDP (87.5909, at order 1.4)."""
    assert accountant.epsilon(0.3, 50, 0.1, 1e-3) == pytest.approx(
        63.1763, abs=5e-5
    )  # order 1.2, where that series is slow


def test_rdp_limits_and_monotonicity():
    orders = [2, 5, 40]
    np.testing.assert_allclose(accountant.rdp(2.0, 1.0, orders), np.array(orders) / 8)
    np.testing.assert_allclose(accountant.rdp(2.0, 1 - 1e-12, orders), np.array(orders) / 8, rtol=1e-9)
    assert not accountant.rdp(2.0, 0.0, orders).any() and np.isinf(accountant.rdp(0.0, 0.5, orders)).all()
    rates = [accountant.epsilon(1.0, 100, q, 1e-5) for q in (0.001, 0.01, 0.1, 0.5, 1.0)]
    assert rates == sorted(rates)
    assert accountant.epsilon(1.0, 0, 1.0, 1e-5) == 0 and accountant.epsilon(0.0, 1, 1.0, 1e-5) == math.inf
    assert accountant.epsilon(1.0, 10, 0.0, 1e-5) == 0 and accountant.gaussian_epsilon(0.0, 1, 1e-5) == math.inf
    assert accountant.gaussian_epsilon(1.0, 0, 1e-5) == 0 and accountant.gaussian_epsilon(1e9, 1, 1e-5) == 0
    assert np.isfinite(accountant.rdp(0.05, 0.5, [1024])).all()  # exponents far beyond float64


@pytest.mark.slow
def test_noise_multiplier_inverts_epsilon():
    for goal in (0.5, 3.0, 20.0):
        s = accountant.noise_multiplier(goal, 500, 0.05, 1e-5)
        assert accountant.epsilon(s, 500, 0.05, 1e-5) <= goal < accountant.epsilon(s / 1.001, 500, 0.05, 1e-5)


@pytest.mark.slow
def test_against_a_library():
    """The same orders give the same epsilon in dp-accounting, and its exact accountant lies below."""
    pytest.importorskip("dp_accounting", reason="NOT CHECKED against a library: pip install dp-accounting==0.6.0")
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    for q, s, steps in ((0.01, 1.0, 1000), (0.05, 2.0, 500), (0.2, 0.8, 20), (1.0, 10.0, 100)):
        event = SelfComposedDpEvent(PoissonSampledDpEvent(q, GaussianDpEvent(s)), steps)
        library = RdpAccountant(list(INTEGERS)).compose(event).get_epsilon(1e-5)
        mine = accountant.epsilon(s, steps, q, 1e-5, orders=INTEGERS)
        assert mine == pytest.approx(library, rel=1e-6)
        if steps <= 100:
            assert PLDAccountant().compose(event).get_epsilon(1e-5) < mine


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: accountant.epsilon(-1.0, 1, 1.0, 1e-5), ValueError, "noise_multiplier is -1.0"),
        (lambda: accountant.epsilon(1.0, -1, 1.0, 1e-5), ValueError, "steps is -1"),
        (lambda: accountant.epsilon(1.0, 1.5, 1.0, 1e-5), ValueError, "steps is 1.5"),
        (lambda: accountant.epsilon(1.0, 1, 1.5, 1e-5), ValueError, "sampling_rate is 1.5"),
        (lambda: accountant.epsilon(1.0, 1, 1.0, 0.0), ValueError, "delta is 0.0"),
        (lambda: accountant.epsilon(1.0, 1, 1.0, 1), ValueError, "delta is 1"),
        (lambda: accountant.epsilon(1.0, 1, 1.0, 1e-5, conversion="best"), ValueError, "'tight'"),
        (lambda: accountant.epsilon("a", 1, 1.0, 1e-5), TypeError, "noise_multiplier"),
        (lambda: accountant.rdp(1.0, 0.5, [1]), ValueError, "orders"),
        (lambda: accountant.rdp(1.0, 0.5, [1.0, 2.5]), ValueError, "numbers > 1"),
        (lambda: accountant.noise_multiplier(0.0, 1, 1.0, 1e-5), ValueError, "epsilon_goal is 0.0"),
        (lambda: accountant.noise_multiplier(1e-12, 10**6, 1.0, 1e-9), ValueError, "larger"),
    ],
)
def test_bad_input(make, error, text):
    with pytest.raises(error, match=text):
        make()
