"""Every number of every option and method reaches what is learned: read off the program of a round, of which nothing is compiled.

Methods act through the verbs of a round and options through their hooks, so a pair can only fail by a path that is not there: a verb
that asks no option, a method that drops what a verb gave it. Both are visible in the traced program. That the numbers are right is
for tests of each option and each method alone, and for the pairs of tests/product.
"""

import dataclasses

import jax
import members
import pytest
from dependence import dependencies
from probes import FAMILIES, HOOKS, METHODS, marked

import dejax as dj
from dejax import engine
from dejax.core.method import traits

ROUNDS = 2
UNREAD = {  # numbers of a clock that no message of a channel waits for
    "neighbors": ("server_bandwidth",),
    "edges": ("server_bandwidth",),
    "server": (),
    "none": ("latency", "bandwidth"),  # and with it server_bandwidth
}
OF_GRADIENTS = ("gradient", "exponential", "sigma")  # numbers of a clock that only those who compute read


STRUCTURE = {"delay"}  # says nothing while a round is traced, and has no numbers: tests/product sees that it acts


def accepted(name, **options):
    """Whether the method can be carried by a network with these options."""
    try:
        engine.prepare(members.methods()[name], members.problem(), members.network(name, **options), ROUNDS)
    except (dj.RefusedError, ValueError):
        return False
    return True


def groups(name):
    """The options that the method takes, as few networks as their kinds allow: one program shows them all."""
    options = members.options()
    waiting = [option for option in options if option not in STRUCTURE and accepted(name, **options[option])]
    while waiting:
        together, taken = {}, []
        for option in waiting:
            more = together | options[option]
            if not (together.keys() & options[option].keys()) and (not taken or accepted(name, **more)):
                together, taken = more, [*taken, option]
        yield taken, together
        waiting = [option for option in waiting if option not in taken]


def program(method, network_of, numbers):
    """(of the final models, of the seconds): the leaves of (method, numbers) that they depend on, as sets of paths."""

    def run(method, numbers):
        state, meters = dj.rollout(method, members.problem(), network_of(numbers), jax.random.key(0), ROUNDS)
        kept = () if traits(method).averages else state  # what a method learns that sends no models
        return (engine.model(method, state), engine.views(method, state), kept), meters.seconds

    found, _ = dependencies(run, method, numbers)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path((method, numbers))]
    names = lambda out: {p for i, p in enumerate(paths) if any(bits >> i & 1 for bits in jax.tree.leaves(out))}
    return *map(names, found), set(paths)


def by_day(name):
    """In the quick suite, in CI, or at night."""
    return (
        () if name in ("dsgd_awc", "ifca") else pytest.mark.slow if name in METHODS + FAMILIES else pytest.mark.nightly
    )


NO_HIDDEN = {"heterofl": {"[0].width"}}  # the problem's model has no hidden units to share
ON_TIME = ("dbw", "plexus")  # which wait for those who are first


@pytest.mark.filterwarnings("ignore:.* beside network.rule")
@pytest.mark.parametrize("name", [pytest.param(name, marks=by_day(name)) for name in members.methods()])
def test_every_number_of_method_and_options_reaches_the_models(name):
    method, seen = members.methods()[name], 0
    for taken, options in groups(name):
        given = marked(options)
        fixed = {kind: value for kind, value in given.items() if kind not in HOOKS}
        numbers = {kind: value for kind, value in given.items() if kind not in fixed}
        network_of = lambda numbers, fixed=fixed: members.network(name, **numbers, **fixed)
        models, seconds, paths = program(method, network_of, numbers)
        of_clock = {path for path in paths if "['clock']" in path}
        if (
            traits(method).channel != "neighbors" or traits(method).pulls
        ):  # gamma is the step of gossip, which these do not have
            paths -= {"[1]['codec'].gamma"}
        paths -= NO_HIDDEN.get(name, set())
        assert paths - of_clock <= models, f"{name} ignores {sorted(paths - of_clock - models)} of {taken}"
        unread = UNREAD["server" if traits(method).served else traits(method).channel]
        unread += () if traits(method).learns else OF_GRADIENTS
        silent = {path for path in of_clock if path.endswith(unread)}
        assert of_clock - seconds == silent, f"the clock of {name} ignores {sorted(of_clock - seconds - silent)}"
        if name in ON_TIME:
            assert not of_clock or "[1]['clock'].gradient" in models, f"{name} waits for whoever is last"
        else:
            assert not of_clock & models, f"virtual time moves the models of {name}: {sorted(of_clock & models)}"
        seen += len(taken)
    assert seen >= 2


def test_a_method_that_bypasses_the_options_is_caught():
    @dj.struct
    class Deaf:
        """Gossip whose result it throws away."""

        lr: float

        def init(self, params, key):
            return dj.methods.dsgd(lr=self.lr).init(params, key)

        def step(self, state, round):
            mixed = round.gossip(state.params)
            models = jax.tree.map(lambda x, y: x + 0 * y.shape[0], state.params, mixed)
            grads = round.gradient(models)
            moved = jax.tree.map(lambda x, g: x - self.lr * g, models, grads)
            return (
                dataclasses.replace(state, params=moved)
                if dataclasses.is_dataclass(state)
                else state._replace(params=moved)
            )

    numbers = marked({"rule": dj.aggregation.trimmed_mean(f=1), "attack": dj.attacks.label_flip(1, 10)})
    models, _, paths = program(Deaf(lr=0.1), lambda numbers: members.network("dsgd_atc", **numbers), numbers)
    assert paths - models == {"[1]['rule'].f", "[1]['rule'].mark"}
