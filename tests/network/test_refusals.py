"""Each refusal on a case that it is for, and a neighbor of that case which passes; a user's own method and option among them."""

import dataclasses
from types import SimpleNamespace as Some

import jax
import members
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.core.method import Traits
from dejax.network.case import Case
from dejax.network.compatibility import table, verdict
from dejax.network.refusals import REFUSALS
from dejax.problem.roles import Rules

N = members.N
t, c, f = dj.topology, dj.compression, dj.faults
RING, TREE, DIRECTED, CHANGING = t.ring(N), t.chain(N), t.directed_ring(N), t.random_matching(N)
LINKS = [(i, (i + 1) % N) for i in range(N)] + [(0, 2)]
ROW = t.from_edges(LINKS, n=N, directed=True, weights=t.uniform_neighbour())
COLUMN = t.from_edges(LINKS, n=N, directed=True, weights=t.push_sum())
LOSSY, COPIES = c.direct(c.top_k(k=2), gamma=0.5), c.copies(c.top_k(k=2), gamma=0.2)
MEDIAN, NNA = dj.aggregation.coordinate_median(), dj.aggregation.nna(f=1)
ALIE, FLIP = dj.attacks.alie(adversaries=(1,), z=1.0), dj.attacks.sign_flip(adversaries=(1,))
NOISE, CLIP = (
    make(clip=1.0, noise_multiplier=0.1) for make in (dj.privacy.gaussian_message, dj.privacy.gaussian_gradient)
)
USERS = dj.privacy.user_level(clip=1.0, noise_multiplier=0.1)
SHARES = dataclasses.replace(USERS, noise="shares")
PLAN = dj.events.poisson()
NEIGHBORS, EDGES = Traits(), Traits(channel="edges")
SINGLE = Traits(per_example=True)
SEMI = Traits(server=3)
APART = Traits(footprint="pair", needs_events="apart")
PAIR, HEARD = Traits(footprint="pair"), Traits(footprint="neighbors")
ANSWERS = Traits(averages=False)
UPDATES = dj.events.updates(age=1)
UPDATED = Traits(channel="server", one_update=True)
SERVER, NOBODY = Traits(channel="server"), Traits(channel="none")
BASE = members.problem()
CELLS = dj.data.cells(size=3).partition(dj.data.iid(), nodes=N, seed=0)
WALK = dj.Problem(dj.tasks.grid_walk(size=3), CELLS, source=dj.experience.acting(steps=4))
PERSONAL = dataclasses.replace(BASE, roles={"layer0/bias": "personal"}, personal_lr=0.1)


def per_batch():
    task = dj.tasks.from_functions(lambda key: {"w": jax.numpy.zeros(3)}, lambda p, batch, key: p["w"].sum())
    return dataclasses.replace(BASE, task=task)


def no_mean():
    return dataclasses.replace(BASE, task=Unaveraged())


def two_models(**more):
    """Nodes of two architectures."""
    tasks = {"small": dj.tasks.mlp(64, 10), "large": dj.tasks.mlp(64, 4, 10)}
    return dataclasses.replace(BASE, task=dj.tasks.architectures(tasks, nodes={"small": 2, "large": N - 2}), **more)


def statistics(**more):
    """What a problem with running statistics looks like to refusals."""
    facts = {
        "task": None,
        "n": N,
        "starts": "equal",
        "experience": Some(even=True),
        "rules": Rules((("norm", "statistics"),), ()),
    } | more
    return Some(**facts)


class Unaveraged:
    """A task whose models have no mean."""

    averageable = False

    def init(self, key):
        return {"w": jax.numpy.zeros(3)}

    def loss(self, params, batch, key):
        return params["w"].sum() * jax.numpy.ones(1)


class Mute(dj.Rule):
    """A rule of a user's own that does not say what it leaves out."""

    def combine(self, ctx, received):
        return received.own

    def check(self, degree, server=False):
        pass


LATE, MUTE = f.delay(phases=1), Mute()
COLUMNS = Traits(weights=("column",))
COMES, ASKS = f.joins(at=1, nodes=(0,)), f.joins(at=1, nodes=(0,), start="neighbors")


