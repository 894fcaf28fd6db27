"""Every field with a check: what it refuses, what the error holds, and where a config has it; the checks themselves."""

import dataclasses
import importlib
import math
import pickle
import pkgutil
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import members
import numpy as np
import optax
import problems as zoo
import pytest

import dejax as dj
from dejax import checks
from dejax.config.blame import locate, located
from dejax.config.calls import Call
from dejax.core.checks import OrNone, Several, Wholes, choice, in_, natural, or_none, rate, whole
from dejax.core.fields import _kinds, check_arrays
from dejax.core.struct import frozen, number, static
from dejax.errors import NULL, ConfigError, FieldError, Words, as_command, bad, call, keyword, spelled

d, t = dj.data, dj.topology
OTHERS = [
    d.dirichlet(alpha=0.3), d.dirichlet_by_class(alpha=0.3), d.quantity(), d.power_law(), d.shards(), d.classes_per_node(k=2),
    d.overlapping(), d.rotation(), t.constant(0.2), t.lazy(), t.data_size((1, 2)), dj.Cosine(0.1, 9), dj.InverseSqrt(0.1),
    dj.Epochs(1), dj.optimizers.Step(0.1, 9), dj.optimizers.Exponential(0.1, 0.9), dj.optimizers.Piecewise((0.2, 0.1), (9,)),
    dj.optimizers.OneCycle(0.1, 9), dj.optimizers.WarmUp(0.1, 9), dj.optimizers.of_optax(optax.constant_schedule, value=0.1),
    dj.faults.delay(phases=(0, 3)), dj.compression.qsgd(levels=3), dj.compression.qsgd_unbiased(levels=3), dj.compression.rand_k_unbiased(k=2),
    dj.compression.rand_k(k=2), dj.aggregation.trimmed_mean(f=1), dj.faults.clock(), dj.faults.directed_link_loss(p=0.1),
    dj.Network(zoo.ring()), dataclasses.replace(zoo.squares()[0], batch_size=2), d.sampling.Epoch(2), d.sampling.Poisson(2), d.sampling.Replacement(2), d.sampling.WithoutReplacement(2),
    dj.events.poisson(), dj.events.decoupled(), dj.events.updates(), dj.events.update_plan(*[jnp.zeros(1, jnp.int32)] * 4), dj.methods.dfedavgm(lr=0.1), dj.proximal.box(-2.0, 1.0), dj.proximal.budget(total=1.0),
    dj.experience.acting(), dj.learning_rules.evolution(), dj.learning_rules.forward_forward(), dj.learning_rules.max_norm(),
    dj.learning_rules.clip_gradient(norm=1.0, value=1.0), dj.learning_rules.l2_penalty(0.1), dj.tasks.grid_walk(size=3),
    dj.augmentations.crop(), dj.augmentations.flip(), dj.augmentations.cutout(), dj.augmentations.mixup(),
]  # fmt: skip


def inside(owner):
    """A dataclass and those in its fields."""
    yield owner
    for field in dataclasses.fields(owner):
        value = getattr(owner, field.name)
        for one in value if isinstance(value, tuple) else (value,):
            if dataclasses.is_dataclass(one) and not isinstance(one, type):
                yield from inside(one)


def owners():
    """One object of each class that has checks."""
    options = [x for o in members.options().values() for v in o.values() for x in (v if isinstance(v, tuple) else (v,))]
    known = {}
    for top in [*members.methods().values(), *options, *OTHERS]:
        for owner in inside(top) if dataclasses.is_dataclass(top) else ():
            known.setdefault(type(owner), owner)
    return {cls: owner for cls, owner in known.items() if checked(cls)}


def checked(cls):
    return {f.name: f.metadata["check"] for f in dataclasses.fields(cls) if "check" in f.metadata}


OWNERS = owners()
FIELDS = [(cls, name) for cls in OWNERS for name in checked(cls)]


def test_every_class_with_checks_is_walked():
    found = set()
    for module in pkgutil.walk_packages(dj.__path__, "dejax."):
        if module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__.startswith("dejax"):
                found |= {value} if checked(value) else set()
    bases = {base for owner in OWNERS for base in owner.__mro__}  # what members have in common is walked with them
    assert {c.__name__ for c in found - bases} == set()
    assert len(FIELDS) > 60


