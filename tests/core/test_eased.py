"""Entries whose squares overflow float32 are shortened as any others, by the learning rules that bound norms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dejax as dj
from dejax.core import tree

HUGE = np.array([[3.0, 4.0, 0.0], [3e20, -4e20, 0.0], [3e38, 3e38, 3e38], [0.0, 0.0, 0.0], [0.3, 0.0, 0.4]])
WANTED = np.array([[0.6, 0.8, 0], [0.6, -0.8, 0], [3**-0.5] * 3, [0, 0, 0], [0.3, 0, 0.4]])  # at most 1 long


GIVEN = jnp.asarray(HUGE, jnp.float32)


class Inner:
    """A learning rule whose direction is given."""

    def direction(self, task, params, batch, key, memory):
        return jnp.float32(0), params, memory


def by_rule(x):
    rule = dj.learning_rules.clip_gradient(norm=1.0)
    object.__setattr__(rule, "rule", Inner())
    return jax.vmap(lambda row: rule.direction(None, {"x": row}, None, None, None)[1]["x"])(x)


WAYS = {
    "clip_gradient": by_rule,
    "max_norm": lambda x: dj.learning_rules.max_norm(1.0).finish(x.T, (), jax.random.key(0))[0].T,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_what_is_huge_is_as_long_as_the_bound(way, wrap):
    np.testing.assert_allclose(wrap(WAYS[way])(GIVEN), WANTED, rtol=1e-6)


def test_ordinary_numbers_keep_their_bits_and_what_is_not_finite_stays_so():
    given = {"a": jax.random.normal(jax.random.key(0), (3, 4)), "b": jnp.zeros((3, 0))}
    same, s = tree.eased(given)
    assert (same["a"] == given["a"]).all() and s.tolist() == [1, 1, 1]
    for bad in (jnp.nan, jnp.inf):
        rows, s = tree.eased(jnp.array([[bad, 1.0], [2.0, 1e30]], jnp.float32))
        assert not np.isfinite(rows[0, 0]) and rows[1].tolist() == [2.0 * 2**-80, np.float32(1e30) * 2**-80]