CHOOSING = Traits(channel="server", raw_losses=True)


@dj.struct
class Ageless(dj.Fault):
    """A fault of a user's own that does not say how late each message is."""

    span = (1, 2)


@dj.struct
class Heavy(dj.LearningRule):
    """A learning rule with memory: heavy ball."""

    def init(self, params, key):
        return params

    def direction(self, task, params, batch, key, memory):
        raise NotImplementedError


@dj.struct
class Whole(dj.LearningRule):
    """A learning rule of whole batches."""

    per_example = False

    def direction(self, task, params, batch, key, memory):
        raise NotImplementedError


@dj.struct
class Ends(Heavy):
    """One that moves models by its memory when a step ends."""

    def finish(self, params, memory, key):
        raise NotImplementedError


class Noised(dj.Privacy):
    """A mechanism of a user's own that noises the direction of a whole batch."""

    hook = "gradient"


@dj.struct
class Stream(dj.Experience):
    """A source of a user's own."""

    acts = False

    def init(self, key, n):
        return ()

    def collect(self, task, params, memory, round):
        raise NotImplementedError


def pair(name, refused, passes):
    return pytest.param(name, refused, passes, id=name)


net = dj.Network
CASES = [  # name, (traits, network[, problem]) that is refused, one that passes
    pair("one model of several architectures", (NEIGHBORS, net(RING), two_models()), (ANSWERS, net(RING), two_models())),
    pair("architectures at a server", (Traits(channel="server", averages=False), net(), two_models()), (ANSWERS, net(RING), two_models())),
    pair("architectures in events", (Traits(averages=False, footprint="pair"), net(RING, events=PLAN), two_models()), (NOBODY, net(), two_models())),
    pair("roles of several architectures", (NOBODY, net(), two_models(roles={"small/layer0/bias": "frozen"})), (NOBODY, net(), dataclasses.replace(BASE, roles={"layer0/bias": "frozen"}))),
    pair("impossible adversaries", (NEIGHBORS, net(RING, attack=dj.attacks.sign_flip(adversaries=(N,)))), (NEIGHBORS, net(RING, attack=FLIP))),
    pair("server under gossip", (NEIGHBORS, net(RING, server="star")), (SERVER, net(RING, server="star"))),
    pair("no topology", (NEIGHBORS, net()), (NEIGHBORS, net(RING))),
    pair("topology not built", (NEIGHBORS, net(t.ring())), (NEIGHBORS, net(t.ring().build(N)))),
    pair("topology of another size", (NEIGHBORS, net(t.ring(N + 1))), (NEIGHBORS, net(RING))),
    pair("weights of another kind", (NEIGHBORS, net(ROW)), (Traits(weights=("row",)), net(ROW))),
    pair("weights that are not symmetric", (Traits(symmetric=True), net(DIRECTED)), (Traits(symmetric=True), net(CHANGING))),
    pair("two last iterates on a graph that changes", (Traits(symmetric=True, spectrum=-1 / 3), net(CHANGING)), (Traits(symmetric=True, spectrum=-1.0), net(CHANGING))),
    pair("eigenvalues of W too low", (Traits(spectrum=-1 / 3), net(RING)), (Traits(spectrum=-1 / 3), net(t.ring(N, weights=t.lazy())))),
    pair("rule in events", (PAIR, net(RING, events=PLAN, rule=MEDIAN)), (PAIR, net(RING, rule=MEDIAN))),
    pair("sums needed", (Traits(needs_sums="mass must be kept"), net(RING, rule=MEDIAN)), (NEIGHBORS, net(RING, rule=MEDIAN))),
    pair("copies on a graph that changes", (NEIGHBORS, net(CHANGING, codec=COPIES)), (NEIGHBORS, net(CHANGING, codec=LOSSY))),
    pair("losses on a directed doubly stochastic graph", (NEIGHBORS, net(DIRECTED, faults=f.churn(p=0.1))), (NEIGHBORS, net(DIRECTED, faults=f.churn(p=0.1), repair="row"))),
    pair("one-sided losses", (NEIGHBORS, net(RING, faults=f.directed_link_loss(p=0.1))), (NEIGHBORS, net(RING, faults=f.link_loss(p=0.1)))),
    pair("rows per edge on a graph without reverse edges", (EDGES, net(DIRECTED)), (EDGES, net(RING))),
    pair("rows per edge without edges", (EDGES, net(t.isolated(N))), (NEIGHBORS, net(t.isolated(N)))),
    pair("rule on rows per edge", (EDGES, net(RING, rule=MEDIAN)), (NEIGHBORS, net(RING, rule=MEDIAN))),
    pair("attack in the spread of rows per edge", (EDGES, net(RING, attack=ALIE)), (EDGES, net(RING, attack=FLIP))),
    pair("copies per edge of values heard", (HEARD, net(RING, codec=c.copies(c.top_k(k=2), gamma=0.2, per_edge=True))), (HEARD, net(RING, codec=COPIES))),
    pair("cycles", (Traits(graph="tree"), net(RING)), (Traits(graph="tree"), net(TREE))),
    pair("events without a footprint", (NEIGHBORS, net(RING, events=PLAN)), (PAIR, net(RING, events=PLAN))),
    pair("gradients and meetings in one event", (APART, net(RING, events=PLAN)), (APART, net(RING, events=dj.events.decoupled()))),
    pair("events of another footprint", (PAIR, net(RING, events=UPDATES)), (HEARD, net(RING, events=UPDATES))),
    pair("a server in events", (Traits(server="all", footprint="pair"), net(RING, events=PLAN)), (PAIR, net(RING, events=PLAN))),
    pair("events on a directed or changing graph", (PAIR, net(DIRECTED, events=PLAN)), (PAIR, net(TREE, events=PLAN))),
    pair("rows per edge in events", (Traits(channel="edges", footprint="pair"), net(RING, events=PLAN)), (PAIR, net(RING, events=PLAN))),
    pair("clock beside events", (PAIR, net(RING, events=PLAN, clock=f.clock())), (PAIR, net(RING, clock=f.clock()))),
    pair("copies in events", (PAIR, net(RING, events=PLAN, codec=COPIES)), (PAIR, net(RING, events=PLAN, codec=LOSSY))),
    pair("attack in the spread of an event", (PAIR, net(RING, events=PLAN, attack=ALIE)), (PAIR, net(RING, events=PLAN, attack=FLIP))),
    pair("sleepers beside events", (PAIR, net(RING, events=PLAN, faults=f.churn(p=0.1))), (PAIR, net(RING, events=PLAN, faults=f.link_loss(p=0.1)))),
    pair("newcomers without neighbors", (SERVER, net(faults=ASKS)), (SERVER, net(faults=COMES))),
    pair("newcomers under a robust rule", (NEIGHBORS, net(RING, rule=MEDIAN, faults=ASKS)), (NEIGHBORS, net(RING, rule=MEDIAN, faults=COMES))),
    pair("newcomers of noised models", (NEIGHBORS, net(RING, privacy=NOISE, faults=ASKS)), (NEIGHBORS, net(RING, privacy=CLIP, faults=ASKS))),
    pair("newcomers beside late messages", (NEIGHBORS, net(RING, faults=(LATE, ASKS))), (NEIGHBORS, net(RING, faults=(LATE, COMES)))),
    pair("unused topology", (SERVER, net(RING)), (SERVER, net(t.isolated()))),
    pair("no messages to change", (NOBODY, net(faults=f.churn(p=0.1))), (NOBODY, net(clock=f.clock()))),
    pair("distances at a server", (SERVER, net(rule=NNA)), (SERVER, net(rule=MEDIAN))),
    pair("groups in one sum", (Traits(channel="server", groups=True), net(server="shards")), (Traits(channel="server", groups=True), net(server="star"))),
    pair("partial sums alone", (SERVER, net(server="all_reduce", faults=f.link_loss(p=0.1))), (SERVER, net(server="all_reduce", faults=f.churn(p=0.1)))),
    pair("equal starts", (Traits(own_starts=True), net(RING), dataclasses.replace(BASE, starts="equal")), (Traits(own_starts=True), net(RING))),
    pair("no events", (Traits(footprint="pair", needs_events=True), net(RING)), (Traits(footprint="pair", needs_events=True), net(RING, events=PLAN))),
    pair("no clock", (Traits(channel="server", needs_clock=True), net()), (Traits(channel="server", needs_clock=True), net(clock=f.clock()))),
    pair("events without gossip", (SERVER, net(events=PLAN)), (SERVER, net())),
    pair("second codec", (Traits(own_codec="compressor"), net(RING, codec=LOSSY)), (Traits(own_codec="compressor"), net(RING, codec=c.direct(c.identity())))),
    pair("messages must be exact: codec", (Traits(needs_exact="mass"), net(RING, codec=LOSSY)), (NEIGHBORS, net(RING, codec=LOSSY))),
    pair("no messages to noise", (NOBODY, net(privacy=NOISE)), (NOBODY, net(privacy=CLIP))),
    pair("choice by raw losses", (CHOOSING, net(privacy=CLIP)), (CHOOSING, net())),
    pair("no gradients to noise", (Traits(learns=False), net(RING, privacy=CLIP)), (NEIGHBORS, net(RING, privacy=CLIP))),
    pair("no samples to attack", (Traits(learns=False), net(RING, attack=dj.attacks.label_flip(adversaries=1, num_classes=10))), (Traits(learns=False), net(RING, attack=FLIP))),
    pair("messages must be exact: privacy", (Traits(needs_exact="mass"), net(RING, privacy=NOISE)), (Traits(needs_exact="mass"), net(RING, privacy=CLIP))),
    pair("no change of a model to clip", (SERVER, net(privacy=USERS)), (UPDATED, net(privacy=USERS))),
    pair("rules beside clipped sums", (UPDATED, net(privacy=USERS, rule=MEDIAN)), (UPDATED, net(privacy=USERS))),
    pair("codecs after shares of noise", (UPDATED, net(privacy=SHARES, codec=LOSSY)), (UPDATED, net(privacy=USERS, codec=LOSSY))),
    pair("no messages to rewrite", (NOBODY, net(attack=FLIP)), (NOBODY, net(attack=dj.attacks.label_flip(adversaries=1, num_classes=10)))),
    pair("messages must be exact: attack", (Traits(needs_exact="mass"), net(RING, attack=FLIP)), (Traits(needs_exact="mass"), net(RING, attack=dj.attacks.sign_flip(adversaries=0)))),
    pair("models without a mean", (NEIGHBORS, net(RING), no_mean()), (Traits(averages=False), net(RING), no_mean())),
    pair("more than sums", (Traits(channel="server", gathers=True), net(server="shards")), (SERVER, net(server="shards"))),
    pair("rule beside single uploads", (Traits(channel="server", gathers=True), net(rule=MEDIAN)), (SERVER, net(rule=MEDIAN))),
    pair("late single uploads of a cohort", (Traits(channel="server", gathers=True, cohort=3), net(faults=LATE)), (Traits(channel="server", gathers=True), net(faults=LATE))),
    pair("rule over parts", (Traits(masks=True), net(RING, rule=NNA)), (Traits(masks=True), net(RING, rule=MEDIAN))),
    pair("compressed parts", (Traits(masks=True), net(RING, codec=c.copies(c.top_k(k=2), gamma=0.2, per_edge=True))), (Traits(masks=True), net(RING, codec=COPIES))),
    pair("copies of chosen neighbors", (Traits(pulls=True), net(RING, codec=COPIES)), (Traits(pulls=True), net(RING, codec=LOSSY))),
    pair("late from chosen neighbors", (Traits(pulls=True), net(RING, faults=LATE)), (NEIGHBORS, net(RING, faults=LATE))),
    pair("late twice", (NEIGHBORS, net(RING, faults=(LATE, f.delay(phases=2)))), (NEIGHBORS, net(RING, faults=(LATE, f.delay(phases=0))))),
    pair("late without ages", (NEIGHBORS, net(RING, faults=Ageless())), (NEIGHBORS, net(RING, faults=f.delay(phases=(1, 2))))),
    pair("late beside events", (PAIR, net(RING, events=PLAN, faults=LATE)), (PAIR, net(RING, faults=LATE))),
    pair("late beside a clock", (NEIGHBORS, net(RING, clock=f.clock(), faults=LATE)), (NEIGHBORS, net(RING, faults=LATE))),
    pair("late partial sums", (SERVER, net(server="all_reduce", faults=LATE)), (SERVER, net(server="star", faults=LATE))),
    pair("late at a server now and then", (SEMI, net(RING, faults=LATE)), (NEIGHBORS, net(RING, faults=LATE))),
    pair("late on a graph that changes", (NEIGHBORS, net(CHANGING, faults=LATE)), (NEIGHBORS, net(RING, faults=LATE))),
    pair("late answers", (Traits(channel="edges", asks=True), net(RING, faults=LATE)), (EDGES, net(RING, faults=LATE))),
    pair("losses under way", (COLUMNS, net(COLUMN, faults=(LATE, f.link_loss(p=0.1)))), (COLUMNS, net(COLUMN, faults=LATE))),
    pair("attack in the spread of several ages", (NEIGHBORS, net(RING, attack=ALIE, faults=f.delay(phases=(0, 2)))), (NEIGHBORS, net(RING, attack=ALIE, faults=LATE))),
    pair("no messages to audit", (NOBODY, net(audit=True)), (NEIGHBORS, net(RING, audit=True))),
    pair("a rule that does not say what it rejects", (NEIGHBORS, net(RING, rule=MUTE, audit=True)), (NEIGHBORS, net(RING, rule=MEDIAN, audit=True))),
    pair("one loss per batch", (NEIGHBORS, net(RING, privacy=CLIP), per_batch()), (NEIGHBORS, net(RING, privacy=CLIP))),
    pair("roles in several models", (Traits(channel="server", groups=True), net(), PERSONAL), (SERVER, net(), PERSONAL)),
    pair("personal leaves of one model", (Traits(channel="none", pooled=True), net(), PERSONAL), (NOBODY, net(), PERSONAL)),
    pair("batch statistics", (SERVER, net(privacy=NOISE), statistics()), (NEIGHBORS, net(RING, privacy=NOISE), statistics())),
    pair("experience clipped per example", (NEIGHBORS, net(RING, privacy=CLIP), WALK), (NEIGHBORS, net(RING, privacy=NOISE), WALK)),
    pair("a learning rule with memory", (NEIGHBORS, net(RING, privacy=CLIP), dataclasses.replace(BASE, rule=Heavy())), (NEIGHBORS, net(RING, privacy=NOISE), dataclasses.replace(BASE, rule=Heavy()))),
    pair("memory that reaches models past the noise", (NEIGHBORS, net(RING, privacy=Noised()), dataclasses.replace(BASE, rule=Ends())), (NEIGHBORS, net(RING, privacy=Noised()), dataclasses.replace(BASE, rule=Heavy()))),
    pair("a learning rule of whole batches", (NEIGHBORS, net(RING, privacy=CLIP), dataclasses.replace(BASE, rule=Whole())), (NEIGHBORS, net(RING, privacy=NOISE), dataclasses.replace(BASE, rule=Whole()))),
    pair("gradients of single samples", (SINGLE, net(RING, privacy=CLIP)), (SINGLE, net(RING, privacy=NOISE))),
    pair("too few values for a rule", (NEIGHBORS, net(TREE, rule=dj.aggregation.nna(f=2))), (NEIGHBORS, net(RING, rule=NNA))),
]  # fmt: skip


