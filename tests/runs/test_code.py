"""An edited function is noticed before a run is resumed; the same source in another process, or with other comments, is not one."""

import functools
import json
import os
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy
from flax import nnx

from dejax import Problem, tasks
from dejax.errors import CheckpointError
from dejax.runs.code_digest import functions
from dejax.runs.simulate import simulate

SOURCE = '''
import dataclasses
import functools
import jax
import jax.numpy as jnp
from dejax.core.method import Traits

SCALE = 0.5
NAMES = {"one", "two", "three"}

def helper(x):
    """Square."""
    return jnp.square(x)

def make(power):
    def loss(params, batch, key, eps=0.0):
        """The loss."""
        def inner(y):
            # a comment
            return helper(y) * SCALE if "w" in {"w", "v", "u", "t"} else y
        return inner(params["w"] * power - batch["y"]) + eps
    return loss

@dataclasses.dataclass(frozen=True)
class Method:
    lr: float = 0.1
    traits = Traits(channel="edges")

    def init(self, params, key):
        return params

    def step(self, state, round):
        return state - self.lr

loss = make(2.0)
jitted = jax.jit(make(2.0))
part = functools.partial(make(2.0), eps=1e-3)
method = Method()
'''


def digests(source):
    module = types.ModuleType("mine")
    sys.modules["mine"] = module  # dataclasses look their module up
    try:
        exec(compile(source, "mine.py", "exec"), module.__dict__)
    finally:
        del sys.modules["mine"]
    return functions({name: getattr(module, name) for name in ("loss", "jitted", "part", "method")}, "given")


BEFORE = digests(SOURCE)


def test_functions_classes_partials_and_jitted_ones_are_seen():
    assert set(BEFORE) == {"given.loss", "given.jitted", "given.part", "given.method"}
    assert BEFORE["given.loss"] == BEFORE["given.jitted"] != BEFORE["given.part"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another one"),
        ("def helper", "\n\n\ndef helper"),
        ('"""The loss."""', '"""What is minimized."""'),
        ('{"w", "v", "u", "t"}', '{"t", "u", "v", "w"}'),
        ("batch, key, eps=0.0", "batch,  key,eps = 0.0"),
        ("NAMES =", "UNREAD = 3; NAMES ="),
    ],
)
def test_what_computes_the_same_is_the_same(old, new):
    assert old in SOURCE
    assert digests(SOURCE.replace(old, new)) == BEFORE


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("* SCALE", "+ SCALE", {"loss", "jitted", "part"}),
        ("SCALE = 0.5", "SCALE = 0.25", {"loss", "jitted", "part"}),
        ("jnp.square(x)", "jnp.abs(x)", {"loss", "jitted", "part"}),
        ("eps=0.0", "eps=0.1", {"loss", "jitted", "part"}),
        ("\nloss = make(2.0)", "\nloss = make(3.0)", {"loss"}),
        ("eps=1e-3", "eps=2e-3", {"part"}),
        ('"w" in {"w",', '"w" in {"x",', {"loss", "jitted", "part"}),
        ("state - self.lr", "state + self.lr", {"method"}),
        ('Traits(channel="edges")', 'Traits(channel="none")', {"method"}),
    ],
)
def test_what_computes_something_else_is_another(old, new, changed):
    assert old in SOURCE
    after = digests(SOURCE.replace(old, new))
    assert {name for name in BEFORE if after[name] != BEFORE[name]} == {f"given.{name}" for name in changed}


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_same_source_has_the_same_digests_in_every_process(seed, tmp_path):
    (tmp_path / "mine.py").write_text(SOURCE)
    script = "import json, mine; from dejax.runs.code_digest import functions as f; from test_code_names import N; print(json.dumps(f({n: getattr(mine, n) for n in N}, 'given')))"
    (tmp_path / "test_code_names.py").write_text("N = ('loss', 'jitted', 'part', 'method')")
    env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    out = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == BEFORE


def test_libraries_count_by_name_but_what_they_carry_counts():
    assert functions({"tanh": jnp.tanh, "sum": np.sum, "adam": optax.adam}, "given") == {}
    task = tasks.from_functions(lambda key: {"w": jnp.zeros(3)}, lambda p, b, k: p["w"].sum())
    assert set(functions(task, "task")) == {"task.init", "task.loss"}
    wrapped = functools.partial(jax.jit(jax.vmap(lambda x: x + 1)))
    other = functools.partial(jax.jit(jax.vmap(lambda x: x + 2)))
    assert functions(wrapped, "f") != functions(other, "f")


def test_derivatives_and_modules_of_ones_own_count():
    def clipped(limit):
        @jax.custom_vjp
        def same(x):
            return x

        same.defvjp(lambda x: (x, None), lambda _, g: (jnp.clip(g, -limit, limit),))
        return functools.partial(lambda f, x: f(x), same)

    def module(sign):
        class Net(nnx.Module):
            def __init__(self, rngs):
                self.layer = nnx.Linear(4, 3, rngs=rngs)

            def __call__(self, x):
                return sign * self.layer(x)

        return tasks.classifier(lambda rngs: Net(rngs))

    for make in (clipped, module):
        assert functions(make(1.0), "it") == functions(make(1.0), "it") != functions(make(-1.0), "it")


def losses(scale):
    def loss(params, batch, key):
        return scale * jnp.square(batch["x"] @ params["w"]).sum(-1)

    return loss


def init(key):
    return {"w": jax.random.normal(key, (toy.problem().data.arrays["x"].shape[1], 1))}


def with_loss(scale):
    method, problem, network = toy.experiment()
    return method, Problem(tasks.from_functions(init, losses(scale)), problem.data), network


@pytest.mark.slow
def test_a_run_is_not_resumed_with_an_edited_loss(tmp_path):
    options = {"metrics": [], "progress": False}
    simulate(*with_loss(0.5), 2, out=tmp_path / "run", **options)
    simulate(*with_loss(0.5), 3, resume=tmp_path / "run", **options)
    with pytest.raises(CheckpointError, match=r"its problem differs: the code of problem.task.loss was edited"):
        simulate(*with_loss(0.25), 4, resume=tmp_path / "run", **options)


@pytest.mark.slow
def test_bytecode_of_another_python_is_not_compared(tmp_path, monkeypatch):
    options = {"metrics": [], "progress": False}
    simulate(*with_loss(0.5), 2, out=tmp_path / "run", **options)
    monkeypatch.setattr("dejax.runs.code_digest.python", lambda: "cpython-399-O0")
    simulate(*with_loss(0.25), 3, resume=tmp_path / "run", **options)
