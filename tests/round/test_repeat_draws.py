"""Each iteration of `round.repeat` draws for itself."""

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo

import dejax as dj


@dj.struct
class Draws:
    """Keeps a number that each of three iterations draws."""

    traits = dj.Traits(channel="none")

    def init(self, params, key):
        return {"params": params, "drawn": jnp.zeros((zoo.N, 3))}

    def step(self, state, round):
        def one(inner, carry):
            count, drawn = carry
            number = jax.vmap(lambda key: jax.random.uniform(key, (), drawn.dtype))(inner.node_keys("number"))
            return count + 1, drawn.at[:, count].set(number)

        _, drawn = round.repeat(3, one, (jnp.int32(0), state["drawn"]))
        return {"params": state["params"], "drawn": drawn}

    def model(self, state):
        return state["params"]


def test_iterations_and_nodes_draw_apart():
    problem, _ = zoo.squares()
    state, _ = dj.rollout(Draws(), problem, None, jax.random.key(0), 1)
    drawn = np.asarray(state["drawn"])
    assert len(np.unique(drawn)) == drawn.size