def judged(traits, network, problem=BASE):
    case = Case(traits, "Mine", network, problem)
    if isinstance(problem, Some):
        vars(case)["roles"] = frozenset({"shared", "statistics"})  # which needs a task to be found
    return verdict(case)


@pytest.mark.parametrize(("name", "refused", "passes"), CASES)
def test_a_refusal_meets_its_case_and_lets_a_neighbor_pass(name, refused, passes):
    found = judged(*refused)
    assert found is not None and found.name == name
    assert judged(*passes) is None


def test_every_refusal_has_its_case_here():
    assert [case.values[0] for case in CASES] == [refusal.name for refusal in REFUSALS]


def test_updates_let_through_what_a_meeting_of_two_does_not():
    for kw in ({"rule": MEDIAN}, {"codec": COPIES}):
        assert judged(HEARD, net(RING, events=UPDATES, **kw)) is None
        assert judged(PAIR, net(RING, events=PLAN, **kw)) is not None
    for kw in ({"attack": ALIE}, {"faults": LATE}, {"faults": f.churn(p=0.1)}, {"clock": f.clock()}):
        assert judged(HEARD, net(RING, events=UPDATES, **kw)) is not None
    assert (
        "an event of Mine has the footprint 'neighbors'; use poisson for pairs, updates for neighbors"
        in judged(HEARD, net(RING, events=PLAN)).text
    )
    assert "Mine keeps rows per edge" in judged(HEARD, net(DIRECTED)).text


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (dataclasses.replace(BASE, batch_size=None, source=Stream()), "batches come from Stream"),
        (dataclasses.replace(BASE, augment=dj.augmentations.mixup(alpha=0.2)), "augment mixes samples"),
        (dataclasses.replace(BASE, rule=Heavy()), "learning rule Heavy"),
        (dataclasses.replace(BASE, rule=Whole()), "learning rule Whole"),
        (PERSONAL, "role personal"),
    ],
)
def test_gradients_of_single_samples_say_what_excludes_them(problem, text):
    found = judged(SINGLE, net(RING), problem)
    assert found.name == "gradients of single samples" and text in found.text
    assert judged(NEIGHBORS, net(RING), problem) is None


