"""Slips that Python, JAX and flax would answer in words of their own are answered in those of the library."""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import optax
import problems as zoo
import pytest
import scipy.sparse
from flax import linen, nnx

import dejax as dj
from dejax import engine
from dejax.errors import FieldError
from dejax.report.history import History

m, t = dj.methods, dj.topology
N, RING = 4, t.ring(4)
X, Y = np.ones((3, 2), np.float32), np.zeros(3, np.float32)
DATA = dj.data.from_clients([(X, Y)] * N, test=(X, Y))


def init(key):
    return {"w": jnp.zeros(2)}


def loss(params, batch, key):
    return 0.5 * jnp.square(batch["x"] @ params["w"] - batch["y"])


def task(**kw):
    return dj.tasks.from_functions(**({"init": init, "loss": loss} | kw))


def prepared(method=None, roles=(), **kw):
    return engine.prepare(method or m.dsgd(lr=0.1), dj.Problem(task(**kw), DATA, roles=roles), dj.Network(RING))


class State(NamedTuple):
    params: Any


@dj.struct
class Plain:
    """A method of one's own."""

    lr: Any = dj.number(default=0.1)

    def init(self, params, key):
        return State(params)

    def step(self, state, round):
        rate = round.rate(self.lr)
        return State(jax.tree.map(lambda x, g: x - rate * g, state.params, round.gradient(state.params)))


class NoStruct:
    init, step = Plain.init, Plain.step
    lr = 0.1


@dj.struct
class OneArgument(Plain):
    def init(self, params):
        return State(params)


@dj.struct
class Nothing(Plain):
    def init(self, params, key):
        return None


@dj.struct
class Holds(Plain):
    act: Any = jax.nn.relu


@dj.struct
class Gossips(Plain):
    how: Any = dj.static(default=None)

    def step(self, state, round):
        return State(self.how(round, state.params))


def gossips(how):
    return lambda: dj.rollout(Gossips(how=how), dj.Problem(task(), DATA), dj.Network(RING), jax.random.key(0), 1)


