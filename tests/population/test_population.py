"""The population: identities, and a NumPy loop over nodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax import population

pytestmark = pytest.mark.worlds


@pytest.fixture
def params():
    rng = np.random.default_rng(0)
    return {"w": jnp.asarray(rng.normal(size=(5, 3, 2))), "b": jnp.asarray(rng.normal(size=(5,)))}


def test_stack_and_unstack_are_inverse(params):
    models = population.unstack(params)
    assert len(models) == 5 and models[0]["w"].shape == (3, 2)
    again = population.stack(models)
    assert all((again[k] == params[k]).all() for k in params)


@pytest.mark.slow
def test_mean_and_distance_against_a_loop(params):
    rows = [np.concatenate([np.asarray(params["b"][i]).ravel(), np.asarray(params["w"][i]).ravel()]) for i in range(5)]
    center = sum(rows) / 5
    want = sum(((r - center) ** 2).sum() for r in rows) / 5
    np.testing.assert_allclose(population.consensus_distance(params), want, rtol=1e-14)
    np.testing.assert_allclose(population.mean(params)["b"], center[0], rtol=1e-13)
    weights = jnp.array([1.0, 0, 2, 0, 1])
    center = (rows[0] + 2 * rows[2] + rows[4]) / 4
    want = sum(w * ((rows[i] - center) ** 2).sum() for i, w in ((0, 1), (2, 2), (4, 1))) / 4
    np.testing.assert_allclose(population.consensus_distance(params, weights), want, rtol=1e-14)


@pytest.mark.slow
def test_a_node_of_weight_zero_is_silent_even_when_broken(params):
    broken = jax.tree.map(lambda x: x.at[1].set(jnp.nan), params)
    weights = jnp.array([1.0, 0, 1, 1, 1])
    kept = jax.tree.map(lambda x: x[jnp.array([0, 2, 3, 4])], params)
    np.testing.assert_allclose(
        population.consensus_distance(broken, weights), population.consensus_distance(kept), rtol=1e-13
    )
    np.testing.assert_allclose(population.mean(broken, weights)["w"], population.mean(kept)["w"], rtol=1e-13)


def test_distance_ignores_a_common_shift_and_low_precision_is_summed_wide(params):
    shifted = jax.tree.map(lambda x: x + 3.0, params)
    np.testing.assert_allclose(
        population.consensus_distance(shifted), population.consensus_distance(params), rtol=1e-12
    )
    ones = {"w": jnp.ones((4096, 8), jnp.bfloat16).at[0].set(2)}
    assert population.consensus_distance(ones).dtype == jnp.float32
    np.testing.assert_allclose(population.consensus_distance(ones), 8 * (4095 / 4096**2), rtol=1e-5)


def test_flat_and_back(params):
    matrix, back = population.flat(params)
    assert matrix.shape == (5, 7) == (5, population.dimension(params))
    assert all((back(matrix)[k] == params[k]).all() for k in params)
    assert back(matrix[:2])["w"].shape == (2, 3, 2)


@pytest.mark.parametrize("block", [None, 1, 2, 5, 9])
def test_views_do_not_depend_on_the_block(params, block):
    got = population.views(lambda p: (p["w"].sum() * p["b"], p["w"][0]), params, block=block)
    np.testing.assert_allclose(got[0], np.asarray(params["w"]).sum((1, 2)) * np.asarray(params["b"]), rtol=1e-13)
    assert got[1].shape == (5, 2)


def test_nodes_and_copies(params):
    assert (population.node(params, 2)["w"] == params["w"][2]).all()
    assert population.take(params, [3, 1])["b"].tolist() == [params["b"][3], params["b"][1]]
    assert float(population.consensus_distance(population.tile({"w": jnp.ones(3, jnp.float32)}, 7))) == 0


def test_bad_input_names_what_is_wrong(params):
    with pytest.raises(ValueError, match="disagree on the number of nodes.*'a'.*3.*'b'.*4"):
        population.consensus_distance({"a": jnp.zeros(3), "b": jnp.zeros(4)})
    with pytest.raises(ValueError, match="scalar, without a node axis"):
        population.size({"a": jnp.float32(1)})
    with pytest.raises(ValueError, match="no leaves"):
        population.size({})
    with pytest.raises(IndexError, match="node 5 is not in a population of 5"):
        population.node(params, 5)
    with pytest.raises(ValueError, match="model 1 differs from model 0"):
        population.stack([{"w": jnp.zeros(2)}, {"w": jnp.zeros(3)}])
    with pytest.raises(ValueError, match=r"model 2 differs from model 0, .*float32.*int32"):
        population.stack([{"w": jnp.zeros(2, jnp.float32)}] * 2 + [{"w": jnp.zeros(2, jnp.int32)}])
    with pytest.raises(ValueError, match="model 1 differs from model 0, but a population needs equal architectures"):
        population.stack([{"w": jnp.zeros(2)}, {"v": jnp.zeros(2)}])
    with pytest.raises(ValueError, match="empty list"):
        population.stack([])


def test_shapes_at_the_doors(params):
    with pytest.raises(ValueError, match=r"mean got weights of shape \(4,\); give one per node: \(5,\)"):
        population.mean(params, jnp.ones(4))
    with pytest.raises(ValueError, match=r"consensus_distance got weights of shape \(5, 1\); give one per node"):
        population.consensus_distance(params, jnp.ones((5, 1)))
    with pytest.raises(ValueError, match=r"take got ids of shape \(5,\) and dtype bool; give whole numbers \[m\]"):
        population.take(params, jnp.ones(5, bool))
    with pytest.raises(ValueError, match=r"take got ids of shape \(1, 2\)"):
        population.take(params, [[0, 1]])
    matrix, back = population.flat(params)
    with pytest.raises(ValueError, match=rf"unflatten got rows of shape .*; give \[m, {matrix.shape[1]}\]"):
        back(matrix[:, 1:])
    assert jax.jit(lambda rows: back(rows))(matrix[:2])["w"].shape[0] == 2