@pytest.mark.parametrize(
    ("traits", "network", "more", "text"),
    [
        (Traits(pooled=True), net(RING), {}, "trains one model on the batches of all nodes"),
        (NEIGHBORS, net(RING), {"experience": Some(even=False)}, "shards of different sizes pad their batches"),
        (NEIGHBORS, net(RING, privacy=CLIP), {}, "GaussianGradient clips per example"),
        (SERVER, net(privacy=NOISE), {}, "GaussianMessage would add noise to variances"),
    ],
)
def test_batch_statistics_say_what_excludes_them(traits, network, more, text):
    case = Case(traits, "Mine", network, statistics(**more))
    vars(case).update(roles=frozenset({"shared", "statistics"}), loss_per_batch=False)
    assert text in verdict(case).text


@pytest.mark.parametrize(
    ("kw", "text"),
    [
        ({"rule": MEDIAN}, "rule CoordinateMedian must see single values"),
        ({"codec": LOSSY}, "codec Direct compresses single values"),
        ({"faults": f.link_loss(p=0.1)}, "loses uploads"),
    ],
)
def test_partial_sums_say_what_excludes_them(kw, text):
    assert text in judged(SERVER, net(server="all_reduce", **kw)).text
    assert judged(SERVER, net(server="star", **kw)) is None


