"""Places of a batch's samples in their nodes' lists, and gradients of single samples."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.round import Round, Store

NETWORK = dj.Network(zoo.ring())
SAMPLINGS = {
    "replacement": {"batch_size": 3, "sampling": "replacement"},
    "epoch": {"batch_size": 2, "sampling": "epoch"},
    "poisson": {"batch_size": 2, "sampling": "poisson"},
    "full": {},
}


def a_round(problem, network=NETWORK):
    return Round(problem, network, Store({}, record=True), jax.random.key(0), jnp.int32(0))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_place_is_where_the_sample_stands(sampling):
    made = zoo.Uneven(**SAMPLINGS[sampling])
    round = a_round(made.problem)
    batch, plain = round.batch("one", places=True), a_round(made.problem).batch("one")
    assert plain.places is None and round.places == zoo.N
    np.testing.assert_array_equal(batch.data["y"], plain.data["y"])  # asking changes no draw
    for i, places in enumerate(np.asarray(batch.places)):
        real = np.ones(len(places), bool) if batch.weight is None else np.asarray(batch.weight)[i] > 0
        assert (places[~real] == zoo.N).all() and (places[real] < made.count[i]).all()
        np.testing.assert_array_equal(np.asarray(batch.data["y"])[i, real], made.b[made.rows[i][places[real]]])


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_gradients_of_single_samples_have_the_gradient_as_their_mean(sampling):
    made = zoo.Uneven(**SAMPLINGS[sampling])
    round, x = a_round(made.problem), {"x": jnp.asarray(zoo.starts())}
    batch = round.batch(places=True)
    each = np.asarray(round.gradient(x, batch, per_example=True, name="each")["x"])
    mean = np.asarray(round.gradient(x, batch, name="mean")["x"])
    weight = np.ones(each.shape[:2]) if batch.weight is None else np.asarray(batch.weight)
    np.testing.assert_allclose(each.sum(1), mean * np.maximum(weight.sum(1), 1)[:, None], atol=1e-13)
    assert not each[weight == 0].any() and np.abs(each).max() > 0.1


class Kept(NamedTuple):
    params: Any


@dj.struct
class Bare:
    """Asks for gradients of single samples, or for places where there are none."""

    what: str = dj.static(default="gradient")

    @property
    def traits(self):
        return dj.Traits(per_example=self.what == "gradient")

    def init(self, params, key):
        return Kept(params)

    def step(self, state, round):
        if self.what == "gradient":
            round.gradient(state.params, per_example=True)
        else:
            round.batch(places=True, **({"aligned": True} if self.what == "aligned" else {"of": self.what}))
        return state


@pytest.mark.parametrize(
    ("what", "network", "text"),
    [
        (
            "gradient",
            {"privacy": dj.privacy.gaussian_gradient(clip=1.0, noise_multiplier=1.0)},
            "Bare keeps the gradient of every single sample, but network.privacy GaussianGradient",
        ),
        ("public", {}, "places is True, but rows of of='public' stand in no list"),
        ("aligned", {}, "places is True, but an aligned batch"),
    ],
)
def test_what_has_no_places_is_refused(what, network, text):
    with pytest.raises(dj.FieldError, match=text):
        dj.rollout(
            Bare(what=what), zoo.Uneven(batch_size=1).problem, dj.Network(zoo.ring(), **network), jax.random.key(0), 1
        )


def test_worlds_have_no_places():
    cells = dj.data.cells(size=3).partition(dj.data.iid(), nodes=zoo.N, seed=0)
    walk = dj.Problem(dj.tasks.grid_walk(size=3), cells, source=dj.experience.acting(steps=4))
    with pytest.raises(dj.FieldError, match="batches come from Acting, which has no list of samples"):
        a_round(walk).places  # noqa: B018
