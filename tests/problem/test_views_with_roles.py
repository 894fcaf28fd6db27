"""What is evaluated, `model` and `views`, are whole models whatever the roles of leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import dejax as dj
from dejax import engine
from dejax.metrics.view import is_shared

N, m = 4, dj.methods


class Net(nnx.Module):
    """A body, a normalization and a head."""

    def __init__(self, rngs):
        self.body, self.norm = nnx.Linear(3, 2, rngs=rngs), nnx.BatchNorm(2, rngs=rngs)
        self.head = nnx.Linear(2, 2, rngs=rngs)

    def __call__(self, x):
        return self.head(self.norm(self.body(x)))


TASK = dj.tasks.classifier(Net)
METHODS = {
    "ditto": (m.ditto(lr=0.1, clients=2), True),
    "apfl": (m.apfl(lr=0.1), True),
    "fedrep": (m.fedrep(lr=0.1, head="head", clients=2), False),
}
ROLES = {
    "frozen": {"roles": {"body": "frozen"}},
    "personal": {"roles": {"body": "personal"}, "personal_lr": 0.1},
    "FedBN": {"roles": {"norm": "personal"}, "personal_lr": 0.1},
    "mixed": {"roles": {"body/kernel": "frozen", "norm": "personal"}, "personal_lr": 0.1},
}


def problem(**kw):
    rng = np.random.default_rng(0)
    clients = [(rng.standard_normal((4, 3)).astype(np.float32), np.arange(4) % 2) for _ in range(N)]
    return dj.Problem(TASK, dj.data.from_clients(clients), batch_size=2, **kw)


@pytest.mark.parametrize("roles", [r if r == "mixed" else pytest.param(r, marks=pytest.mark.slow) for r in ROLES])
@pytest.mark.parametrize("name", METHODS)
def test_all_that_is_evaluated_is_a_whole_model(name, roles):
    method, one = METHODS[name]
    its = problem(**ROLES[roles])

    def evaluated(key):
        state = dj.rollout(method, its, dj.Network(), key, 2)[0]
        return engine.model(method, state), engine.views(method, state)

    model, views = jax.eval_shape(evaluated, jax.random.key(0))
    personal = "personal" in ROLES[roles]["roles"].values()
    assert is_shared(TASK, model, N) == (one and not personal)
    assert list(views) == (["personal"] if one else [])
    assert not any(is_shared(TASK, view, N) for view in views.values())


@pytest.mark.parametrize("roles", ROLES)
def test_several_models_at_a_server_have_no_leaves_of_their_own(roles):
    its = problem(starts="independent", **ROLES[roles])
    with pytest.raises(dj.errors.RefusedError, match="none of them is the one that they belong to; use fedavg"):
        dj.rollout(m.ifca(lr=0.1), its, dj.Network(), jax.random.key(0), 2)


def test_a_view_holds_the_leaves_of_every_role():
    """With shares of 0 the mixture is the server's model: frozen and personal leaves are those of the main model, too."""
    task = dj.tasks.from_functions(
        lambda key: {"w": jnp.ones(2), "b": jnp.full(3, 2.0), "c": jnp.full(1, 5.0)},
        lambda params, batch, key: (params["w"].sum() + params["b"].sum() + params["c"].sum()) * batch["x"][:, 0],
    )
    data = dj.data.from_clients([(np.full((1, 1), i + 1.0, np.float32), np.zeros(1)) for i in range(N)])
    its = dj.Problem(task, data, roles={"b": "frozen", "c": "personal"}, personal_lr=0.5)
    method = m.apfl(lr=0.1, share=0.0, learn_share=False)
    state, _ = dj.rollout(method, its, dj.Network(), jax.random.key(0), 1)
    model, view = engine.model(method, state), engine.views(method, state)["personal"]
    assert {k: v.shape for k, v in view.items()} == {"w": (N, 2), "b": (N, 3), "c": (N, 1)}
    for name in model:
        np.testing.assert_allclose(view[name], model[name], rtol=1e-6)
    np.testing.assert_array_equal(view["b"], 2.0)
    assert (np.diff(view["c"][:, 0]) < 0).all()  # each node's own step, longer where x is larger
