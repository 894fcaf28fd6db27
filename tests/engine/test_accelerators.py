"""Programs as they are handed to the compilers of TPUs and GPUs, which no machine of ours needs to have."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dejax as dj
from dejax import engine
from dejax.layers import matmul
from dejax.mixing import Circulant

pytestmark = pytest.mark.worlds

N = 16
T, m, slow = dj.topology, dj.methods, pytest.mark.slow
LETTERS = dj.data.letters().partition(dj.data.overlapping(samples=32), nodes=N, seed=0)
DIGITS = dj.data.digits().partition(dj.data.dirichlet(alpha=1.0), nodes=N, seed=0)


def init(key):
    return {"w": jax.random.normal(key, (16,), jnp.float32), "b": jnp.zeros((26,), jnp.float32)}


def loss(params, batch, key):
    """Without a product, so that those of a round are of the methods and kernels."""
    return ((batch["x"] - params["w"][None]) ** 2).sum(-1) + (params["b"] ** 2).sum()


BARE = dj.tasks.from_functions(init, loss)
MLP, CNN = dj.tasks.mlp(16, 24, 26), dj.tasks.cnn((4, 8), (8, 8), 10, kernel=3)
SETTINGS = {
    "ring": (MLP, m.dsgd(lr=0.1), dj.Network(T.ring(N))),
    "random graph": (MLP, m.gradient_tracking(lr=0.1), dj.Network(T.random_regular(N, degree=4, seed=0))),
    "images": (CNN, m.dsgd(lr=0.1), dj.Network(T.ring(N))),
    "server": (MLP, m.fedavg(lr=0.1, clients=4), dj.Network()),
    "dense": (BARE, m.dsgd(lr=0.1), dj.Network(T.erdos_renyi(N, p=0.9, seed=0))),
    "hubs": (BARE, m.dsgd(lr=0.1), dj.Network(T.barabasi_albert(N, m=2, seed=0))),
    "matchings": (BARE, m.dsgd(lr=0.1), dj.Network(T.random_matching(N))),
    "events": (BARE, m.ad_psgd(lr=0.1), dj.Network(T.ring(N), events=dj.events.poisson())),
    "copies": (BARE, m.choco(lr=0.1, gamma=0.3, compressor=dj.compression.top_k(ratio=0.2)), dj.Network(T.ring(N))),
    "median": (BARE, m.dsgd(lr=0.1), dj.Network(T.complete(N), rule=dj.aggregation.coordinate_median())),
    "distances": (BARE, m.dsgd(lr=0.1), dj.Network(T.complete(40), rule=dj.aggregation.nna(f=2))),
}
QUICK = ("ring", "dense")


def program(name, platform):
    """A chunk of rounds as text for the compiler of a platform, all choices made as there."""
    task, method, network = SETTINGS[name]
    nodes = network.topology.n if network.topology else N
    data = DIGITS if task is CNN else LETTERS
    if nodes != N:
        data = dj.data.letters().partition(dj.data.overlapping(samples=32), nodes=nodes, seed=0)
    parts = engine.prepare(method, dj.Problem(task, data, batch_size=8), network, 4)
    key = jax.random.key(0)
    carry = jax.eval_shape(engine.start, *parts, key)
    traced = engine.run_chunk.trace(*parts, carry, key, jnp.int32(0), jnp.int32(4), 8)
    return traced.lower(lowering_platforms=(platform,)).as_text()


NIGHT = pytest.mark.nightly
BOTH = [("tpu", () if s in QUICK else slow, s) for s in SETTINGS] + [
    ("cuda", slow if s in QUICK else NIGHT, s) for s in SETTINGS
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "platform"), [pytest.param(s, p, marks=marks) for p, marks, s in BOTH])
def test_rounds_hold_what_an_accelerator_is_good_at(name, platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: {"cuda": "gpu"}.get(platform, platform))
    jax.config.update("jax_enable_x64", False)
    try:
        text = program(name, platform)
    finally:
        jax.config.update("jax_enable_x64", True)
    assert "stablehlo.while" in text
    assert "custom_call" not in text  # nothing that only a CPU's library knows
    assert "f64" not in text
    assert "stablehlo.convolution" not in text  # one per node would be a grouped one: products of patches instead
    products = re.findall(
        r"stablehlo\.dot_general.*precision = \[(\w+), \w+\] : \((tensor<\S+>), (tensor<\S+>)\)", text
    )
    assert len(products) == text.count("stablehlo.dot_general")
    for precision, *shapes in products:
        thin = any(re.search(r"[<x]1x", shape) for shape in shapes)
        if precision == "DEFAULT":  # layers, as the user's settings say; a bias is no product of one column
            assert SETTINGS[name][0] is not BARE
            assert not thin
        else:  # sums over models, whose rounding would be that of the whole run
            assert precision == "HIGHEST"
            assert SETTINGS[name][0] is BARE or name == "server"
    assert (len(products) > 0) == (name in ("ring", "random graph", "images", "server", "dense", "distances"))


@pytest.mark.parametrize("nodes", [(), (3,)])
@pytest.mark.parametrize("form", ["nn", "tn", "nt"])
@pytest.mark.parametrize("sizes", [(4, 1, 5), (1, 6, 5), (4, 6, 1), (4, 6, 5)])
def test_products_of_one_column_are_products(form, sizes, nodes, key):
    rows, inner, columns = sizes
    turn = lambda x, where: x.mT if where else x
    a, b = jax.random.normal(key, (*nodes, rows, inner)), jax.random.normal(key, (*nodes, inner, columns))
    a, b = turn(a, form == "tn"), turn(b, form == "nt")
    got, want = (fn(a, b, form=form, precision=None) for fn in (matmul._accelerator, matmul._library))
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    assert got.shape == want.shape
    assert (
        "dot_general" in str(jax.make_jaxpr(lambda a, b: matmul._accelerator(a, b, form=form, precision=None))(a, b))
    ) == (inner > 1 and not (form == "tn" and rows == 1))


def test_many_offsets_are_rolled_on_accelerators_and_gathered_on_cpus():
    w = Circulant(jnp.full((4,), 0.2), jnp.full((), 0.2), N, (1, 2, 14, 15))
    traced = jax.jit(w.mix).trace(jnp.ones((N, 8)))
    assert "stablehlo.gather" not in traced.lower(lowering_platforms=("tpu",)).as_text()
    assert "concatenate" not in traced.lower(lowering_platforms=("cpu",)).as_text()
