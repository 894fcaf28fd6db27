"""Late messages against loops with a queue per link, on every wire; what is kept, what is frozen, what is refused."""

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.faults import delay

N = 6
DATA = zoo.Uneven(N)
PROBLEM = DATA.problem
X0 = zoo.starts(N)
SPANS = [2, (0, 3), (1, 2)]
GRAPHS = {
    "ring": lambda: dj.topology.ring(N),
    "complete": lambda: dj.topology.complete(N),
    "star": lambda: dj.topology.star(N),
    "slots": lambda: dj.topology.from_edges([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (0, 3)]),
}


def gradients(x):
    return np.stack([DATA.gradient(i, x[i]) for i in range(len(x))])


def age(fault, receiver, sender, n=N):
    """Phases from one node to another in a run of seed 0."""
    low, high = fault.span
    if low == high:
        return low
    return int(fault.ages(jax.random.key(0), jnp.int32(receiver), jnp.int32(sender), n))


class Link:
    """A queue: what is put in comes out `phases` later, None before."""

    def __init__(self, phases):
        self.waiting = deque([None] * phases)

    def __call__(self, value):
        self.waiting.append(value)
        return self.waiting.popleft()


def links(fault, pairs):
    return {(i, j): Link(age(fault, i, j)) for i, j in pairs}


def run(method, network, rounds, x0=X0, problem=PROBLEM):
    state, meters = zoo.run(method, problem, network, rounds, x0)
    return zoo.models(method, state), meters


def gossip(w, values, queues, column=False, lost=lambda i, j: False):
    """W x with late neighbors: the weight of what is not there goes back to the receiver (or is under way)."""
    out = np.diag(w)[:, None] * values
    for (i, j), queue in queues.items():
        came = queue(None if lost(i, j) else values[j])
        if came is not None:
            out[i] += w[i, j] * came
        elif not column:
            out[i] += w[i, j] * values[i]
    return out


@pytest.mark.slow
@pytest.mark.parametrize("graph", ["ring", *(pytest.param(g, marks=pytest.mark.slow) for g in GRAPHS if g != "ring")])
@pytest.mark.parametrize("phases", SPANS, ids=str)
def test_neighbors_against_queues(graph, phases):
    top, fault = GRAPHS[graph]().astype("float64"), delay(phases=phases)
    w = top.matrix()
    queues = links(fault, [(i, j) for i in range(N) for j in range(N) if i != j and w[i, j]])
    x = X0.copy()
    for _ in range(9):
        x = gossip(w, x - 0.1 * gradients(x), queues)
    got, meters = run(dj.methods.dsgd(lr=0.1), dj.Network(top, faults=fault), 9)
    np.testing.assert_allclose(got, x, rtol=0, atol=1e-13)
    plain = run(dj.methods.dsgd(lr=0.1), top, 9)[1]
    assert meters.totals() == plain.totals()  # metered when sent


