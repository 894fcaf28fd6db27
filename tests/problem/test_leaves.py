"""Leaves that are no real floating numbers: refused by their path where they are trained, at home everywhere where they are frozen."""

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax import engine

N = zoo.N
ODD = {
    "int32": lambda key: jnp.arange(3, dtype=jnp.int32),
    "large": lambda key: jnp.asarray(2**31 - 5, jnp.int32),  # no float32 holds it
    "bool": lambda key: jnp.asarray([True, False]),
    "key": lambda key: jax.random.split(key, 2),
    "python": lambda key: 3,
    "truth": lambda key: True,
    "complex": lambda key: jnp.asarray([1 + 2j, 0.5j], jnp.complex64),
    "numpy": lambda key: np.uint8(200),
}
METHODS = {
    "dsgd": (dj.methods.dsgd(lr=0.1), dj.Network(dj.topology.ring(N))),
    "fedavg": (dj.methods.fedavg(lr=0.1, clients=2), None),
    "centralized": (dj.methods.centralized(lr=0.1), None),
}


def problem(names, roles=(), **kw):
    """Least squares beside odd leaves, which the loss reads."""

    def init(key):
        return {"net": zoo.rows_init(key), "odd": {name: ODD[name](key) for name in names}}

    def loss(params, batch, key):
        read = [jnp.real(x).sum() * 0 for x in jax.tree.leaves(params["odd"]) if not is_key(jnp.asarray(x))]
        return zoo.rows_loss(params["net"], batch, key) + sum(x.astype(jnp.float64) for x in read)

    data = zoo.squares()[0].data
    task = dj.tasks.from_functions(init, loss, lambda params, batch: {"loss": loss(params, batch, None)})
    return dj.Problem(task, data, roles=roles, **kw)


def is_key(x):
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def raw(x):
    """An array of the host, whatever the leaf."""
    return np.asarray(jax.random.key_data(x) if is_key(x) else x)


@pytest.mark.parametrize("name", ODD)
def test_a_leaf_that_cannot_be_trained_is_named_with_the_way_out(name):
    for method, network in METHODS.values():
        with pytest.raises(ValueError, match=rf"'odd/{name}'.*make it frozen, roles=\{{'odd/{name}': 'frozen'\}}"):
            engine.prepare(method, problem([name]), network)
    method, network = METHODS["dsgd"]
    with pytest.raises(ValueError, match=f"'odd/{name}'"):
        engine.prepare(method, problem([name], {"odd": "personal"}, personal_lr=0.1), network)


@pytest.mark.slow
@pytest.mark.parametrize("starts", ["equal", "independent"])
@pytest.mark.parametrize("name", METHODS)
def test_frozen_leaves_of_every_dtype_travel_nowhere_and_survive_checkpoints(name, starts, tmp_path):
    method, network = METHODS[name]
    if name == "centralized" and starts == "independent":
        return
    given = problem(ODD, {"odd": "frozen"}, starts=starts)
    run = lambda rounds, **kw: dj.simulate(method, given, network, rounds=rounds, progress=False, every=2, **kw)
    whole = run(4)
    run(2, out=tmp_path / "run")
    again = run(4, resume=tmp_path / "run")
    start = jax.tree.map(lambda x: x[0], engine.starts(method, given, jax.random.key(0)))
    for history in (whole, again):
        end = history.params()["odd"]
        for leaf, x in end.items():
            want = start["odd"][leaf]
            assert x.dtype == want.dtype
            if leaf != "key":
                np.testing.assert_array_equal(raw(x).reshape(-1, *want.shape)[0], raw(want))
    a, b = (jax.tree.map(raw, h.params()) for h in (whole, again))
    jax.tree.map(np.testing.assert_array_equal, a, b)
    plain = dj.simulate(method, zoo.squares()[0], network, rounds=4, progress=False, every=2)
    assert whole.last("bytes") == plain.last("bytes")  # the odd leaves are in no message
