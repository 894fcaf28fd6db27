"""What methods and options say of themselves: in one place, refused where misspelt, and written down in the documents."""

import ast
import dataclasses
import inspect
import re
from pathlib import Path

import jax
import members
import problems as zoo
import pytest

import dejax as dj
from dejax.core import kinds
from dejax.core.method import LOOSE, NAMES, Traits, check_method, traits

PAGE = Path(__file__).parents[2] / "docs" / "write-your-own-method.md"


@pytest.mark.parametrize("name", members.methods())
def test_methods_say_their_traits_and_nothing_beside(name):
    method = members.methods()[name]
    check_method(method)
    assert isinstance(method.traits, Traits), "a method says its traits, be they the default ones"
    fields = {f.name for f in dataclasses.fields(method)}
    said = {
        k
        for k, v in inspect.getmembers_static(type(method))
        if not k.startswith("_") and k not in fields and not callable(v) and not isinstance(v, property)
    }
    assert said <= {"traits"}


def test_traits_are_what_the_class_says_and_defaults_else():
    assert traits(dj.methods.fedavg(lr=0.1, clients=3)) == Traits(channel="server", cohort=3, one_update=True)
    assert traits(dj.methods.relaysgd(lr=0.1)) == Traits(
        channel="edges", weights=("doubly", "row", "column"), graph="tree"
    )
    assert traits(object()) == Traits()
    assert Traits().gossips and Traits(channel="edges").gossips
    assert not Traits(channel="server").gossips and not Traits(channel="none").gossips


def test_the_page_has_every_trait_with_its_default():
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \|", PAGE.read_text(), re.M)
    assert [(name, eval(default)) for name, default in rows] == [
        (f.name, f.default) for f in dataclasses.fields(Traits)
    ]
    for field in dataclasses.fields(Traits):
        line = re.search(rf"^  {field.name}: (.*(?:\n {{4}}.*)*)$", inspect.getdoc(Traits), re.M)
        default = {None: "None", False: "default False", True: "default True", "": '""', ("doubly",): '"doubly"'}.get(
            field.default, f'"{field.default}"'
        )
        assert line and "default" in line[1] and default in " ".join(line[1].split())


def with_attributes(**said):
    class Mine:
        def init(self, params, key):
            return params

        def step(self, state, round):
            return state

    for name, value in said.items():
        setattr(Mine, name, value)
    return Mine()


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"channel": "servers"}, "channel is 'servers'; give 'neighbors' or 'edges' or 'server' or 'none'"),
        ({"weights": "doubly"}, "weights is 'doubly'; give a tuple of 'doubly' or 'row' or 'column'"),
        ({"weights": ()}, r"weights is \(\)"),
        ({"weights": ("doubly", "rows")}, r"weights is \('doubly', 'rows'\)"),
        ({"graph": "ring"}, "graph is 'ring'; give 'any' or 'tree'"),
        ({"symmetric": "W"}, "symmetric is 'W'; give True or False"),
        ({"spectrum": 1}, r"spectrum is 1; give a number in \[-1, 1\) or None"),
        ({"pooled": 1}, "pooled is 1; give True or False"),
        ({"footprint": "all"}, "footprint is 'all'; give 'pair' or 'neighbors' or None"),
        ({"cohort": True}, "cohort is True; give a whole number or None"),
        ({"server": 0}, "server is 0; give 'all', a whole number >= 1, or None"),
        ({"server": 2, "channel": "none"}, "server is 2, but channel is 'none'; leave it out"),
        ({"own_codec": 3}, "own_codec is 3; give the name of a field or None"),
        ({"needs_exact": True}, "needs_exact is True; give the reason as text"),
    ],
)
def test_a_trait_with_an_impossible_value_is_refused_where_it_is_written(said, text):
    with pytest.raises(ValueError, match="^Traits." + text):
        Traits(**said)
    with pytest.raises(TypeError, match="chanel"):
        Traits(chanel="server")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"channel": "edges"}, r"Mine.channel says nothing.*write traits = dejax.Traits\(channel='server'\)"),
        ({"chanel": "server"}, r"Mine.chanel says nothing.*Traits\(channel='server'\)"),
        ({"accepts": ("row",)}, r"Traits\(weights=\('doubly', 'row'\)\)"),
        ({"per_edge": True}, r"Traits\(channel='edges'\)"),
        ({"need_events": True}, r"Traits\(needs_events=True\)"),
        ({"ownstarts": True}, r"Traits\(own_starts=True\)"),
        ({"lossy": False}, r"Traits\(needs_exact='why'\)"),
        ({"clients": 3}, r"Traits\(cohort=10\)"),
        ({"trait": Traits()}, "Mine.trait says nothing"),
        ({"mine": Traits()}, "Mine.mine says nothing"),
        ({"traits": {"channel": "server"}}, r"Mine.traits is \{'channel': 'server'\}; write traits = dejax.Traits\("),
    ],
)
def test_loose_attributes_that_look_like_traits_are_refused_with_what_to_write(said, text):
    with pytest.raises(TypeError, match=text):
        check_method(with_attributes(**said))


def test_what_loose_attributes_are_told_to_be_is_right():
    assert set(NAMES) <= set(LOOSE)
    for instead in LOOSE.values():
        eval(f"Traits({instead})")