@pytest.mark.parametrize(("cls", "name"), FIELDS, ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_a_wrong_value_is_refused_with_field_value_and_what_would_be_right(cls, name):
    owner, seen = OWNERS[cls], 0
    for wrong in ("wrong", math.nan, -1, [0.5]):
        try:
            dataclasses.replace(owner, **{name: wrong})
        except FieldError as error:
            seen += 1
            assert error.field == f"{cls.__name__}.{name}"
            assert error.got == wrong or math.isnan(error.got)
            assert len(error.instead) > 8
            assert str(error) == error.sentence()
            assert str(error).startswith(f"{error.field} ") and str(error).endswith(f"; {error.instead}")
            assert repr(wrong) in str(error) or repr(wrong) in error.says
            found = Call(None, cls, {}, ("somewhere", "x"), None)
            run = SimpleNamespace(args={"a": {"b": (found,)}}, names=[name], names_of=lambda section: [])
            run.where = lambda field, section=None: ("somewhere", "x", field)
            assert locate(run, error) == ("somewhere", "x", name)
            with pytest.raises(ConfigError) as caught, located(("somewhere", "x"), cls):
                raise error
            assert caught.value.path == ("somewhere", "x", name)
            assert caught.value.reason == as_command(error.sentence(name))
            assert isinstance(error, ValueError) and isinstance(error, TypeError)
    assert seen


NUMBERS = [(cls, name) for cls, name in FIELDS if name in _kinds(cls) and checked(cls)[name].want != "a number"]


@pytest.mark.parametrize(("cls", "name"), NUMBERS, ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_arrays_pass_the_same_rule_at_the_door(cls, name):
    owner = OWNERS[cls]
    value = getattr(owner, name)
    good = 0.5 if value is None or callable(value) else value
    right = dataclasses.replace(owner, **{name: jnp.asarray([good, good], float)})
    check_arrays(right)
    wrong = dataclasses.replace(owner, **{name: jnp.asarray([good, math.nan], float)})
    with pytest.raises(FieldError, match=r"\(row 1 of an array\)") as caught:
        check_arrays(wrong)
    assert caught.value.field == f"{cls.__name__}.{name}"
    assert math.isnan(caught.value.got)


@pytest.mark.parametrize(
    "owner", [o for o in OWNERS.values() if not isinstance(o, (dj.Network, dj.Problem))], ids=lambda o: type(o).__name__
)
def test_placeholders_and_tracers_pass(owner):
    leaves, structure = jax.tree.flatten(owner)
    if leaves != [owner]:  # no pytree: a partition, a rule for weights
        jax.tree.unflatten(structure, [object() for _ in leaves])
        jax.eval_shape(lambda *x: jax.tree.leaves(jax.tree.unflatten(structure, x)), *leaves)


def test_whole_numbers_of_any_kind_become_ints():
    for given in (3, 3.0, np.int32(3), np.float32(3), jnp.asarray(3)):
        assert whole("k", given) == 3 and type(whole("k", given)) is int
    assert dj.compression.top_k(k=3.0) == dj.compression.top_k(k=3)
    assert natural("seed", 0) == 0
    assert Wholes(1)("widths", np.array([2, 3])) == (2, 3)
    for wrong in (True, "3", None, 2.5, math.inf, math.nan, [3]):
        with pytest.raises(FieldError, match=r"^k is .*; give a whole number >= 1$"):
            whole("k", wrong)


def test_intervals_are_open_where_they_say_so():
    for ends, inside_, outside in (
        ("[]", (0, 1, 0.5), (-0.1, 1.1)),
        ("(]", (1, 0.5), (0,)),
        ("[)", (0,), (1,)),
        ("()", (0.5,), (0, 1)),
    ):
        check = in_(0, 1, ends)
        assert check.want == f"a number in {ends[0]}0, 1{ends[1]}"
        for value in inside_:
            assert check("p", value) == value
        for value in outside:
            with pytest.raises(FieldError, match="p is"):
                check("p", value)


def test_none_passes_where_it_means_something():
    check = or_none(whole, "or " + NULL + " for all nodes")
    assert check("clients", None) is None
    with pytest.raises(FieldError) as caught:
        check("clients", 0)
    assert str(caught.value) == "clients is 0; give a whole number >= 1, or None for all nodes"
    assert as_command(caught.value.args[0]) == "clients is 0; give a whole number >= 1, or null for all nodes"
    assert isinstance(check, OrNone)


def test_classes_of_ones_own_have_the_same_checks():
    @dj.struct
    class Base:
        """A rate and a number of steps."""

        lr: float = dj.number(check=checks.rate)
        steps: int = dj.static(1, check=checks.whole)

        def __post_init__(self):
            if self.steps > 9:
                raise bad("steps", self.steps, owner=self, instead="give at most 9")

    @dj.struct
    class More(Base):
        """One field more."""

        kind: str = dj.static("a", check=checks.choice("a", "b"))

    assert More(lr=0.1, steps=2.0).steps == 2
    assert More(lr=dj.InverseSqrt(0.1)).lr == dj.InverseSqrt(0.1)
    for wrong, text in (
        ({"lr": -1.0}, "More.lr is -1.0; give a finite number >= 0 that fits float32"),
        ({"steps": 0}, "More.steps is 0; give a whole number >= 1"),
        ({"steps": 10}, "More.steps is 10; give at most 9"),
        ({"kind": "c"}, "More.kind is 'c'; give 'a' or 'b'"),
    ):
        with pytest.raises(dj.FieldError) as caught:
            More(**({"lr": 0.1} | wrong))
        assert str(caught.value) == text

    @frozen
    class Split:
        """No pytree: an array is no number here."""

        alpha: float = number(0.5, in_(0, 1))
        sizes: tuple = static((1,), check=Several(in_(0, 9), "sizes"))

    assert Split(sizes=[1, 2]).sizes == (1.0, 2.0)
    for wrong in (None, jnp.asarray(0.5), "a", 2):
        with pytest.raises(FieldError, match=r"Split\.alpha is"):
            Split(alpha=wrong)
    with pytest.raises(FieldError, match=r"Split\.sizes holds 10 \(place 1\); give sizes"):
        Split(sizes=(1, 10))


def test_errors_are_sentences_about_their_field():
    error = bad("lr", -1.0, owner=dj.methods.dsgd(lr=0.1), why="but rates are lengths", instead="give one >= 0")
    assert (error.field, error.got, error.why, error.instead) == (
        "Dsgd.lr",
        -1.0,
        "but rates are lengths",
        "give one >= 0",
    )
    assert str(error) == "Dsgd.lr is -1.0, but rates are lengths; give one >= 0"
    assert error.sentence("lr") == "lr is -1.0, but rates are lengths; give one >= 0"
    assert str(bad("over", 1, says="['lr'] is 1", instead="give a list")) == "over['lr'] is 1; give a list"
    assert str(FieldError("as it stands", field="network.events")) == "as it stands"
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and vars(again) == vars(error)
    refused = dj.RefusedError(field="network.rule", got=None, why="but there is none", instead="give one")
    assert str(refused) == "network.rule is None, but there is none; give one"
    assert as_command(refused.args[0]) == "network.rule is null, but there is none; give one"


def test_words_are_said_twice():
    text = "give " + call("dejax.faults.churn", p=0.1) + ", or " + NULL + "; " + keyword("server", "star")
    assert isinstance(text, Words)
    assert text == "give dejax.faults.churn(p=0.1), or None; server='star'"
    assert text.command == "give {churn: {p: 0.1}}, or null; server: star"
    nested = call("dejax.compression.direct", call("dejax.compression.top_k", k=10), gamma=0.5)
    assert nested == "dejax.compression.direct(dejax.compression.top_k(k=10), gamma=0.5)"
    assert as_command(spelled(True)) == "true" and spelled(True) == "True"
    assert as_command(spelled(dj.InverseSqrt(0.1))) == "InverseSqrt(peak: 0.1, offset: 1.0, unit: rounds)"
    assert pickle.loads(pickle.dumps(text)).command == text.command


def test_choices_are_words_and_not_their_equals():
    with pytest.raises(FieldError, match="order is 1; give True or 'a'"):
        choice(True, "a")("order", 1)
    assert rate("lr", 0) == 0
