"""What methods say of themselves: read in one place, refused where misspelt, and written down in the documents."""

import dataclasses
import inspect
import re
from pathlib import Path

import jax
import members
import problems as zoo
import pytest

import dejax as dj
from dejax.core.method import NAMES, Flags, check_method, flags

PAGE = Path(__file__).parents[2] / "docs" / "write-your-own-method.md"


@pytest.mark.parametrize("name", members.methods())
def test_methods_say_only_what_is_known(name):
    method = members.methods()[name]
    check_method(method)
    fields = {f.name for f in dataclasses.fields(method)}
    said = {
        k
        for k, v in inspect.getmembers_static(type(method))
        if not k.startswith("_") and k not in fields and not callable(v)
    }
    assert said <= set(NAMES)
    assert said, "a method says at least its channel"


def test_flags_are_what_the_class_says_and_defaults_else():
    assert flags(dj.methods.fedavg(lr=0.1, clients=3)) == Flags(channel="server", clients=3)
    assert flags(dj.methods.relaysgd(lr=0.1)) == Flags(
        accepts=("doubly", "row", "column"), per_edge=True, needs_tree=True
    )
    assert flags(object()) == Flags()


def test_the_page_has_every_flag_with_its_default():
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \|", PAGE.read_text(), re.M)
    assert [(name, eval(default)) for name, default in rows] == [(f.name, f.default) for f in dataclasses.fields(Flags)]
    for name in NAMES:
        assert re.search(rf"^ +{name.removesuffix('_reason')}: ", inspect.getdoc(Flags), re.M)


def with_flags(**said):
    class Mine:
        def init(self, params, key):
            return params

        def step(self, state, round):
            return state

    for name, value in said.items():
        setattr(Mine, name, value)
    return Mine()


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        ({"chanel": "server"}, TypeError, "Mine.chanel is no flag of a method; did you mean channel"),
        ({"need_events": True}, TypeError, "did you mean needs_events"),
        ({"ownstarts": True}, TypeError, "did you mean own_starts"),
        ({"channel": "servers"}, ValueError, "Mine.channel is 'servers'; give 'edges' or 'server' or 'none'"),
        ({"accepts": "doubly"}, ValueError, "Mine.accepts is 'doubly'; give a tuple of 'doubly' or 'row' or 'column'"),
        ({"accepts": ()}, ValueError, r"Mine.accepts is \(\)"),
        ({"pooled": 1}, ValueError, "Mine.pooled is 1; give True or False"),
        ({"footprint": "all"}, ValueError, "Mine.footprint is 'all'; give 'pair' or None"),
        ({"clients": True}, ValueError, "Mine.clients is True; give a whole number or None"),
        ({"lossy": False}, ValueError, "Mine.lossy is False; say why in lossy_reason"),
        ({"own_codec": "compressor"}, ValueError, "Mine.own_codec is 'compressor', which is none of its fields"),
        ({"needs_tree": True}, ValueError, "Mine.needs_tree is True, but it does not send per edge"),
    ],
)
def test_a_flag_that_is_misspelt_or_impossible_is_refused(said, error, text):
    with pytest.raises(error, match=text):
        check_method(with_flags(**said))


def test_a_flag_among_the_numbers_is_refused_and_attributes_of_ones_own_are_not():
    @dj.struct
    class Mine(dj.methods.dsgd):
        channel: str = "edges"

    with pytest.raises(TypeError, match="Mine.channel is a flag, but stands among the numbers"):
        check_method(Mine(lr=0.1))
    check_method(with_flags(_chanel="x", name="mine", colour="red", rounds_between=3))


def test_a_run_and_a_network_refuse_a_misspelt_flag():
    problem, _ = zoo.squares()
    method = with_flags(chanel="server")
    with pytest.raises(TypeError, match="did you mean channel"):
        dj.rollout(method, problem, None, jax.random.key(0), 1)
    with pytest.raises(TypeError, match="did you mean channel"):
        dj.Network().check(method, problem)