@pytest.mark.slow
@pytest.mark.parametrize("phases", SPANS, ids=str)
def test_what_is_lost_when_sent_never_arrives(phases):
    """A fault of one's own loses the link 0-1 in even rounds and all links of node 4 in round 3."""

    class Scripted(dj.Fault):
        def arrives(self, ctx, links):
            receivers, senders = links.ends()
            pair = (jnp.minimum(receivers, senders) == 0) & (jnp.maximum(receivers, senders) == 1)
            four = (receivers == 4) | (senders == 4)
            return ~((pair & (ctx.index % 2 == 0)) | (four & (ctx.index == 3)))

    top, fault = GRAPHS["ring"]().astype("float64"), delay(phases=phases)
    w = top.matrix()
    queues = links(fault, [(i, j) for i in range(N) for j in range(N) if i != j and w[i, j]])
    x = X0.copy()
    for t in range(9):
        lost = lambda i, j, t=t: ({i, j} == {0, 1} and t % 2 == 0) or (4 in (i, j) and t == 3)
        x = gossip(w, x, queues, lost=lost)
    scripted = dj.struct(Scripted)()
    network = dj.Network(top, faults=(fault, scripted), audit=True)
    got, meters = run(dj.methods.dsgd(lr=0.0), network, 9)
    np.testing.assert_allclose(got, x, rtol=0, atol=1e-13)
    np.testing.assert_allclose(meters.values["audit/lost"][:4], np.array([2, 0, 2, 4]) / 12, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("phases", SPANS, ids=str)
def test_rows_per_edge_against_queues(phases):
    """RelaySGD on a tree: sums and the counts that ride with them come late."""
    top, fault = dj.topology.binary_tree(N).astype("float64"), delay(phases=phases)
    pairs = [tuple(e) for e in top.edges().tolist()]  # (receiver, sender)
    queues = links(fault, pairs)
    inbox, heard = (dict.fromkeys(pairs, 0.0) for _ in range(2))
    x = X0.copy()
    for _ in range(9):
        half = x - 0.1 * gradients(x)
        sums = [half[i] + sum(inbox[e] for e in pairs if e[0] == i) for i in range(N)]
        counts = [1 + sum(heard[e] for e in pairs if e[0] == i) for i in range(N)]
        out = {(i, j): (sums[j] - inbox[j, i], counts[j] - heard[j, i]) for i, j in pairs}
        for e, queue in queues.items():
            came = queue(out[e])
            if came is not None:
                inbox[e], heard[e] = came
        for i in range(N):
            missing = N - 1 - sum(heard[e] for e in pairs if e[0] == i)
            x[i] = (half[i] + missing * X0[i] + sum(inbox[e] for e in pairs if e[0] == i)) / N
    got, _ = run(dj.methods.relaysgd(lr=0.1), dj.Network(top, faults=fault), 9)
    np.testing.assert_allclose(got, x, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("phases", SPANS, ids=str)
def test_uploads_against_queues(phases):
    fault = delay(phases=phases)
    server = {i: Link(age(fault, N, i, N + 1)) for i in range(N)}
    x = X0.mean(0)
    for _ in range(9):
        change = -0.1 * gradients(np.tile(x, (N, 1)))
        came = [(queue(change[i]), i + 1) for i, queue in server.items()]
        came = [(c, weight) for c, weight in came if c is not None]  # weighted by the number of local samples
        if came:
            x = x + sum(c * weight for c, weight in came) / sum(weight for _, weight in came)
    got, meters = run(dj.methods.fedavg(lr=0.1), dj.Network(faults=fault), 9)
    np.testing.assert_allclose(got, x, rtol=0, atol=1e-13)
    assert meters.totals() == run(dj.methods.fedavg(lr=0.1), dj.Network(), 9)[1].totals()


@pytest.mark.slow
@pytest.mark.parametrize("phases", [1, (0, 2)], ids=str)
def test_uploads_of_cohorts_come_late_as_a_whole(phases):
    """Of a cohort it is the place whose uplink is long: what arrives is what its holder of then sent, under that node's weight."""
    fault, seen = delay(phases=phases), []
    places = [Link(age(fault, N, i, N + 1)) for i in range(3)]

    class Probe(dj.methods.fedavg):
        traits = dj.Traits(channel="server", cohort=3)

        def step(self, state, round):
            cohort = round.sample(3)
            ids = cohort.ids.astype(jnp.float64)
            got = cohort.average({"x": jnp.tile(ids[:, None], (1, 4))}, weights=1.0 + ids)
            jax.debug.callback(
                lambda ids, got: seen.append((np.asarray(ids), np.asarray(got))), ids, got["x"], ordered=True
            )
            return state

    run(dj.struct(Probe)(lr=0.1), dj.Network(faults=fault), 6)
    jax.effects_barrier()
    for ids, got in seen[-6:]:
        came = [c for c in (queue(i) for queue, i in zip(places, ids, strict=True)) if c is not None]
        want = sum(c * (1 + c) for c in came) / sum(1 + c for c in came) if came else 0.0
        np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dsgd", "relaysgd", "fedavg"])
def test_no_delay_changes_no_bit(name):
    network = {"dsgd": zoo.ring(N), "relaysgd": dj.topology.binary_tree(N).astype("float64"), "fedavg": None}[name]
    method = getattr(dj.methods, name)(lr=0.1)
    for phases in (0, (0, 0)):
        got, meters = run(method, dj.Network(network, faults=delay(phases=phases)), 4)
        plain, quiet = run(method, dj.Network(network), 4)
        np.testing.assert_array_equal(got, plain)
        assert meters.totals() == quiet.totals()


@pytest.mark.slow
@pytest.mark.parametrize("phases", SPANS, ids=str)
def test_equal_values_stay_equal_and_the_sum_with_what_is_under_way_is_kept(phases):
    top, fault = GRAPHS["slots"]().astype("float64"), delay(phases=phases)
    w, most = top.matrix(), fault.span[1]
    method, network = dj.methods.dsgd(lr=0.0), dj.Network(top, faults=fault)
    equal, _ = run(method, network, 8, np.ones_like(X0))
    np.testing.assert_allclose(equal, 1.0, rtol=0, atol=1e-15)
    past = [X0] + [run(method, network, t)[0] for t in range(1, most + 6)]  # past[t]: what is sent in phase t

    def held(t):  # all values, and W_ij x_j of every message sent but not there yet
        total = past[t].sum(0)
        for i, j in zip(*np.nonzero(w - np.diag(np.diag(w))), strict=True):
            total = total + w[i, j] * sum(past[t - k][j] for k in range(1, age(fault, i, j) + 1))
        return total

    for t in range(most, most + 5):
        np.testing.assert_allclose(held(t), held(most), rtol=0, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("phases", SPANS, ids=str)
def test_push_sum_reaches_the_mean_of_the_starts(phases):
    top = dj.topology.random_digraph(N, degree=2, seed=0).astype("float64")
    assert top.kind == "column"
    got, _ = run(dj.methods.sgp(lr=0.0), dj.Network(top, faults=delay(phases=phases)), 400)
    np.testing.assert_allclose(got, np.tile(X0.mean(0), (N, 1)), rtol=0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("phases", SPANS, ids=str)
def test_late_copies_are_those_of_then(phases):
    """Where nothing is lost one copy per sender and one per edge and end are the same, late or not."""
    codec = lambda per_edge: dj.compression.copies(dj.compression.top_k(k=2), gamma=0.3, per_edge=per_edge)
    one, two = (
        run(dj.methods.dsgd(lr=0.05), dj.Network(zoo.ring(N), codec=codec(per_edge), faults=delay(phases=phases)), 8)[0]
        for per_edge in (False, True)
    )
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)
    plain = run(dj.methods.dsgd(lr=0.05), dj.Network(zoo.ring(N), codec=codec(False)), 8)[0]
    assert np.abs(one - plain).max() > 1e-3


@pytest.mark.slow
def test_what_adversaries_tell_each_receiver_is_late_too():
    """Nothing moves before the first arrival, so that round 1 combines what was sent in round 0."""
    for attack in (dj.attacks.alie(adversaries=2, z=1.5), dj.attacks.sign_flip(adversaries=2)):
        for rule in (dj.aggregation.weighted_mean(), dj.aggregation.nna(f=1), dj.aggregation.trimmed_mean(f=1)):
            method, top = dj.methods.dsgd(lr=0.0), GRAPHS["complete"]().astype("float64")
            late, _ = run(method, dj.Network(top, attack=attack, rule=rule, faults=delay(phases=1)), 2)
            plain, _ = run(method, dj.Network(top, attack=attack, rule=rule), 1)
            np.testing.assert_allclose(late, plain, rtol=0, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [dj.aggregation.nna(f=1), dj.aggregation.coordinate_median()], ids=["nna", "median"])
def test_robust_rules_on_messages_of_different_ages(rule):
    top, fault = GRAPHS["slots"]().astype("float64"), delay(phases=(0, 2))
    w = top.matrix()
    queues = links(fault, [(i, j) for i in range(N) for j in range(N) if i != j and w[i, j]])
    x = X0.copy()
    for _ in range(6):
        half = x - 0.1 * gradients(x)
        came = {e: queue(half[e[1]]) for e, queue in queues.items()}
        for i in range(N):
            got = [v for e, v in came.items() if e[0] == i and v is not None]
            if isinstance(rule, dj.aggregation.coordinate_median):
                x[i] = np.median(np.stack([half[i], *got]), 0)
            else:
                kept = sorted(got, key=lambda v, i=i: ((v - half[i]) ** 2).sum())[: max(0, len(got) - 1)]
                x[i] = np.mean(np.stack([half[i], *kept]), 0)
    got, _ = run(dj.methods.dsgd(lr=0.1), dj.Network(top, faults=fault, rule=rule), 6)
    np.testing.assert_allclose(got, x, rtol=0, atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("phases", [2, (0, 2)], ids=str)
def test_sleepers_are_frozen_and_send_nothing(phases):
    """As many nodes as sleep in a round keep their models; equal models stay equal whoever sleeps."""
    network = dj.Network(zoo.ring(N), faults=(delay(phases=phases), dj.faults.churn(p=0.4)))
    method = dj.methods.dsgd(lr=0.0)
    models, awake = [X0], [0]
    for t in range(1, 5):
        now, meters = run(method, network, t)
        models.append(now)
        awake.append(meters.totals()["awake"])
        assert (now == models[-2]).all(1).sum() >= N - (awake[-1] - awake[-2])
    assert awake[-1] < 4 * N and (models[-1] != models[2]).any()
    equal, _ = run(method, network, 8, np.ones_like(X0))
    np.testing.assert_allclose(equal, 1.0, rtol=0, atol=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize("phases", [2, (0, 2)], ids=str)
def test_devices_give_the_same_numbers(phases):
    top, method = dj.topology.random_regular(16, degree=4).astype("float64"), dj.methods.dsgd(lr=0.1)
    problem, _ = zoo.squares(16, 4)
    faults = (delay(phases=phases), dj.faults.link_loss(p=0.2))
    network = dj.Network(top, faults=faults, rule=dj.aggregation.nna(f=1), audit=True)
    outs = []
    for mesh in (None, 4):
        state, meters = dj.rollout(
            method, problem, network, jax.random.key(0), 6, params={"x": jnp.asarray(zoo.starts(16))}, mesh=mesh
        )
        outs.append((zoo.models(method, state), np.asarray(meters.values["audit/rejected"])))
    np.testing.assert_allclose(outs[0][0], outs[1][0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(outs[0][1], outs[1][1], rtol=1e-6)


def test_what_cannot_be_late_is_refused():
    d, f = dj.methods.dsgd(lr=0.1), dj.faults
    ring, late = dj.topology.ring(N), delay(phases=(0, 2))
    for method, network, why in (
        (d, dj.Network(ring, faults=late, clock=f.clock(latency=0.1)), "counts phases, beside network.clock"),
        (d, dj.Network(ring, faults=(late, delay(phases=1))), "a message has one age"),
        (d, dj.Network(ring, faults=late, attack=dj.attacks.alie(adversaries=1, z=1.0)), "one value per receiver"),
        (d, dj.Network(dj.topology.one_peer_ring(N), faults=late), "its link is gone"),
        (d, dj.Network(dj.topology.one_peer_exponential(N), faults=late), "its link is gone"),
        (
            dj.methods.ad_psgd(lr=0.1),
            dj.Network(ring, faults=late, events=dj.events.poisson()),
            "beside network.events, which says when nodes meet",
        ),
        (
            dj.methods.sgp(lr=0.1),
            dj.Network(dj.topology.random_digraph(N, degree=2), faults=(late, f.directed_link_loss(p=0.1))),
            "travel back",
        ),
        (dj.methods.fedavg(lr=0.1), dj.Network(server="all_reduce", faults=late), "no single upload can be late"),
        (dj.methods.local_only(lr=0.1), dj.Network(faults=late), "sends no messages"),
    ):
        with pytest.raises(dj.RefusedError, match=why):
            network.check(method, PROBLEM)
    dj.Network(dj.topology.directed_ring(N), faults=late).check(d, PROBLEM)  # loses nothing
    for phases, error in (
        (-1, ValueError),
        ((3, 1), ValueError),
        (1.5, TypeError),
        ((1, 2, 3), TypeError),
        (True, TypeError),
    ):
        with pytest.raises(error, match="Delay.phases is"):
            delay(phases=phases)


@pytest.mark.slow
def test_an_exchange_within_when_and_repeat_counts_its_own_phases():
    """Called in odd rounds alone, a delay of one phase is two rounds; verbs within loops and branches are recorded."""

    class Probe(dj.methods.dsgd):
        def step(self, state, round):
            gossip = lambda r, x: r.gossip(x)
            x = round.when(round.index % 2 == 1, gossip, state.params)
            return state._replace(params=round.repeat(2, lambda r, x: r.gossip(x), x))

    w = zoo.ring(N).matrix()
    pairs = [(i, j) for i in range(N) for j in range(N) if i != j and w[i, j]]
    fault = delay(phases=1)
    first, second = links(fault, pairs), links(fault, pairs)
    x = X0.copy()
    for t in range(5):
        if t % 2:
            x = gossip(w, x, first)
        for _ in range(2):
            x = gossip(w, x, second)
    got, _ = run(dj.struct(Probe)(lr=0.1), dj.Network(zoo.ring(N), faults=fault), 5)
    np.testing.assert_allclose(got, x, rtol=0, atol=1e-13)


@dj.struct
class Naps(dj.Fault):
    """Node t % n sleeps in round t, and node 0 in round 3 too."""

    sleeps = True

    def awake(self, ctx):
        node = jnp.arange(N)
        return (node != ctx.index % N) & ~((node == 0) & (ctx.index == 3))


@pytest.mark.slow
@pytest.mark.parametrize("phases", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_late_copies_per_edge_beside_sleepers(phases):
    """What lies at a sleeper is there when it wakes: a loop with both ends of every copy."""
    gamma, kept = 0.4, 2
    top = dj.topology.ring(N).astype("float64")
    w, x = top.matrix(), X0.copy()
    pairs = [(i, j) for i in range(N) for j in range(N) if i != j and w[i, j]]
    told, held = ({pair: np.zeros(zoo.D) for pair in pairs} for _ in range(2))  # (i, j): of i's value; at i of j's
    came = []
    for t in range(8):
        up = np.array([i != t % N and not (i == 0 and t == 3) for i in range(N)])
        new = dict(told)
        for i, j in pairs:
            gap = x[i] - told[i, j]
            change = np.where(np.abs(gap) >= np.sort(np.abs(gap))[-kept], gap, 0)
            new[i, j] = told[i, j] + change
            if up[i] and up[j]:
                held[j, i] = held[j, i] + change
        own = np.stack([sum(w[i, j] * new[i, j] for j in range(N) if (i, j) in new) / (1 - w[i, i]) for i in range(N)])
        told = {(i, j): new[i, j] if up[i] else told[i, j] for i, j in pairs}
        came.append(dict(held))
        moved = x.copy()
        for i in np.flatnonzero(up):
            if t >= phases:
                mixed = w[i, i] * own[i] + sum(w[i, j] * came[t - phases][i, j] for j in range(N) if (i, j) in new)
                moved[i] = x[i] + gamma * (mixed - own[i])
        x = moved
    codec = dj.compression.copies(dj.compression.top_k(k=kept), gamma=gamma, per_edge=True)
    got, _ = run(dj.methods.dsgd(lr=0.0), dj.Network(top, codec=codec, faults=(delay(phases=phases), Naps())), 8)
    np.testing.assert_allclose(got, x, rtol=0, atol=1e-13)


def test_faults_of_ones_own_that_come_late():
    """One that also loses or sleeps meets the refusals of losses; one whose ages differ must say them."""

    @dj.struct
    class Late(dj.Fault):
        span = (1, 2)

    @dj.struct
    class LateAndLost(Late):
        symmetric = False
        span = (1, 1)

        def arrives(self, ctx, links):
            return links.weights() > 0

    d = dj.methods.dsgd(lr=0.1)
    with pytest.raises(dj.RefusedError, match=r"Late with span \(1, 2\).*ages\(key, receivers, senders, n\)"):
        dj.Network(dj.topology.ring(N), faults=Late()).check(d, PROBLEM)
    with pytest.raises(dj.RefusedError, match="LateAndLost, which loses one direction alone"):
        dj.Network(dj.topology.ring(N), faults=LateAndLost()).check(d, PROBLEM)
    column = dj.topology.random_digraph(N, degree=2)
    with pytest.raises(dj.RefusedError, match="travel back"):
        dj.Network(column, faults=LateAndLost()).check(dj.methods.sgp(lr=0.1), PROBLEM)

    @dj.struct
    class Aged(Late):
        def ages(self, key, receivers, senders, n):
            return 1 + (receivers + senders) % 2

    dj.Network(dj.topology.ring(N), faults=Aged()).check(d, PROBLEM)