@pytest.mark.parametrize(
    ("traits", "kw", "name"),
    [
        (SEMI, {"rule": NNA}, "distances at a server"),
        (Traits(server=2), {"rule": dj.aggregation.trimmed_mean(f=1)}, "too few values for a rule"),
        (SEMI, {"server": "all_reduce", "codec": LOSSY}, "partial sums alone"),
        (Traits(server="all", gathers=True), {"server": "shards"}, "more than sums"),
        (Traits(server="all", groups=True), {"server": "shards"}, "groups in one sum"),
        (Traits(server="all"), {"events": PLAN}, "events without a footprint"),
    ],
)
def test_who_gossips_and_averages_at_a_server_too_meets_the_refusals_of_both(traits, kw, name):
    assert judged(traits, net(RING, **kw)).name == name
    assert (
        judged(dataclasses.replace(traits, server=None), net(RING, **kw | {"server": None})) is None or "events" in kw
    )
    assert judged(SEMI, net(RING, rule=MEDIAN, server="star")) is None


@pytest.mark.parametrize(
    ("bound", "graph", "text"),
    [
        (
            -1 / 3,
            t.ring(6),
            "has an eigenvalue of W of -0.3333, but Mine needs all of them above -0.3333; use lazy weights",
        ),
        (
            -1.0,
            t.chain(6, weights=t.constant(1.0)),
            "has an eigenvalue of W of -2.732, but Mine needs all of them above -1; use lazy",
        ),
        (0.5, t.ring(6, weights=t.lazy()), "has an eigenvalue of W of 0.3333, but Mine needs all of them above 0.5"),
    ],
)
def test_eigenvalues_that_are_too_low_are_said(bound, graph, text):
    assert text in judged(Traits(symmetric=True, spectrum=bound), net(graph)).text