MULTI = nx.MultiGraph([(0, 1), (0, 1), (1, 2), (2, 3)])
SLIPS = {
    # arguments of factories
    "by position": (lambda: t.random_regular(5, 4, 3), r"random_regular got 3 arguments by position, and takes n, degree alone"),
    "by name": (lambda: t.random_regular(5, degre=3), r"random_regular\.degre is no argument of random_regular; did you mean degree\? it takes n,"),
    "of a method": (lambda: m.ifca(lr=0.1, cluster=2), r"Ifca\.cluster is no argument of Ifca; did you mean clusters\? it takes lr, clusters"),
    "of a codec": (lambda: dj.compression.top_k(frac=0.1), r"TopK\.frac is no argument of TopK; .*it takes k"),
    "of a task": (lambda: dj.tasks.mlp(hiden=[3]), r"mlp\.hiden is no argument of mlp; did you mean hidden\?"),
    "of a source": (lambda: dj.data.digits(flatt=True), r"digits\.flatt is no argument of digits; did you mean flat\?"),
    "of a fault": (lambda: dj.faults.churn(q=0.1), r"Churn\.q is no argument of Churn; it takes p"),
    "of a network": (lambda: dj.Network(RING, rules=None), r"Network\.rules is no argument of Network; did you mean rule\?"),
    "missing": (lambda: dj.privacy.gaussian_message(), r"GaussianMessage\.\w+ is missing; give GaussianMessage\("),
    "twice": (lambda: t.ring(4, n=4), r"ring\.n is given twice"),
    # functions of other arguments
    "init": (lambda: task(init=lambda: 0), r"from_functions\.init takes no arguments, but is called with \(key\); write def init\(key\)"),
    "loss": (lambda: task(loss=lambda a, b: 0), r"from_functions\.loss takes a, b, but is called with \(params, batch, key\)"),
    "metrics": (lambda: task(metrics=lambda a, b, c: {}), r"from_functions\.metrics takes a, b, c, but is called with \(params, batch\)"),
    "method": (lambda: prepared(OneArgument()), r"OneArgument\.init takes params, but is called with \(params, key\); write def init\(self, params, key\)"),
    "metric": (
        lambda: dj.simulate(m.dsgd(lr=0.1), zoo.squares(N)[0], dj.Network(RING), rounds=1, metrics=[lambda: {"a": 1.0}]),
        r"metrics holds a lambda, which takes no arguments; give functions fn\(view\)",
    ),
    # what they return
    "init None": (lambda: prepared(init=lambda key: None), r"task\.init gives None; return the parameters, a tree of arrays"),
    "method None": (
        lambda: dj.rollout(Nothing(), zoo.squares(N)[0], dj.Network(RING), jax.random.key(0), 1),
        r"Nothing\.init gives None; return the state before round 0",
    ),
    "metrics None": (lambda: prepared(metrics=lambda p, b: None), r"gives as metrics None, no dict; return a dict"),
    "metrics array": (lambda: prepared(metrics=lambda p, b: b["y"]), r"gives as metrics an array of shape \(5,\), no dict"),
    "metrics [B, 2]": (lambda: prepared(metrics=lambda p, b: {"a": b["x"]}), r"gives the metric 'a' of shape \[B, 2\].*\[B\]\}: sum or average"),
    "metrics scalar": (lambda: prepared(metrics=lambda p, b: {"a": b["y"].sum()}), r"gives the metric 'a' of shape \[\]; return"),
    # leaves
    "text": (lambda: prepared(init=lambda key: {"w": jnp.zeros(2), "a": "a"}), r"task\.init makes 'a', 'a', which is no array"),
    "function": (lambda: prepared(init=lambda key: {"a": jax.nn.relu}), r"task\.init makes 'a', .*relu.*, which is no array"),
    "objects": (
        lambda: prepared(init=lambda key: {"w": jnp.zeros(2), "a": np.array([None, 1])}, roles={"a": "frozen"}),
        r"task\.init makes 'a', an array of shape \(2,\) of dtype object, which is no array that a device holds, whatever its role",
    ),
    "fp8": (
        lambda: prepared(init=lambda key: {"w": jnp.zeros(2), "a": jnp.zeros(2, jnp.float8_e4m3fn)}),
        r"makes 'a' of dtype float8_e4m3fn, which cannot be trained and averaged; make it frozen",
    ),
    # methods
    "no struct": (lambda: prepared(NoStruct()), r"method is a NoStruct, a plain class, .*; write @dejax\.struct above the class"),
    "a function": (lambda: prepared(Holds()), r"Holds\.act holds .*relu.*; declare the field as structure, dejax\.static\(\)"),
    # verbs
    "gossip": (gossips(lambda r, x: r.gossip(jax.tree.map(lambda a: a[0], x))), r"round\.gossip\.value has 'w' of shape \(2,\), but .* n = 4 nodes; give leaves \[4, \.\.\.\]"),
    "weights": (gossips(lambda r, x: r.gossip(x, weights=jnp.ones(3))), r"round\.gossip\.weights is an array of shape \(3,\); give two arrays"),
    "step": (gossips(lambda r, x: jax.tree.map(lambda a: a[0], x)), r"Gossips\.step returns 'params/w' of shape \(2,\), but it was given one of \(4, 2\)"),
    "step None": (gossips(lambda r, x: None), r"Gossips\.step returns another structure of state than init"),
    # modules
    "linen made": (lambda: dj.tasks.classifier(lambda rngs: linen.Dense(3)), r"factory gives Dense, a module of flax\.linen, but .* nnx module; wrap it"),
    "linen": (lambda: dj.tasks.classifier(linen.Dense(3)), r"factory is Dense, a module of flax\.linen, but"),
    "a number": (lambda: dj.tasks.classifier(lambda rngs: 3), r"factory gives an int, but"),
    "no rngs": (lambda: dj.tasks.classifier(lambda: nnx.Linear(2, 2, rngs=nnx.Rngs(0))), r"factory '<lambda>' cannot be called with one argument"),
    # graphs
    "nx": (lambda: t.from_matrix(nx.path_graph(4)), r"from_matrix\.matrix is a Graph of networkx; give it to dejax\.topology\.from_networkx"),
    "p": (lambda: t.erdos_renyi(8, p=0), r"none is connected; p is 0"),
    # histories and sweeps
    "name": (lambda: History([{"run": "a", "seed": 0, "round": 0, "loss": 1.0}]).last("los"), r"no record holds; did you mean 'loss'\? there are:"),
    "build": (
        lambda: dj.sweep(lambda lr: m.dsgd(lr=lr), over={"lr": [0.1]}, rounds=1),
        r"build returned a Dsgd for lr=0\.1; return \(method, problem, network\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_named_in_one_line(name):
    make, text = SLIPS[name]
    with pytest.raises(FieldError) as found:
        make()
    said = str(found.value)
    assert re.search(text, said), said
    assert "\n" not in said and " at 0x" not in said and len(said) < 600, said


def test_what_is_meant_is_taken():
    assert t.random_regular(6, 3).max_degree == 3
    np.testing.assert_array_equal(t.from_matrix(scipy.sparse.eye(4), allow_disconnected=True).matrix(), np.eye(4))
    assert dj.Problem(task(), DATA, roles=None).roles == ()
    with pytest.warns(UserWarning, match="does not use 1 parallel edge of the graph"):
        assert t.from_networkx(MULTI).max_degree == 2


def test_a_number_without_a_check_takes_a_schedule():
    rate = optax.piecewise_constant_schedule(1.0, {1: 0.0})  # the second round stands still
    data = dj.data.from_clients([(X, Y + 1)] * N)
    its = dj.Problem(task(), data)
    one, two = (dj.rollout(Plain(lr=rate), its, dj.Network(RING), jax.random.key(0), r)[0].params["w"] for r in (1, 2))
    assert float(jnp.abs(one).max()) > 0.1
    np.testing.assert_array_equal(one, two)


def test_a_task_and_a_problem_are_named_in_short():
    assert repr(task()) == "FunctionTask(the function init, loss=the function loss)"
    with pytest.raises(TypeError, match=r"method is a Problem; give an object with init and step"):
        engine.prepare(dj.Problem(task(), DATA), dj.Problem(task(), DATA), None)
