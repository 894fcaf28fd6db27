"""What cannot work is refused where it is written, in words that name the field, the value and what is right."""

import dataclasses

import jax
import members
import numpy as np
import optax
import problems as zoo
import pytest

import dejax as dj
from dejax.core.fields import _kinds
from dejax.core.kinds import KINDS

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


def all_members():
    """One of every method and of every option."""
    yield from members.methods().values()
    for options in members.options().values():
        for option in options.values():
            yield from option if isinstance(option, tuple) else (option,)


def test_schedules_are_for_rates_alone():
    seen = {True: 0, False: 0}
    for owner in all_members():
        for name in _kinds(type(owner)) if dataclasses.is_dataclass(owner) else ():
            if getattr(owner, name) is not None:
                varies = name == "lr" or getattr(
                    owner.__dataclass_fields__[name].metadata.get("check"), "schedules", False
                )
                seen[varies] += 1
                if varies:
                    dataclasses.replace(owner, **{name: dj.InverseSqrt(0.1)})
                    continue
                with pytest.raises(
                    TypeError, match=rf"^{type(owner).__name__}\.{name} is InverseSqrt\(.*does not vary.*; give "
                ):
                    dataclasses.replace(owner, **{name: dj.InverseSqrt(0.1)})
    assert seen[True] > 8 and seen[False] > 12
    with pytest.raises(TypeError, match=r"^FedAvg.server_lr is InverseSqrt"):
        dj.methods.fedavg(lr=0.1, server_lr=dj.InverseSqrt(0.1))


def test_text_is_no_number_in_any_field():
    seen = 0
    for owner in all_members():
        for name in _kinds(type(owner)) if dataclasses.is_dataclass(owner) else ():
            if getattr(owner, name) is not None:
                seen += 1
                with pytest.raises(TypeError, match=rf"^{type(owner).__name__}\.{name} is '0.1' \(str\); give "):
                    dataclasses.replace(owner, **{name: "0.1"})
    assert seen > 30
    for name in ("peak", "length", "end", "warmup"):
        with pytest.raises(TypeError, match=rf"^Cosine\.{name} is '0.1' \(str\); give a "):
            dj.Cosine(**({"peak": 0.1, "length": 9} | {name: "0.1"}))
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