@pytest.mark.parametrize(
    ("method", "graph", "way"),
    [
        (dj.methods.sgp(lr=0.1), ROW, "needs column or doubly; use push_sum weights"),
        (
            dj.methods.extra(lr=0.1),
            t.from_edges(LINKS, n=N, weights=t.push_sum()),
            "needs doubly; use metropolis weights",
        ),
        (dj.methods.extra(lr=0.1), COLUMN, "needs doubly; use sgp on directed graphs"),
        (dj.methods.extra(lr=0.1), ROW, "needs doubly; use metropolis weights on an undirected graph"),
    ],
)
def test_weights_of_another_kind_name_the_way(method, graph, way):
    assert str(verdict(Case.of(method, BASE, net(graph))).error).endswith(way)


def test_two_last_iterates_on_graphs_that_change():
    """The map of x and its last iterate over a period doubles some direction, though each W is fine; half of W does not."""
    graph = t.one_peer_hypercube(8)

    def radius(half):
        over = np.eye(16)
        for phase in range(graph.period):
            w = graph.host(phase).matrix()
            w = (np.eye(8) + w) / 2 if half else w
            over = np.block([[2 * w, -w], [np.eye(8), np.zeros((8, 8))]]) @ over
        return np.abs(np.linalg.eigvals(over)).max()

    assert radius(False) == pytest.approx(2) and radius(True) == pytest.approx(1, abs=1e-6)
    problem, network = zoo.squares(8)[0], net(graph)
    for method in (dj.methods.d2(lr=0.1), dj.methods.led(lr=0.1), dj.methods.proxskip(lr=0.1, mix=0.7)):
        text = verdict(Case.of(method, problem, network)).text
        assert (
            "changes its W from round to round" in text
            and "use exact_diffusion, nids or extra, or a fixed graph" in text
        )
    for method in (dj.methods.extra(lr=0.1), dj.methods.exact_diffusion(lr=0.1), dj.methods.proxskip(lr=0.1)):
        assert verdict(Case.of(method, problem, network)) is None


