"""Common slips: each is refused with the field, the value and what is right, before anything is compiled."""

import flax.linen
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from flax import nnx

import dejax as dj
from dejax import engine

X, Y = np.zeros((6, 4), np.float32), np.arange(6) % 3
DATA = dj.data.from_arrays(X, Y).partition(dj.data.iid(), nodes=3)
TASK = dj.tasks.mlp(4, 3)


def prepared(loss):
    task = dj.tasks.from_functions(lambda key: {"w": jnp.zeros(4)}, loss)
    return engine.prepare(dj.methods.dsgd(lr=0.1), dj.Problem(task, DATA), dj.Network(dj.topology.ring(3)))


def per_example(params, batch):
    return batch["x"] @ params["w"]


SLIPS = {
    "no data": (lambda: dj.Problem(TASK), r"Problem\.data is missing, and no data of nodes; give NodeData: .*partition"),
    "a pair": (lambda: dj.Problem(TASK, (X, Y)), r"Problem\.data is a tuple, and no data of nodes; .*from_arrays\(x, y\)"),
    "an array": (lambda: dj.Problem(TASK, X), r"Problem\.data is a ndarray"),
    "a synthetic problem": (
        lambda: dj.Problem(TASK, dj.data.synthetic.quadratics(3, 2)), r"Problem\.data is a Synthetic problem.*made\.data"
    ),
    "float loss": (lambda: prepared(lambda p, b, k: 0.5), r"gives as loss 0\.5 \(float\), no array.* shape \[B\]"),
    "no loss": (lambda: prepared(lambda p, b, k: None), r"gives as loss None \(NoneType\), no array"),
    "a pair as loss": (lambda: prepared(lambda p, b, k: (per_example(p, b), {})), r"\(tuple\), no array of jax\.numpy"),
    "loss [B, 2]": (
        lambda: prepared(lambda p, b, k: jnp.stack([per_example(p, b)] * 2, 1)), r"losses of shape \[B, 2\]; return one loss per"
    ),
    "loss [4]": (lambda: prepared(lambda p, b, k: p["w"]), r"losses of shape \[4\]; return one loss per example"),
    "whole losses": (lambda: prepared(lambda p, b, k: b["y"]), r"losses of dtype int32; return floating numbers"),
    "linen": (lambda: dj.tasks.classifier(flax.linen.Dense(3)), r"factory is Dense.*a module of flax\.linen, but .*nnx.*; wrap it"),
    "linen class": (lambda: dj.tasks.classifier(flax.linen.Dense), r"factory is Dense, a class of flax\.linen"),
    "raises": (lambda: dj.tasks.classifier(lambda rngs: nnx.Linear(4, rngs=rngs)), r"raised TypeError when it was called with nnx"),
    "both sizes": (lambda: dj.tasks.mlp(4, 3, hidden=[9]), r"mlp\.hidden is \[9\], but widths \(4, 3\) say all sizes"),
    "odd degree": (lambda: dj.topology.random_regular(5, degree=3), r"random_regular\.degree is 3, but n \* degree is 5 \* 3 = 15"),
    "no rounds": (lambda: dj.Cosine(peak=0.1, length=0), r"Cosine\.length is 0; give a number of rounds \(or epochs\) > 0"),
    "no peak": (lambda: dj.Cosine(peak=-0.1, length=9), r"Cosine\.peak is -0\.1; give a finite number > 0"),
    "all warmup": (lambda: dj.Cosine(peak=0.1, length=9, warmup=9), r"Cosine\.warmup is 9, but the cosine ends after 9"),
    "negative rate": (lambda: dj.optimizer(optax.adam, -1e-3), r"adam\.learning_rate is -0\.001; give a finite number >= 0"),
    "a class as rate": (lambda: dj.methods.dsgd(lr=dj.Cosine), r"Dsgd\.lr is Cosine, which was not called; give Cosine\(\.\.\.\)"),
    "ragged": (lambda: dj.data.from_arrays([[1.0], [1.0, 2.0]], [0, 1]), r"x is no array \(.*\); give rows of one shape"),
    "complex": (lambda: dj.data.from_arrays(np.zeros((2, 2), complex), [0, 1]), r"x is complex128; give numbers"),
    "huge labels": (lambda: dj.data.from_arrays(np.zeros((2, 2)), [0, 2**40]), r"y goes up to 1099511627776; number the"),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_refused_in_words(slip):
    make, words = SLIPS[slip]
    with pytest.raises(dj.FieldError, match=words):
        make()


@pytest.mark.parametrize(
    ("partitioner", "words"),
    [
        (
            lambda labels, nodes, rng, groups: None,
            r"returned None \(NoneType\); return one array of row numbers per node",
        ),
        (lambda labels, nodes, rng, groups: 3, r"returned 3 \(int\)"),
        (
            lambda labels: [labels],
            r"cannot be called with four arguments .*; write def p\(labels, nodes, rng, groups\)",
        ),
        (np.array_split, r"partitioner"),
    ],
)
def test_partitioners_of_another_form_are_refused_in_words(partitioner, words):
    with pytest.raises((ValueError, TypeError), match=words):
        dj.data.from_arrays(X, Y).partition(partitioner, nodes=3)


def test_rows_that_several_nodes_hold_are_said_to_be_shared():
    everything = dj.data.from_arrays(X, Y).partition(lambda labels, nodes, rng, groups: [np.arange(6)] * 3, nodes=3)
    assert "shared: 6 of 6 rows are dealt more than once (3.0 times each)" in everything.summary()
    swapped = dj.data.from_arrays(X, Y).partition(lambda *given: [[0, 1], [0, 2], [3, 4]], nodes=3)
    assert "shared: 1 of 6 rows are dealt more than once (2.0 times each)" in swapped.summary()
    assert "shared" not in DATA.summary()


def test_bfloat16_samples_become_float32():
    data = dj.data.from_arrays(jnp.full((4, 2), 1.5, jnp.bfloat16), np.full(4, 0.25, ml_dtypes.bfloat16))
    assert data.train["x"].dtype == data.train["y"].dtype == np.float32
    assert data.train["x"][0, 0] == 1.5 and data.train["y"][0] == 0.25


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float32, np.dtype("float16"), "bfloat16"])
def test_dtypes_of_optimizers_are_structure(dtype):
    made = dj.optimizer(optax.adam, learning_rate=0.1, mu_dtype=dtype)
    assert made.numbers == {"learning_rate": 0.1} and hash(made.structure) is not None
    assert made.make().init(jnp.zeros(3, jnp.float32))[0].mu.dtype == jnp.dtype(dtype)