@pytest.mark.parametrize("lr", [[0.1] * zoo.N, (0.1,) * zoo.N])
def test_a_list_of_rates_is_an_array_of_them(lr):
    run = lambda lr: dj.rollout(dj.methods.dsgd(lr=lr), PROBLEM, dj.Network(RING), jax.random.key(0), 2)[0]
    jax.tree.map(np.testing.assert_array_equal, run(lr), run(np.asarray(lr)))
    for wrong, error, text in (
        (lr[1:], ValueError, r"Dsgd.lr has shape \(4,\); give one number, or 5"),
        ([*lr[1:], -1], ValueError, r"Dsgd.lr is -1.0; give a finite number >= 0.*row 4"),
        (["fast"], TypeError, r"Dsgd.lr is \['fast'\]; give a number, or an array of them"),
    ):
        with pytest.raises(error, match=text):
            run(wrong)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: c.copies(c.top_k, gamma=0.3), "Copies.compressor is TopK, which was not called.*dejax.compression.top_k"),
        (lambda: c.direct(c.direct), "Direct.compressor is Direct, which was not called"),
        (lambda: c.error_feedback(c.direct(c.top_k(k=2)), gamma=0.3), r"ErrorFeedback.compressor is .*a codec.*inside it: TopK\(k=2"),
        (lambda: dj.methods.choco(lr=0.1, gamma=0.3, compressor=c.qsgd), "Choco.compressor is .*was not called"),
        (lambda: dj.methods.choco(lr=0.1, gamma=0.3, compressor="top_k"), r"Choco.compressor is 'top_k' \(str\), which is no compressor"),
        (lambda: dj.methods.dobga(lr=0.1, prox=dj.proximal.box), "Dobga.prox is Box, which was not called"),
        (lambda: dj.methods.mono_dmfw(lr=0.1, prox="box"), r"MonoDmfw.prox is 'box' \(str\), which is no proximal operator"),
        (lambda: dj.methods.dsgd(optimizer=optax.adam), "Dsgd.optimizer is adam, which was not called.*dejax.optimizer"),
        (lambda: dj.methods.dsgd(optimizer=optax.adam(1e-3)), "Dsgd.optimizer is a finished optax optimizer"),
        (lambda: dj.methods.local_sgd(optimizer="adam", local_steps=2), r"LocalSgd.optimizer is 'adam' \(str\), which is no optimizer"),
        (lambda: dj.Problem(PROBLEM.task, PROBLEM.data, personal_optimizer=optax.sgd), "Problem.personal_optimizer is sgd, which was not called"),
        (lambda: dj.data.letters.partition(dj.data.iid(), nodes=2), r"letters is a function.*letters\(...\).partition"),
        (lambda: dj.data.digits().partition(dj.data.dirichlet_by_class, nodes=2), r"dirichlet_by_class, which was not called; give dirichlet_by_class\("),
        (lambda: dj.Problem(dj.tasks.mlp(16, 26), dj.data.letters), "Problem.data is letters, which was not called"),
        (lambda: dj.Problem(PROBLEM.task, PROBLEM.data, batch_size=True), r"Problem.batch_size is True \(bool\); give a whole number"),
        (lambda: dj.Cosine(dj.InverseSqrt(0.1), 9), r"Cosine.peak is InverseSqrt\(.*, a schedule or function.*give a finite number > 0"),
        (lambda: dj.Cosine(0.1, 9, warmup=lambda t: t), "Cosine.warmup is a lambda, a schedule or function"),
        (lambda: dj.InverseSqrt(dj.Cosine(0.1, 9)), r"InverseSqrt.peak is Cosine\("),
        (lambda: dj.InverseSqrt(0.1, offset=dj.Cosine(1.0, 9)), r"InverseSqrt.offset is Cosine\("),
    ],
)  # fmt: skip
def test_what_was_not_called_or_is_of_another_kind_is_refused_inside_other_objects_too(make, text):
    with pytest.raises((TypeError, ValueError), match="^(partitioner is )?" + text):
        make()


def simulate(**more):
    return dj.simulate(METHOD, PROBLEM, dj.Network(RING), 1, progress=False, **more)


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (lambda: simulate(nodes=9), "nodes is 9, but there are 5 nodes; give 1 to 5, or None"),
        (lambda: simulate(final_nodes=100), "final_nodes is 100, but there are 5 nodes"),
        (lambda: simulate(callbacks=[print, 3]), r"callbacks is \[.*3\]; give functions"),
        (lambda: simulate(callbacks=3), "callbacks is 3; give functions"),
        (lambda: simulate(metrics=3), "metrics is 3; give names or functions"),
        (lambda: dj.compare([(METHOD, PROBLEM, RING)], 1), "runs is a list; give a dict {label"),
        (lambda: dj.compare({"a": (METHOD, PROBLEM)}, 1), r"runs\['a'\] is a tuple of 2; give \(method, problem, network\)"),
    ],
)  # fmt: skip
def test_what_a_driver_is_given_is_refused_before_it_compiles(run, text):
    with pytest.raises((TypeError, ValueError), match="^" + text):
        run()


def test_one_callback_and_one_metric_need_no_list():
    seen = []
    history = simulate(callbacks=seen.append, metrics="consensus")
    assert seen == history.records
    assert "consensus" in history.names
    assert "objective" not in history.names


def test_meters_say_what_they_counted():
    meters = dj.rollout(METHOD, PROBLEM, dj.Network(RING), jax.random.key(0), 3)[1]
    assert repr(meters).startswith("Meters of 3 rounds: ")
    assert "gradients 15" in repr(meters)
    assert "bits" in repr(meters)
    assert "Meters of" in repr(jax.eval_shape(lambda m: m, meters))