def test_who_needs_gradients_and_meetings_apart_is_told_where_they_are():
    dadao = dj.methods.dadao(smoothness=1.0, convexity=0.1, chi=1.0)
    assert "e.g. dejax.events.decoupled()" in verdict(Case.of(dadao, BASE, net(RING))).text
    assert "e.g. dejax.events.poisson()" in verdict(Case.of(dj.methods.ad_psgd(lr=0.1), BASE, net(RING))).text
    assert verdict(Case.of(dadao, BASE, net(RING, events=PLAN))).text.endswith("use decoupled")
    drawn = dj.events.decoupled().plan(RING, 4)
    assert verdict(Case.of(dadao, BASE, net(RING, events=drawn))) is None
    assert (
        verdict(Case.of(dadao, BASE, net(RING, events=PLAN.plan(RING, 4)))).name
        == "gradients and meetings in one event"
    )


def test_weights_that_would_do_are_named():
    low = judged(Traits(symmetric=True, spectrum=-1 / 3), net(RING)).error
    assert str(low).endswith("weights=dejax.topology.lazy()")
    assert str(judged(Traits(symmetric=True), net(DIRECTED)).error).endswith(
        "but Mine needs both to be equal; use metropolis or max_degree weights on an undirected graph"
    )


def test_a_change_is_no_tree_either():
    assert "changes its neighbors" in judged(Traits(graph="tree"), net(CHANGING)).text


