"""Every method with another learning rule and with a source of experience: it takes them, or says why it cannot."""

import dataclasses

import jax
import members
import pytest
import settings
from probes import METHODS

import dejax as dj
from dejax import engine
from dejax.core.method import traits

GRAPHS = {"neighbors": "ring", "edges": "tree", "server": "server", "none": "server"}
LAZY = dj.topology.ring(settings.N, weights=dj.topology.lazy())  # of a method that needs eigenvalues above some bound
OWN_LOSS = "ForwardForward has losses of its own and would not see it; use another method or rule"
LAYERS = "are no chain of dense layers, whose hidden units would be known; give groups"
PUBLIC = "the problem's data have no public rows; set rows aside"
REFUSED = {  # (method, lesson) -> part of the reason; all other pairs trace
    ("savic_oasis", "forward_forward"): OWN_LOSS,
    ("ma_dsbo", "forward_forward"): OWN_LOSS,
    ("fedmd", "forward_forward"): OWN_LOSS,
    ("ma_dsbo", "walk"): "which is none of the leaves actor/bias.*; give the paths of some of them",
    ("dimat", "walk"): LAYERS,
    ("weight_matching", "walk"): LAYERS,
    ("fed_go_ucb", "walk"): r"the method needs a task with answer\(params, batch\), and GridWalk.* has none",
    ("gt_saga", "walk"): "which has no list of samples; leave .* out",
    ("fedmd", "walk"): PUBLIC,
    ("one_nn", "walk"): PUBLIC,
}


def by_day(name):
    """In CI where the method stands for its like, else at night."""
    marks = () if name == METHODS[0] else pytest.mark.slow if name in METHODS else pytest.mark.nightly
    return pytest.param(name, marks=marks)


def begin(name, lesson):
    """Trace the first round: what it carries, in shapes."""
    method = members.methods()[name]
    said = traits(method)
    graph = "events" if said.needs_events else GRAPHS[said.channel]
    network = (
        settings.network(graph, ("clock",) if said.needs_clock else ()) if said.spectrum is None else dj.Network(LAZY)
    )
    if said.needs_events == "apart":
        network = dataclasses.replace(network, events=dj.events.decoupled(width=2))
    parts = engine.prepare(method, settings.problem(lesson), network, 2)
    return jax.eval_shape(lambda key: engine.start(*parts, key), jax.random.key(0))


@pytest.mark.parametrize("name", [by_day(name) for name in members.methods()])
def test_a_method_takes_a_lesson_or_says_why_it_cannot(name):
    for lesson in settings.LESSONS:
        why = REFUSED.get((name, lesson))
        if why is None:
            begin(name, lesson)
            continue
        with pytest.raises((ValueError, TypeError), match=why) as caught:
            begin(name, lesson)
        assert len(str(caught.value).split("\n")[0]) > 60, "a refusal gives its reason and a way out"


def test_reasons_are_of_methods_and_lessons_that_exist():
    names, lessons = zip(*REFUSED, strict=True)
    assert set(names) <= set(members.methods()) and set(lessons) <= set(settings.LESSONS)