def test_traits_name_a_field_that_exists_and_do_not_stand_among_the_numbers():
    with pytest.raises(ValueError, match="own_codec='compressor', which is none of its fields: none"):
        check_method(with_attributes(traits=Traits(own_codec="compressor")))

    @dj.struct
    class Typed(dj.methods.dsgd):
        traits: Traits = Traits()

    with pytest.raises(TypeError, match="Typed.traits stands among the numbers; write it without a type"):
        check_method(Typed(lr=0.1))

    @dj.struct
    class Loose(dj.methods.dsgd):
        channel: str = "edges"

    with pytest.raises(TypeError, match=r"Loose.channel says nothing"):
        check_method(Loose(lr=0.1))

    @dj.struct
    class Named(dj.methods.dsgd):
        groups: int = dj.static(default=2)

    check_method(Named(lr=0.1))
    check_method(with_attributes(_chanel="x", name="mine", colour="red", rounds_between=3))


def test_a_run_and_a_network_refuse_a_loose_attribute():
    problem, _ = zoo.squares()
    method = with_attributes(chanel="server")
    with pytest.raises(TypeError, match="Mine.chanel says nothing"):
        dj.rollout(method, problem, None, jax.random.key(0), 1)
    with pytest.raises(TypeError, match="Mine.chanel says nothing"):
        dj.Network().check(method, problem)


# ---- options
def bases():
    """slot -> the class that options of it inherit from."""
    return {field: kind.base for field, kind in (kinds.KINDS | kinds.INNER).items() if kind.base is not None}


def test_options_of_the_library_inherit_what_their_kind_says():
    for options in members.options().values():
        for field, option in options.items():
            if field in bases():
                assert all(isinstance(o, bases()[field]) for o in (option if field == "faults" else (option,)))
    assert isinstance(dj.events.poisson(), dj.Events)
    assert isinstance(members.plan(), dj.Events)
    for name in ("identity", "qsgd_unbiased", "rand_k_unbiased", "top_k"):
        assert issubclass(getattr(dj.compression, name), dj.Compressor)


def test_every_fact_of_a_kind_has_its_meaning_beside_it():
    source = inspect.getsource(kinds).splitlines()
    for node in ast.parse("\n".join(source)).body:
        if isinstance(node, ast.ClassDef) and node.name in {b.__name__ for b in bases().values()}:
            for item in node.body:
                if isinstance(item, ast.Assign):
                    assert "  # " in source[item.lineno - 1], (node.name, ast.unparse(item))


class Own:
    """A user's own rule, with nothing inherited."""

    def check(self, degree, server=False):
        pass

    def combine(self, ctx, received):
        return received.mix()


def own_rule(**said):
    return type("Own", (Own,), said)()


def test_an_option_of_ones_own_says_all_facts_or_inherits_them():
    with pytest.raises(
        TypeError, match=r"Network.rule is .*does not say linear; let its class inherit from dejax.Rule"
    ):
        dj.Network(rule=own_rule())
    with pytest.raises(TypeError, match="does not say needs_own; .*give it needs_own = False"):
        dj.Network(rule=own_rule(linear=True))
    dj.Network(rule=own_rule(linear=True, needs_own=False, masks=False))
    inherited = type("Inherited", (dj.Rule,), {"check": Own.check, "combine": Own.combine})()
    assert dj.Network(rule=inherited).rule.linear is False
    with pytest.raises(TypeError, match="Own.need_own is no fact of a combination rule; did you mean needs_own"):
        dj.Network(rule=own_rule(linear=True, needs_own=False, masks=False, need_own=True))
    with pytest.raises(ValueError, match="Own.linear is 'yes'; give True or False"):
        dj.Network(rule=own_rule(linear="yes", needs_own=False, masks=False))


def test_a_codec_of_a_call_says_the_same_as_one_of_the_network():
    class Half:
        """A user's own codec, with nothing inherited."""

        def init(self, value):
            return ()

        def encode(self, ctx, memory, value):
            return value, memory, None

    @dj.struct
    class Mine(dj.methods.dsgd):
        codec = Half()
        traits = Traits(own_codec="codec")

        def step(self, state, round):
            return type(state)(round.gossip(state.params, codec=self.codec), state.opt)

    problem, _ = zoo.squares()
    with pytest.raises(TypeError, match="which does not say memory; let its class inherit from dejax.Codec"):
        dj.rollout(Mine(lr=0.1), problem, dj.Network(zoo.ring()), jax.random.key(0), 1)


@pytest.mark.parametrize("span", [2, (2, 1), (-1, 0), (0, 1, 2)])
def test_a_span_of_a_fault_is_a_pair(span):
    Late = type("Late", (dj.Fault,), {"span": span})
    with pytest.raises(ValueError, match=r"Late.span is .*; give \(least, most\)"):
        dj.Network(faults=Late())


def test_facts_that_are_words_are_checked():
    class Codec(dj.Codec):
        memory = "copy"

        def init(self, value):
            return ()

        def encode(self, ctx, memory, value):
            return value, memory, None

    with pytest.raises(ValueError, match="Codec.memory is 'copy'; give 'none' or 'sender' or 'copies'"):
        dj.Network(codec=Codec())

    class Attack(dj.Attack):
        hook = "messages"

        def is_adversary(self, n):
            return [False] * n

    with pytest.raises(ValueError, match="Attack.hook is 'messages'; give 'message' or 'gradient' or 'batch'"):
        dj.Network(attack=Attack())
