"""Verbs, sources and states that are given what fits no row, port or edge say so in words, before anything runs."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax import engine
from dejax.core.method import Traits
from dejax.errors import FieldError
from dejax.problem import Batch
from dejax.round import Round, Store

N, X0 = zoo.N, {"x": jnp.asarray(zoo.starts())}
PROBLEM, _ = zoo.squares()
NETWORK, SERVER = dj.Network(zoo.ring()), dj.Network()
TRUE = {"x": jnp.ones((N, zoo.D), bool)}


def a_round(network=NETWORK, problem=PROBLEM):
    """A round of no method, whose traits nobody asks for."""
    return Round(problem, network, Store({}, record=True), jax.random.key(0), jnp.int32(0))


def of_ring(call):
    return lambda: call(a_round())


def at_server(call):
    return lambda: call(a_round(SERVER))


HALF = (jnp.ones((N, 2)) / 3, jnp.ones(N) / 3)
WRONG = {
    "a mask of numbers": (of_ring(lambda r: r.gossip(X0, mask=X0)), r"round.gossip.mask has a leaf float64\[5, 4\]"),
    "a mask of another shape": (of_ring(lambda r: r.gossip(X0, mask={"x": jnp.ones(3, bool)})), r"has a leaf bool\[3\] for a value \[5, 4\]"),
    "a mask of another structure": (of_ring(lambda r: r.gossip(X0, mask=TRUE["x"])), "round.gossip.mask has another structure"),
    "a mask of numbers at a server": (at_server(lambda r: r.average(X0, mask=X0)), "round.average.mask has a leaf"),
    "bits below 0": (of_ring(lambda r: r.gossip(X0, mask=TRUE, mask_bits=-1)), "round.gossip.mask_bits is -1"),
    "bits of no mask": (of_ring(lambda r: r.gossip(X0, mask_bits=8)), "mask_bits is 8, but there is no mask"),
    "bits of no mask at a server": (at_server(lambda r: r.average(X0, mask_bits=8)), "round.average.mask_bits is 8"),
    "few uploads": (at_server(lambda r: r.gather({"x": X0["x"][:3]})), "round.gather.value has 'x' of shape"),
    "few values of a mean": (at_server(lambda r: r.average({"x": X0["x"][:3]})), "round.average.value has 'x' of shape"),
    "few values of a move": (at_server(lambda r: r.merge({"x": X0["x"][:3]})), "round.merge.value has 'x' of shape"),
    "few queries": (of_ring(lambda r: r.ask(jnp.ones(3), lambda q: q)), "round.ask.value has shape"),
    "few rows to answer from": (of_ring(lambda r: r.ask(jnp.ones(N), lambda q, x: q, jnp.ones(3))), "round.ask.value has shape"),
    "an answer of too much": (of_ring(lambda r: r.ask(jnp.ones(N), lambda q, x: q)), "round.ask.answer takes q, x, but it is called with query"),
    "ids of groups that are numbers": (at_server(lambda r: r.average(X0, groups=jnp.zeros(N), num_groups=2)), "round.average.groups is float"),
    "ids of few groups": (at_server(lambda r: r.average(X0, groups=jnp.zeros(3, jnp.int32), num_groups=2)), r"groups is int32 of shape \(3,\)"),
    "a number of no groups": (at_server(lambda r: r.average(X0, num_groups=2)), "num_groups is 2, but there are no groups"),
    "downloads below 0": (at_server(lambda r: r.average(X0, downloads=-1)), "round.average.downloads is -1"),
    "a name of records": (of_ring(lambda r: r.report("bytes", jnp.ones(N))), "round.report.name is 'bytes', which records"),
    "a loss of records": (of_ring(lambda r: r.report("loss/own", jnp.ones(N))), "round.report.name is 'loss/own', which records"),
    "a report of one number": (of_ring(lambda r: r.report("mine", jnp.float32(1))), r"round.report.values has shape \(\)"),
    "weights of other ports": (of_ring(lambda r: r.gossip(X0, weights=(jnp.ones((N, 3)), jnp.ones(N)))), r"weights has shape \(5, 3\)"),
    "own weights that are few": (of_ring(lambda r: r.exchange(X0).weighted(HALF[0], jnp.ones(3))), r"got.weighted.self_weights has shape \(3,\)"),
    "weights of an average": (of_ring(lambda r: r.exchange(X0).average(jnp.ones(N), HALF[1])), r"got.average.weights has shape \(5,\)"),
    "a small matrix": (of_ring(lambda r: r.links.links.on_ports(jnp.ones((3, 3)))), r"links.on_ports.matrix has shape \(3, 3\)"),
    "a function of two": (of_ring(lambda r: r.forward(lambda m, b: 0.0, X0)), "round.forward.fn takes m, b, but it is called with model, batch, key"),
    "a function of what arrived": (of_ring(lambda r: r.exchange(X0).forward(lambda m: 0.0)), "got.forward.fn takes m, but"),
    "no function": (of_ring(lambda r: r.forward(3, X0)), r"round.forward.fn is 3; give a function \(model, batch, key\)"),
    "a batch by name": (of_ring(lambda r: r.gradient(X0, "public")), "round.gradient.batch is 'public'; give one of round.batch"),
    "a batch by name for a loss": (of_ring(lambda r: r.loss(X0, "public")), "round.loss.batch is 'public'"),
    "another kind of rows": (of_ring(lambda r: r.batch(of="pub", aligned=True)), "round.batch.of is 'pub'; give 'train'"),
    "aligned validation rows": (of_ring(lambda r: r.batch(of="validation", aligned=True)), "aligned is True, but validation rows"),
    "a size of aligned rows": (of_ring(lambda r: r.batch(size=3, aligned=True)), "aligned is True, beside size=3.*; leave size out"),
    "a misspelt trait": (lambda: Traits(chanel="server"), "chanel is no argument of Traits; did you mean channel"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_fits_nothing_is_refused_in_words(what):
    call, text = WRONG[what]
    with pytest.raises(FieldError, match=text):
        call()


def test_masks_that_broadcast_and_groups_without_downloads_pass():
    one = {"x": jnp.asarray([True, True, False, True])}
    np.testing.assert_array_equal(a_round().gossip(X0, mask=one)["x"][:, 2], X0["x"][:, 2])
    means = a_round(SERVER).average(X0, groups=jnp.zeros(N, jnp.int32), num_groups=2, downloads=0)
    np.testing.assert_allclose(means["x"][0], X0["x"].mean(0), rtol=1e-12)


@pytest.mark.parametrize("other", [-1, N, 99])
def test_ids_of_nobody_are_padding(other):
    round = a_round()
    first = (round.ids[:, None] + 1) % N
    alone = round.pull(first, name="a").exchange(X0)
    padded = round.pull(jnp.concatenate([first, jnp.full((N, 1), other)], 1), name="b").exchange(X0)
    np.testing.assert_array_equal(padded.mask, [[True, False]] * N)
    np.testing.assert_allclose(padded.combine()["x"], alone.combine()["x"], rtol=1e-12)


def test_one_number_by_id_is_every_nodes():
    np.testing.assert_array_equal(a_round().by_id(0.5), [0.5] * N)
    np.testing.assert_array_equal(a_round().sample(2).by_id(3), [3, 3])


def test_what_a_model_answers_is_a_function_for_forward():
    data = dj.data.digits(flat=True)
    problem = dj.Problem(dj.tasks.mlp(hidden=[4]), data.partition(dj.data.iid(), nodes=N, seed=0), batch_size=2)
    models = dj.population.tile(problem.task.init(jax.random.key(0)), N)
    round = a_round(problem=problem)
    batch = round.batch()
    each = round.forward(round.answer, models, batch=batch)
    np.testing.assert_array_equal(each, jax.vmap(round.answer)(models, batch.data))


class State(NamedTuple):
    params: Any
    own: Any


class Begins:
    """Starts, and shows views, as it is told."""

    traits = Traits(channel="none")
    begin = staticmethod(lambda own: own)
    shown = staticmethod(lambda state: {})

    def init(self, params, key):
        return State(params, jnp.zeros(N, jnp.int32))

    def start(self, state, round):
        return state._replace(own=self.begin(state.own))

    def step(self, state, round):
        return state

    def views(self, state):
        return self.shown(state)


def that(**parts):
    return dj.struct(type("Told", (Begins,), {k: staticmethod(v) for k, v in parts.items()}))()


@pytest.mark.parametrize("begin", [lambda own: own[:3], lambda own: own + 0.5])
def test_a_start_of_other_rows_or_types_is_refused(begin):
    with pytest.raises(FieldError, match=r"Told.start returns 'own' as .*, but init made it int32\[5\]"):
        zoo.run(that(begin=begin), PROBLEM, SERVER, 1, X0["x"])


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (lambda state: [state.params], "Told.views returns a list; return a dict"),
        (
            lambda state: {"mine": (state.params, lambda p, batch: 0)},
            r"Told.views holds 'mine' as \(a dict, a lambda\); give",
        ),
    ],
)
def test_views_of_another_form_are_refused(shown, text):
    method = that(shown=shown)
    with pytest.raises(FieldError, match=text):
        engine.views(method, method.init(X0, jax.random.key(0)))


@dj.struct
class Source(dj.Experience):
    """Gives what it is told."""

    gives: Any = dj.static(default=None)

    acts = False

    def init(self, key, n):
        return jnp.zeros(n, jnp.int32)

    def collect(self, task, params, memory, round):
        return self.gives(Batch({"x": jnp.ones((N, 2, zoo.D)), "y": jnp.ones((N, 2))}), memory)


@pytest.mark.parametrize(
    ("gives", "text"),
    [
        (lambda batch, memory: batch, r"Source.collect returns a Batch; return \(Batch, memory\)"),
        (lambda batch, memory: (batch.data, memory), r"returns \(a dict, .*\); return \(Batch, memory\)"),
        (lambda batch, memory: (Batch({"x": jnp.ones((3, 2))}), memory), r"returns Batch.data with a leaf float64\[3, 2\]"),
        (lambda batch, memory: (Batch(batch.data, jnp.ones(N)), memory), "returns Batch.weight with a leaf"),
        (lambda batch, memory: (batch, (memory, memory)), "returns memory of another structure"),
        (lambda batch, memory: (batch, memory[:3]), r"returns memory with a leaf int32\[3\], but it was given int32\[5\]"),
        (lambda batch, memory: (batch, memory + 0.5), "returns memory with a leaf float"),
    ],
)  # fmt: skip
def test_what_a_source_gives_is_checked(gives, text):
    problem = dataclasses.replace(PROBLEM, source=Source(gives=gives))
    with pytest.raises(FieldError, match=text):
        a_round(problem=problem).batch()


def test_an_option_that_inherits_and_lacks_its_function_says_which():
    class Middle(dj.Rule):
        pass

    class Stream(dj.Experience):
        acts = False

    class Bent(dj.LearningRule):
        pass

    with pytest.raises(FieldError, match="Network.rule is a Middle, which has no combine; write combine in its class"):
        dj.Network(zoo.ring(), rule=Middle())
    with pytest.raises(FieldError, match="source is a Stream, which has no collect; write collect"):
        dj.Problem(PROBLEM.task, PROBLEM.data, source=Stream())
    with pytest.raises(FieldError, match="rule is a Bent, which has no direction; write direction"):
        dj.Problem(PROBLEM.task, PROBLEM.data, rule=Bent())