def test_masks_are_structure_and_rates_of_optax_are_schedules():
    mask = lambda params: jax.tree.map(lambda x: x.ndim > 1, params)
    made = dj.optimizer(optax.adamw, optax.linear_schedule(1.0, 0.0, 10), mask=mask)
    assert dict(made.structure) == {"mask": mask} and made.numbers["learning_rate"](5) == 0.5


def final(method, **options):
    problem = dj.Problem(TASK, DATA, **options)
    return dj.rollout(method, problem, dj.Network(dj.topology.ring(3)), jax.random.key(0), 4)[0]


@pytest.mark.slow
def test_schedules_of_optax_are_called_with_the_round_wherever_a_rate_is():
    fall, same = optax.linear_schedule(0.5, 0.1, 4), [0.5, 0.4, 0.3, 0.2]
    mine = lambda t: jnp.asarray(same, jnp.float32)[t]
    close = lambda a, b: jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7), a, b)
    close(final(dj.methods.dsgd(lr=fall)).params, final(dj.methods.dsgd(lr=mine)).params)
    adam = lambda rate: dj.methods.dsgd(optimizer=dj.optimizer(optax.sgd, rate))
    close(final(adam(fall)).params, final(dj.methods.dsgd(lr=mine)).params)
    roles = {"layer0/bias": "personal"}
    a, b = (final(dj.methods.dsgd(lr=0.1), roles=roles, personal_lr=rate) for rate in (fall, mine))
    close(jax.tree.leaves(a), jax.tree.leaves(b))


def test_a_schedule_times_a_gradient_says_how_to_read_it():
    for use in (lambda s, g: s * g, lambda s, g: g * s, lambda s, g: -s, lambda s, g: g / s, lambda s, g: float(s)):
        for g in (jnp.ones(3), np.ones(3)):
            with pytest.raises(dj.FieldError, match=r"a schedule and no number by itself; .*round\.rate\(self\.lr\)"):
                use(dj.Cosine(peak=0.1, length=9), g)


def test_an_empty_member_of_a_config_is_called_so():
    values = {"rounds": 1, "data": {"source": "letters", "nodes": 4, "partition": "iid"}, "task": "mlp", "method": {}}
    with pytest.raises(dj.ConfigError, match=r"e\.g\. dsgd; got an empty mapping\."):
        dj.config.load(values)
