"""A verb whose options are told apart by a trait refuses a method that does not say it; every method of the library says its own."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import members
import problems as zoo
import pytest

import dejax as dj
from dejax import engine
from dejax.core.method import Traits
from dejax.problem import Batch
from dejax.round.needs import NEEDS

N, X0 = zoo.N, zoo.starts()
PROBLEM, _ = zoo.squares()
RING = zoo.ring()
PAGE = Path(__file__).parents[2] / "docs" / "rounds.md"
CODEC = dj.compression.direct(dj.compression.identity())
MEAN = lambda p, batch, key: p["x"].sum()


SHARED = Batch(PROBLEM.fetch(jnp.zeros(1, int)), public=True)


def rows(x):  # of a ring, whose nodes have two neighbors each
    return jax.tree.map(lambda leaf: jnp.repeat(leaf, 2, 0), x)


def equal(round):
    w = round.links.links.weights()
    return jnp.zeros_like(w), jnp.ones(round.n)


EDGES = {"channel": "edges"}
SERVER = {"channel": "server"}
CALLS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {  # verb -> (call, traits beside, the trait that is asked for)
    "gradient": (lambda r, x: r.gradient(x), {}, {"learns": False}),
    "gradient(per_example)": (lambda r, x: r.gradient(x, per_example=True), {}, {"per_example": True}),
    "batch": (lambda r, x: r.batch(), {}, {"learns": False}),
    "loss": (lambda r, x: r.loss(x, SHARED), {}, {"learns": False}),
    "losses": (lambda r, x: r.losses(jax.tree.map(lambda a: a[:, None], x), SHARED), {}, {"learns": False}),
    "forward": (lambda r, x: r.forward(MEAN, x), {"raw_losses": True}, {"learns": False}),
    "loss(batch)": (lambda r, x: r.loss(x, r.batch()), {}, {"raw_losses": True}),
    "losses(batch)": (lambda r, x: r.losses(jax.tree.map(lambda a: a[:, None], x), r.batch()), {}, {"raw_losses": True}),
    "forward(batch)": (lambda r, x: r.forward(MEAN, x), {}, {"raw_losses": True}),
    "gossip": (lambda r, x: r.gossip(x), {"channel": "none"}, {"channel": "neighbors"}),
    "gossip(weights)": (lambda r, x: r.gossip(x, weights=equal(r)), {}, {"needs_sums": "why no rule may replace its weights"}),
    "gossip(mask)": (lambda r, x: r.gossip(x, mask=jax.tree.map(lambda a: a > 0, x)), {}, {"masks": True}),
    "gossip(heard)": (lambda r, x: r.gossip(x, heard=True), {}, {"footprint": "neighbors"}),
    "gossip(codec)": (lambda r, x: r.gossip(x, codec=CODEC), {}, {"own_codec": "codec"}),
    "exchange": (lambda r, x: r.exchange(x), {"channel": "none"}, {"channel": "neighbors"}),
    "exchange(heard)": (lambda r, x: r.exchange(x, heard=True), {}, {"footprint": "neighbors"}),
    "exchange(per_edge)": (lambda r, x: r.exchange(rows(x), per_edge=True), {}, EDGES),
    "exchange(codec)": (lambda r, x: r.exchange(x, codec=CODEC), {}, {"own_codec": "codec"}),
    "links": (lambda r, x: r.links, {"channel": "none"}, {"channel": "neighbors"}),
    "neighbors": (lambda r, x: r.neighbors, {"channel": "none"}, {"channel": "neighbors"}),
    "degree": (lambda r, x: r.degree, {"channel": "none"}, {"channel": "neighbors"}),
    "edges": (lambda r, x: r.edges, {}, EDGES),
    "edge_slot": (lambda r, x: r.edge_slot("mine", jnp.zeros), {}, EDGES),
    "pull": (lambda r, x: r.pull((r.ids[:, None] + 1) % N).exchange(x), {}, {"pulls": True}),
    "ask": (lambda r, x: r.ask(x, lambda q: q), EDGES, {"asks": True}),
    "average": (lambda r, x: (v := r.sample(2)).average(v.take(x)), SERVER, {"cohort": 2}),
    "average(groups)": (lambda r, x: r.average(x, groups=r.ids % 2, num_groups=2), SERVER, {"groups": True}),
    "average(mask)": (lambda r, x: r.average(x, mask=jax.tree.map(lambda a: a > 0, x)), SERVER, {"masks": True}),
    "average(codec)": (lambda r, x: r.average(x, codec=CODEC), SERVER, {"own_codec": "codec"}),
    "merge": (lambda r, x: r.merge(x), {}, {"server": "all"}),
    "merge(codec)": (lambda r, x: r.merge(x, codec=CODEC), {"server": "all"}, {"own_codec": "codec"}),
    "gather": (lambda r, x: r.gather(x), SERVER, {"gathers": True}),
    "gather(codec)": (lambda r, x: r.gather(x, codec=CODEC), SERVER | {"gathers": True}, {"own_codec": "codec"}),
    "scatter": (lambda r, x: r.scatter(x), SERVER, {"gathers": True}),
    "broadcast": (lambda r, x: r.broadcast(jnp.ones(3)), {"channel": "neighbors"}, SERVER),
}  # fmt: skip


class State(NamedTuple):
    params: Any


@dj.struct
class Caller:
    """Call one verb, with the traits that are given."""

    codec: Any = dj.option(default=CODEC)
    call: Any = dj.static(default=None)
    said: Any = dj.static(default=())

    @property
    def traits(self):
        return Traits(**dict(self.said))

    def init(self, params, key):
        return State(params)

    def step(self, state, round):
        self.call(round, state.params)
        return state


def trace(call, said):
    method = Caller(call=call, said=tuple(said.items()))
    network = dj.Network(None if method.traits.channel in ("server", "none") else RING)
    method, problem, network = engine.prepare(method, PROBLEM, network, 2)
    jax.eval_shape(lambda key: engine.start(method, problem, network, key), jax.random.key(0))


def test_every_verb_of_the_table_is_called_here():
    assert set(CALLS) == set(NEEDS)


@pytest.mark.parametrize("verb", CALLS)
def test_a_verb_without_its_trait_is_refused_in_words(verb):
    call, beside, trait = CALLS[verb]
    ((name, value),) = trait.items()
    without = beside | trait if name == "learns" else beside
    with pytest.raises(dj.FieldError) as caught:
        trace(call, without)
    text, want = str(caught.value), True if name == "learns" else value
    want = {"own_codec": "the name of its field"}.get(name, want)
    assert text.startswith(f"round.{verb.partition('(')[0]} is called")
    assert f"but Caller does not say {name}={want!r}; write traits = dejax.Traits(" in text and text.endswith(
        "in its class"
    )
    line = eval("dj.Traits" + re.search(r"dejax\.Traits(\(.*\)) in its class", text)[1])
    said = {"own_codec": "codec"}.get(name, getattr(line, name))
    trace(call, without | {name: said})  # what it says to write is enough


@pytest.mark.parametrize("name", [*members.methods(), "dimat_own"])
def test_every_method_of_the_library_says_what_its_verbs_need(name):
    method = members.methods().get(name) or dj.methods.dimat(lr=0.1, samples="own")
    method, problem, network = engine.prepare(method, members.problem(), members.network(name.removesuffix("_own")), 2)
    jax.eval_shape(lambda key: engine.start(method, problem, network, key), jax.random.key(0))


def test_a_cohort_of_another_size_than_said_is_refused():
    upload = lambda m: lambda r, x: (v := r.sample(m)).average(v.take(x))
    trace(upload(3), SERVER | {"cohort": 3})
    trace(upload(3), SERVER | {"cohort": 2})  # more than a rule needs
    with pytest.raises(dj.FieldError, match="does not say cohort=2; write traits"):
        trace(upload(2), SERVER | {"cohort": 3})
    with pytest.raises(dj.FieldError, match="does not say server=2; write traits"):
        trace(lambda r, x: (v := r.sample(2)).merge(v.take(x)), {"server": 3})


def test_public_rows_need_no_trait_of_raw_losses():
    trace(lambda r, x: r.forward(MEAN, x, batch=SHARED), {})


def test_the_page_names_the_trait_of_every_verb():
    sections = PAGE.read_text().split("\n## ")
    for verb, (_, _, trait) in CALLS.items():
        (name,) = trait
        (section,) = (s for s in sections if f"\n| `round.{verb.partition('(')[0]}" in s.replace("(", "`"))
        assert f"`{name}`" in section, (verb, name)
