"""What cannot work is refused where it is written, in words that name the field, the value and what is right."""

import dataclasses

import jax
import members
import optax
import problems as zoo
import pytest

import dejax as dj
from dejax._arrays import _kinds
from dejax._options import KINDS

PROBLEM, _ = zoo.squares()
RING = zoo.ring()
METHOD = dj.methods.dsgd(lr=0.1)
c = dj.compression


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"codec": c.top_k(k=2)}, r"codec is TopK\(k=2.*wrap it: dejax.compression.copies\(TopK\(k=2"),
        ({"codec": c.direct}, "codec is Direct, which was not called"),
        ({"rule": dj.aggregation.nna}, "rule is Nna, which was not called.*coordinate_median"),
        ({"rule": "nna"}, r"rule is 'nna' \(str\), which is no combination rule"),
        ({"attack": dj.attacks.sign_flip}, "attack is SignFlip, which was not called"),
        ({"attack": dj.aggregation.coordinate_median()}, "attack is CoordinateMedian.*no attack.*sign_flip"),
        ({"faults": "churn"}, r"faults is 'churn' \(str\), which is no fault; give e.g. dejax.faults.churn\(p=0.1\)"),
        ({"faults": [dj.faults.churn(p=0.1), dj.faults.churn]}, "faults is Churn, which was not called"),
        ({"clock": dj.faults.churn(p=0.1)}, r"clock is Churn\(p=0.1\) \(Churn\), which is no clock"),
        ({"privacy": 1.0}, r"privacy is 1.0 \(float\), which is no privacy mechanism"),
        ({"events": dj.events.poisson}, "events is Poisson, which was not called"),
        ({"topology": dj.topology.ring}, r"topology is ring, which was not called.*dejax.topology.ring\(8\)"),
        ({"topology": 8}, r"topology is 8 \(int\), which is no topology"),
    ],
)
def test_an_option_of_another_kind_is_refused_when_the_network_is_made(option, text):
    with pytest.raises(TypeError, match=r"^Network\." + text):
        dj.Network(**({"topology": RING} | option))


def test_every_option_of_the_library_fits_its_slot_alone():
    for options in members.options().values():
        network = dj.Network(RING, **options)
        jax.tree.map(lambda _: object(), network)  # what JAX does to objects
        for field in set(options) & set(KINDS):
            value = options[field][0] if field == "faults" else options[field]
            for other in set(KINDS) - {field}:
                with pytest.raises(TypeError, match=rf"Network\.{other} is"):
                    dj.Network(**{other: value})


def test_the_examples_of_the_table_are_what_they_say():
    for field, kind in KINDS.items():
        dj.Network(**{field: eval(kind.example, {"dejax": dj})})


def test_text_is_no_number_in_any_field():
    objects = [*members.methods().values()]
    objects += [
        v
        for options in members.options().values()
        for o in options.values()
        for v in (o if isinstance(o, tuple) else (o,))
    ]
    seen = 0
    for owner in objects:
        for name in _kinds(type(owner)) if dataclasses.is_dataclass(owner) else ():
            if getattr(owner, name) is not None:
                seen += 1
                with pytest.raises(TypeError, match=rf"^{type(owner).__name__}\.{name} is '0.1' \(str\); give "):
                    dataclasses.replace(owner, **{name: "0.1"})
    assert seen > 30
    with pytest.raises(TypeError, match="learning_rate is '0.1'; give a number"):
        dj.optimizer(optax.sgd, learning_rate="0.1")


@pytest.mark.parametrize("seed", [0.5, True, "0", None, [0, 0.5], [True]])
def test_seeds_are_whole_numbers(seed):
    with pytest.raises(TypeError, match="seed is .*; give one whole number, or a list of different ones"):
        dj.simulate(METHOD, PROBLEM, dj.Network(RING), 1, seed=seed, progress=False)


@pytest.mark.parametrize("rounds", [True, 0.5, "3", None])
def test_rounds_are_whole_numbers(rounds):
    with pytest.raises(TypeError, match="rounds is .*; give a whole number >= 1"):
        dj.simulate(METHOD, PROBLEM, dj.Network(RING), rounds, progress=False)
    with pytest.raises(TypeError, match="rounds is .*; give a whole number >= 1"):
        dj.rollout(METHOD, PROBLEM, dj.Network(RING), jax.random.key(0), rounds)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (None, "None"),
        (3, "3"),
        (True, "True"),
        ("key", "'key'"),
        (jax.numpy.zeros(2), "Array"),
    ],
)
def test_keys_are_typed_keys(key, text):
    with pytest.raises(TypeError, match=rf"^key is {text}.*give jax.random.key\("):
        dj.rollout(METHOD, PROBLEM, dj.Network(RING), key, 1)


def test_several_keys_are_vmapped_over():
    with pytest.raises(ValueError, match=r"array of \(2,\) keys; give one, or vmap"):
        dj.rollout(METHOD, PROBLEM, dj.Network(RING), jax.random.split(jax.random.key(0), 2), 1)