def test_arguments_of_an_optimizer_may_stand_in_their_order():
    assert dj.optimizer(optax.adam, 1e-2, b2=0.99) == dj.optimizer(optax.adam, learning_rate=1e-2, b2=0.99)
    assert dj.optimizer(optax.sgd, 0.1, 0.9, True).structure == (("nesterov", True),)
    for given, text in (((0.1, *[0.9] * 20), "too many"), ((), "learning_rate")):
        with pytest.raises(TypeError, match=rf"optimizer\(adam, ...\).*{text}"):
            dj.optimizer(optax.adam, *given)
    with pytest.raises(TypeError, match=r"optimizer\(adam, ...\).*multiple values.*learning_rate"):
        dj.optimizer(optax.adam, 0.1, learning_rate=0.1)
    with pytest.raises(TypeError, match="learning_rate is '0.1'"):
        dj.optimizer(optax.adam, "0.1")
    for factory, given in ((optax.chain, (optax.scale(1.0),)), (lambda lr, /: optax.sgd(lr), (0.1,))):
        with pytest.raises(TypeError, match="no names to keep them by; give them by name"):
            dj.optimizer(factory, *given)


HUGE = 10**400
SHOWN = "is a whole number of about 401 digits"


@pytest.mark.parametrize(
    "make",
    [
        lambda: dj.methods.dsgd(lr=HUGE),
        lambda: dj.methods.local_sgd(lr=0.1, local_steps=HUGE),
        lambda: dj.methods.choco(lr=0.1, gamma=HUGE, compressor=c.top_k(k=1)),
        lambda: dj.topology.ring(HUGE),
        lambda: dj.topology.erdos_renyi(8, seed=HUGE),
        lambda: dj.attacks.sign_flip(adversaries=1, seed=HUGE),
        lambda: dj.attacks.sign_flip(adversaries=1, strength=HUGE),
        lambda: dj.privacy.gaussian_message(clip=HUGE, noise_multiplier=1.0),
        lambda: dj.faults.delay(phases=HUGE),
        lambda: dj.faults.link_loss(p=HUGE),
        lambda: dj.data.dirichlet(alpha=HUGE),
        lambda: dj.data.letters().partition(dj.data.iid(), nodes=8, seed=HUGE),
        lambda: dj.data.synthetic.quadratics(4, 2, seed=HUGE),
        lambda: dj.Cosine(peak=HUGE, length=10),
        lambda: dj.InverseSqrt(peak=HUGE),
        lambda: dj.compression.top_k(k=HUGE),
        lambda: dj.compression.top_k(ratio=HUGE),
        lambda: dj.tasks.mlp(hidden=[HUGE]),
    ],
)
def test_numbers_that_nothing_can_hold_are_refused_in_words(make):
    with pytest.raises(dj.FieldError) as found:
        make()
    assert len(str(found.value)) < 300 and "digits" in str(found.value), str(found.value)


@pytest.mark.parametrize("wrong", [["0.5", 1], [True, 1.0], [1, None], "12", {"a": 1}, np.array([True, False])])
def test_lists_of_numbers_hold_numbers(wrong):
    for make in (lambda v: dj.events.poisson(rate=v), lambda v: dj.topology.data_size(sizes=v)):
        with pytest.raises(dj.FieldError, match=r"(rate|sizes) (is|holds) "):
            make(wrong)
    assert dj.topology.data_size(sizes=np.float32([1, 2])).sizes == (1.0, 2.0)


@pytest.mark.parametrize("seed", [None, -1, 2**32, 0.5, True, "3"])
def test_every_seed_is_a_whole_number_of_32_bits(seed):
    letters = dj.data.letters()
    for make in (
        lambda: letters.partition(dj.data.iid(), nodes=8, seed=seed),
        lambda: dj.topology.erdos_renyi(8, seed=seed),
        lambda: dj.topology.barabasi_albert(8, seed=seed),
        lambda: dj.topology.random_digraph(8, seed=seed),
        lambda: dj.attacks.sign_flip(adversaries=1, seed=seed),
        lambda: dj.events.poisson(seed=seed),
        lambda: dj.data.synthetic.quadratics(4, 2, seed=seed),
        lambda: dj.data.synthetic.logistic(4, 2, 8, seed=seed),
    ):
        with pytest.raises(dj.FieldError, match=r"seed is .*; give a whole number from 0 to 4294967295"):
            make()


def test_a_delay_is_bounded_with_its_reason():
    assert dj.faults.delay(phases=1000).span == (1000, 1000)
    for phases in (1001, 10**6, (0, 10**6)):
        with pytest.raises(dj.FieldError, match=r"phases is .*keeps its messages of as many phases; give .* 0 to 1000"):
            dj.faults.delay(phases=phases)