# ---- a user's own method and options
def run(method, network, problem=None):
    return dj.rollout(method, problem or zoo.squares()[0], network, jax.random.key(0), 1)


def test_a_method_of_ones_own_is_refused_where_one_of_the_library_would_be():
    @dj.struct
    class PushOnly(dj.methods.dsgd):
        traits = dj.Traits(weights=("column",), needs_exact="it counts mass; use dsgd")

    ring = zoo.ring()
    with pytest.raises(
        dj.RefusedError, match="has doubly-stochastic weights, but PushOnly needs column; use push_sum weights"
    ):
        run(PushOnly(lr=0.1), dj.Network(ring))

    @dj.struct
    class Exact(dj.methods.dsgd):
        traits = dj.Traits(needs_exact="it counts mass; use dsgd")

    with pytest.raises(dj.RefusedError, match="codec Direct loses information: it counts mass; use dsgd"):
        run(Exact(lr=0.1), dj.Network(ring, codec=LOSSY))
    run(Exact(lr=0.1), dj.Network(ring))

    @dj.struct
    class Choosy(dj.methods.dsgd):
        symmetric: bool = dj.static(default=True)

        @property
        def traits(self):
            """It depends on a field which W it takes."""
            return dj.Traits(weights=("doubly",) if self.symmetric else ("doubly", "row"))

    rows = t.from_edges(
        [(i, (i + 1) % zoo.N) for i in range(zoo.N)] + [(0, 2)], n=zoo.N, directed=True, weights=t.uniform_neighbour()
    )
    with pytest.raises(dj.RefusedError, match="Choosy needs doubly"):
        run(Choosy(lr=0.1), dj.Network(rows))
    run(Choosy(lr=0.1, symmetric=False), dj.Network(rows))


def test_options_of_ones_own_are_refused_where_those_of_the_library_would_be():
    @dj.struct
    class Closest(dj.Rule):
        needs_own = True

        def check(self, degree, server=False):
            pass

        def combine(self, ctx, received):
            return received.own

    with pytest.raises(dj.RefusedError, match="rule Closest measures distances to the receiver's own value"):
        run(dj.methods.fedavg(lr=0.1), dj.Network(rule=Closest()))
    with pytest.raises(dj.RefusedError, match="rule Closest is not linear, but Sgp needs sums"):
        run(dj.methods.sgp(lr=0.1), dj.Network(zoo.ring(), rule=Closest()))
    run(dj.methods.dsgd(lr=0.1), dj.Network(zoo.ring(), rule=Closest()))

    @dj.struct
    class Cut(dj.Fault):
        symmetric = False

    with pytest.raises(dj.RefusedError, match="faults has Cut, which loses one direction alone"):
        run(dj.methods.dsgd(lr=0.1), dj.Network(zoo.ring(), faults=Cut()))

    @dj.struct
    class Nap(dj.Fault):
        sleeps = True

    with pytest.raises(dj.RefusedError, match="faults has Nap beside network.events"):
        run(dj.methods.ad_psgd(lr=0.1), dj.Network(zoo.ring(), events=PLAN, faults=Nap()))
    run(dj.methods.dsgd(lr=0.1), dj.Network(zoo.ring(), faults=Nap()))

    @dj.struct
    class Blend(dj.Attack):
        needs_spread = True

        def is_adversary(self, n):
            return [True] + [False] * (n - 1)

    with pytest.raises(dj.RefusedError, match="attack Blend hides in the spread"):
        run(dj.methods.relaysgd(lr=0.1), dj.Network(t.chain(zoo.N), attack=Blend()))


def test_a_table_of_ones_own():
    methods = {"mine": dj.methods.dsgd(lr=0.1), "server": dj.methods.fedavg(lr=0.1)}
    found = table(methods, lambda name: {"plain": net(RING if name == "mine" else None), "ring": net(RING)}, BASE)
    assert {pair: verdict and verdict.name for pair, verdict in found.items()} == {
        ("mine", "plain"): None,
        ("mine", "ring"): None,
        ("server", "plain"): None,
        ("server", "ring"): "unused topology",
    }
