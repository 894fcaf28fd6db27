"""pFedHN: a server makes every node's model from an embedding of it."""

import jax
import numpy as np
import optax
import problems as zoo
import pytest
from references import LR, PROBLEM, X0, N, close, grad, run, sampled

import dejax as dj

m = dj.methods
SHAPE = {"embedding": 3, "hidden": (6,), "lr": LR, "local_steps": 2}


def test_rounds_follow_the_equations():
    """Products with the Jacobian, worked out by hand for one hidden layer, and the momentum of the server's optimizer."""
    rate, beta = 0.1, 0.9
    method = m.pfedhn(clients=3, server=dj.optimizer(optax.sgd, learning_rate=rate, momentum=beta), **SHAPE)
    state, _ = run(method, rounds=2)  # from here on the last layer is not zero
    copy = lambda tree: jax.tree.map(np.array, tree)
    hyper, e = copy(state.hyper), np.array(state.embeddings)
    speed, speed_e = copy(state.server[0].trace)
    layer, last, bias = hyper.layers[0], hyper.kernels["x"], hyper.biases["x"]
    assert np.abs(last).max() > 1e-3
    for t in range(2, 5):
        slope = {"kernel": 0 * layer["kernel"], "bias": 0 * layer["bias"], "last": 0 * last, "x": 0 * bias, "e": 0 * e}
        for i in sampled(t, 3):
            before = e[i] @ layer["kernel"] + layer["bias"]
            z = np.maximum(before, 0)
            y = made = bias + z @ last
            for _ in range(2):
                y = y - LR * grad(i, y)
            back = made - y
            slope["x"] += back
            slope["last"] += np.outer(z, back)
            inner = (last @ back) * (before > 0)
            slope["bias"] += inner
            slope["kernel"] += np.outer(e[i], inner)
            slope["e"][i] = layer["kernel"] @ inner
        moved = {"kernel": speed.layers[0]["kernel"], "bias": speed.layers[0]["bias"]}
        moved |= {"last": speed.kernels["x"], "x": speed.biases["x"], "e": speed_e}
        moved = {k: slope[k] + beta * v for k, v in moved.items()}
        layer = {k: layer[k] - rate * moved[k] for k in layer}
        last, bias, e = last - rate * moved["last"], bias - rate * moved["x"], e - rate * moved["e"]
        kept = {k: moved[k] for k in ("kernel", "bias")}
        speed, speed_e = (
            speed._replace(layers=(kept,), kernels={"x": moved["last"]}, biases={"x": moved["x"]}),
            moved["e"],
        )
    state, got = run(method, rounds=5)
    close(got, bias + np.maximum(e @ layer["kernel"] + layer["bias"], 0) @ last)
    close(state.embeddings, e)
    close(state.server[0].trace[1], speed_e)


def test_equal_embeddings_are_federated_averaging():
    clients = 3
    server = dj.optimizer(optax.sgd, learning_rate=1 / clients)
    got = run(m.pfedhn(clients=clients, spread=0.0, server=server, **SHAPE))[1]
    want = run(m.fedavg(lr=LR, clients=clients, local_steps=2))[1]
    close(got, np.tile(want, (N, 1)))


def test_models_are_the_start_and_then_lie_in_the_column_space():
    method = m.pfedhn(lr=LR, local_steps=2, embedding=2, hidden=(), server=dj.optimizer(optax.sgd, learning_rate=0.1))
    state, got = run(method, rounds=3)
    assert np.linalg.matrix_rank(got - np.asarray(state.hyper.biases["x"]), tol=1e-9) == 2
    params = {"x": np.tile(X0.mean(0), (N, 1))}
    start = method.model(method.init(jax.tree.map(jax.numpy.asarray, params), jax.random.key(0)))["x"]
    np.testing.assert_array_equal(start, params["x"])


def test_it_fits_nodes_that_one_model_cannot():
    """Nodes whose labels follow opposite models: federated averaging ends at zero, the hypernetwork at both."""
    rng = np.random.default_rng(0)
    w, sign = rng.standard_normal(4), np.where(np.arange(8) % 2, 1.0, -1.0)
    a = rng.standard_normal((8, 20, 4))
    b = np.einsum("nsd,d->ns", a, w) * sign[:, None]
    data = dj.data.from_clients(list(zip(a, b, strict=True)))
    problem = dj.Problem(dj.tasks.from_functions(zoo.rows_init, zoo.rows_loss), data)
    method = m.pfedhn(
        lr=0.2, local_steps=3, embedding=4, hidden=(8,), server=dj.optimizer(optax.sgd, learning_rate=0.05)
    )
    state, _ = dj.rollout(method, problem, dj.Network(), jax.random.key(0), 300)
    np.testing.assert_allclose(method.model(state)["x"], sign[:, None] * w, atol=0.05)


def test_wire_is_one_model_each_way_whatever_the_network():
    _, meters = zoo.run(m.pfedhn(clients=3, **SHAPE | {"hidden": (50,)}), PROBLEM, None, 4, X0)
    totals = meters.totals()
    assert totals["up/sample/gather"] == totals["down/sample/scatter"] == 4 * 3 * X0.shape[1] * 64
    assert meters.bytes() == 2 * 4 * 3 * X0.shape[1] * 8


def test_impossible_numbers_are_named():
    for wrong in ({"embedding": 0}, {"hidden": [0]}, {"spread": -1.0}, {"lr": None}, {"clients": 0}):
        with pytest.raises(dj.FieldError, match=next(iter(wrong))):
            m.pfedhn(**{"lr": LR} | wrong)
    for network in (dj.Network(server="all_reduce"), dj.Network(rule=dj.aggregation.coordinate_median())):
        with pytest.raises(dj.RefusedError, match="single uploads"):
            run(m.pfedhn(lr=LR), network)
