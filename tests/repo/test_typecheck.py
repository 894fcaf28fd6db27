"""The shape checks of the test session are really on."""

import jax.numpy as jnp
import jaxtyping
import pytest

import dejax as dj
from dejax.aggregation import functions


@pytest.mark.worlds
def test_a_wrong_shape_is_caught():
    values = jnp.zeros((5, 3), jnp.float32)
    assert functions.coordinate_median(values, jnp.ones((5, 3), bool)).shape == (3,)
    with pytest.raises(jaxtyping.TypeCheckError):
        functions.coordinate_median(values, jnp.ones((4, 3), bool))


@pytest.mark.worlds
def test_functions_without_shapes_are_left_as_they_are():
    assert hasattr(functions.coordinate_median, "__wrapped__")
    assert not hasattr(dj.Network.check, "__wrapped__")
    assert not hasattr(dj.topology.Topology.matrix, "__wrapped__")
