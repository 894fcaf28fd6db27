"""Options on probe methods and methods on probe options: each pair acts with its strength, or is refused with a reason.

Methods act through the verbs of a round and options through their hooks, and neither sees the other (tests/static shows both), so a
pair is in order where the method's verbs meet the option and the option's hooks meet a method that calls the same verbs. The full
product runs in `nightly`.
"""

import ast
import pathlib

import jax
import members
import numpy as np
import programs
import pytest
from probes import HOOKS, METHODS, MORE, OPTIONS

import dejax as dj
from dejax import engine
from dejax.core.method import traits

pytestmark = pytest.mark.filterwarnings("ignore:.* beside network.rule", "ignore:.*adversaries")  # notes, not refusals
ROUNDS = 2
PAIRS = [(m, o) for m in members.methods() for o in members.options()]
FEW = {(m, o) for m, o in PAIRS if m == METHODS[0] or o in OPTIONS}
BY_SIGNS = {("fedmd", "alie")}  # the method follows signs of differences: in few rounds sizes do not show
SMALLER = ("direct_top_k", "direct_qsgd", "error_feedback", "copies_rand_k")


def trajectory(name, **options):
    """(final models as one vector, meters) of a few rounds; one program serves all strengths."""
    method, network = members.methods()[name], members.network(name, **options)
    state, meters = programs.run(method, members.problem(), network, ROUNDS, jax.random.key(3))
    kept = () if traits(method).averages else state  # what a method learns that sends no models
    leaves = jax.tree.leaves((engine.model(method, state), engine.views(method, state), kept))
    return np.concatenate([np.asarray(x, np.float64).ravel() for x in leaves]), meters


def by_day(name):
    """The method as a case: in CI where it stands for its like, else at night."""
    return pytest.param(name, marks=pytest.mark.slow if name in METHODS + MORE else pytest.mark.nightly)


@pytest.mark.parametrize("name", [by_day(name) for name in members.methods()])
def test_probed_pairs_act_or_are_refused(name):
    check(name, [option for method, option in PAIRS if method == name and (method, option) in FEW])


@pytest.mark.nightly
@pytest.mark.parametrize("name", members.methods())
def test_all_other_pairs_act_or_are_refused(name):
    check(name, [option for method, option in PAIRS if method == name and (method, option) not in FEW], least=0)


def check(name, options, least=2):
    """Every option changes what the method learns, the more the stronger, or says why it cannot."""
    plain, quiet = trajectory(name)
    full, half = members.options(1.0), members.options(0.5)
    ignored, acted = [], 0
    for option in options:
        try:
            strong, meters = trajectory(name, **full[option])
        except dj.RefusedError as error:
            assert len(str(error)) > 60, f"{name} x {option}: a refusal gives its reason and a way out"
            continue
        acted += 1
        assert np.isfinite(strong).all(), (name, option)
        assert strong.shape == plain.shape
        if option == "clock":
            weak = trajectory(name, **half[option])[1]
            seconds, less = np.asarray(meters.seconds)[-1], np.asarray(weak.seconds)[-1]
            if not (seconds > less > 0) or not (strong == plain).all():
                ignored.append(option)
            continue
        if option == "audit":
            if not any(value.startswith("audit/") for value in meters.values) or not (strong == plain).all():
                ignored.append(option)
            continue
        if (strong == plain).all():
            ignored.append(option)
        elif (
            option not in members.STRENGTHLESS
            and (name, option) not in BY_SIGNS
            and (trajectory(name, **half[option])[0] == strong).all()
        ):
            ignored.append(option + " (its strength)")
        if option in SMALLER:
            assert name == "choco" or meters.bytes() < quiet.bytes(), f"{name} x {option}: messages are not smaller"
    assert not ignored, f"{name} ignores {ignored}"
    assert acted >= least


@pytest.mark.parametrize("name", [METHODS[0], *(pytest.param(name, marks=pytest.mark.nightly) for name in METHODS[1:])])
@pytest.mark.slow
def test_a_compiled_program_agrees_with_the_eager_run(name):
    method = members.methods()[name]
    with jax.disable_jit():
        state, _ = dj.rollout(method, members.problem(), members.network(name), jax.random.key(3), ROUNDS)
    eager = [np.asarray(x, np.float64).ravel() for x in jax.tree.leaves(engine.model(method, state))]
    np.testing.assert_allclose(trajectory(name)[0], np.concatenate(eager), atol=2e-6)


DRAWN_ON_THE_HOST = {"joins", "joins_neighbors", "vanish"}  # who is away is drawn before the run: share is static
NUMBERS_ALONE = sorted(
    o
    for o in members.options().keys() - DRAWN_ON_THE_HOST
    if o in members.STRENGTHLESS | {"clock"} or not {"k", "delay"} & set(o.split("_"))
)


@pytest.mark.slow
def test_one_program_serves_all_strengths_of_an_option():
    for option in NUMBERS_ALONE:  # the others keep another number of entries or levels, which is structure
        before = programs.compiled()
        for strength in (1.0, 0.75):
            method = "fedavg" if option == "user_level" else "dsgd_awc"
            trajectory(method, **members.options(strength)[option])
        more = programs.compiled() - before
        assert more <= 1 + (option in ("direct_qsgd", "error_feedback")), option


# ---- the probes stand for all
def verbs(name):
    """Attributes of rounds that a method's file mentions."""
    from dejax.round import Round

    path = pathlib.Path(__import__(type(members.methods()[name]).__module__, fromlist=["x"]).__file__)
    found = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    return found & {name for name in vars(Round) if not name.startswith("_")} - {"n", "index", "init"}


def test_probe_methods_call_every_verb_that_any_method_calls():
    of_probes = set().union(*map(verbs, METHODS + MORE))
    assert {name: verbs(name) - of_probes for name in members.methods() if verbs(name) - of_probes} == {}


def hooks(option):
    """(kind, hook) of an option, as its class defines them."""
    pairs = (
        (kind, value)
        for kind, given in members.options()[option].items()
        for value in (given if isinstance(given, tuple) else (given,))
    )
    return {(kind, hook) for kind, value in pairs for hook in HOOKS.get(kind, ()) if hasattr(type(value), hook)}


def test_probe_options_have_every_hook_that_any_option_has():
    of_probes = set().union(*map(hooks, OPTIONS))
    assert {name: hooks(name) - of_probes for name in members.options() if hooks(name) - of_probes} == {}
