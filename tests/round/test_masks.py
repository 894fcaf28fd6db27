"""Parts of models in messages: codecs, rules, delays and losses against loops over nodes, and the identities of masks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax.core.method import Traits

N, D, ROUNDS = zoo.N, 4, 4
X0 = zoo.starts()
PROBLEM, _ = zoo.squares()
RING = zoo.ring()
W = RING.matrix()
MASKS = np.random.default_rng(5).uniform(size=(ROUNDS, N, D)) < 0.5  # another one in every round
MASKS[:, :, 3] = [False, True, False, False, False]  # an entry of one node
MASKS[:, :, 0] = True
c, agg, f = dj.compression, dj.aggregation, dj.faults
NEIGHBORS, SERVER = Traits(masks=True), Traits(channel="server", masks=True, heads=True)
KEPT = [  # options, and whether they act at a server, too
    ({}, True),
    ({"codec": c.direct(c.top_k(k=2), gamma=0.5)}, True),
    ({"codec": c.direct(c.top_k(ratio=0.5, scope="leaf"), gamma=0.5)}, False),
    ({"codec": c.direct(c.rand_k(ratio=0.5), gamma=0.5)}, False),
    ({"codec": c.direct(c.rand_k_unbiased(k=3), gamma=0.5)}, True),
    ({"codec": c.direct(c.qsgd(levels=4), gamma=0.5)}, True),
    ({"codec": c.direct(c.qsgd_unbiased(levels=7), gamma=0.5)}, False),
    ({"codec": c.error_feedback(c.top_k(ratio=0.5), gamma=0.2)}, True),
    ({"codec": c.copies(c.top_k(k=3), gamma=0.3)}, True),
    ({"rule": agg.coordinate_median()}, True),
    ({"rule": agg.trimmed_mean(f=1)}, True),
    ({"faults": f.delay(phases=2)}, True),
    ({"faults": f.delay(phases=(0, 2))}, False),
    ({"faults": f.link_loss(p=0.4)}, True),
    ({"faults": f.churn(p=0.4)}, False),
    ({"attack": dj.attacks.sign_flip(adversaries=(1,))}, True),
    ({"attack": dj.attacks.alie(adversaries=(1,), z=1.0)}, True),
    ({"privacy": dj.privacy.gaussian_message(clip=1.0, noise_multiplier=0.1)}, True),
    ({"clock": f.clock(bandwidth=1e3, server_bandwidth=1e4)}, True),
    ({"rule": agg.coordinate_median(), "audit": True}, False),
]


@dj.struct
class State:
    params: Any


def once(step, traits=NEIGHBORS, rounds=ROUNDS, network=None, **options):
    """(x, meters) after rounds of `step(x, round) -> x`, x [N, D] of every node another."""

    class Probe:
        def init(self, params, key):
            return State(params)

        def step(self, state, round):
            return State({"x": step(state.params["x"], round)})

        def model(self, state):
            return state.params

    Probe.traits = traits
    given = (RING,) if traits.gossips else ()
    state, meters = zoo.run(dj.struct(Probe)(), PROBLEM, dj.Network(*given, **options), rounds, X0)
    return np.asarray(state.params["x"]), meters


def masked(x, round, **kw):
    """Gossip under the mask of the round."""
    return round.gossip({"x": x}, mask={"x": jnp.asarray(MASKS)[round.index % ROUNDS]}, **kw)["x"]


def at_server(x, round, **kw):
    """What every node goes on from is its own: x_i + mean of all x, so that uploads differ."""
    return x + round.average({"x": x}, **kw)["x"][None]


def over_holders(i, values, owns, weights):
    """The mean of every entry over the nodes that hold it; None where nobody does."""
    out = [None] * D
    for d in range(D):
        total = sum(weights[j] for j in range(N) if owns[j][d])
        if total > 0:
            out[d] = sum(weights[j] * values[j][d] for j in range(N) if owns[j][d]) / total
    return out


@pytest.mark.parametrize(("options", "served"), KEPT)
def test_a_mask_of_ones_is_none(options, served):
    """Bit for bit, where the compiler fuses both alike: sums of late messages it does not. Sizes are whole bytes."""
    same = np.testing.assert_allclose if "faults" in options else np.testing.assert_array_equal
    close = {"rtol": 1e-14} if "faults" in options else {}
    ones = {"x": jnp.ones((N, 1), bool)}
    plain, one = once(lambda x, r: r.gossip({"x": x})["x"], **options)
    whole, other = once(lambda x, r: r.gossip({"x": x}, mask=ones)["x"], **options)
    same(plain, whole, **close)
    assert abs(one.bytes() - other.bytes()) <= ROUNDS * (W != 0).sum() and set(one.values) == set(other.values)
    np.testing.assert_array_equal(one.seconds, other.seconds)
    if served:
        plain, one = once(at_server, SERVER, **options)
        whole, other = once(lambda x, r: at_server(x, r, mask=ones), SERVER, **options)
        same(plain, whole, **close)
        assert one.totals().get("down/average", 0) == other.totals().get("down/average", 0) > 0


@pytest.mark.parametrize("options", [{}, *(o for o, _ in KEPT if not o.keys() & {"attack", "privacy", "clock"})])
def test_nodes_that_share_no_entry_keep_their_own(options):
    apart = jnp.asarray(np.arange(D)[None] == np.arange(N)[:, None] % D)[:D]
    apart = jnp.concatenate([apart, jnp.zeros((N - D, D), bool)])

    def step(x, r):
        return r.gossip({"x": x}, mask={"x": apart})["x"]

    out, _ = once(step, **options)
    own = np.asarray(apart)
    np.testing.assert_allclose(out[own], X0[own], rtol=1e-12)
    nobody = ~np.asarray(W @ own > 0)
    np.testing.assert_array_equal(out[nobody], X0[nobody])


def by_top(values, owned, k):
    """The k entries of largest magnitude among those owned."""
    out = np.zeros(D)
    held = np.flatnonzero(owned)
    for d in sorted(held, key=lambda d: (-abs(values[d]), d))[:k]:
        out[d] = values[d]
    return out


@pytest.mark.parametrize("memory", ["none", "sender", "copies"])
def test_codecs_see_owned_entries_alone(memory):
    """Three codecs around top-2, of masks that change from round to round, as a loop over nodes."""
    top, gamma = c.top_k(k=2), 0.5
    codec = {"none": c.direct, "sender": c.error_feedback, "copies": c.copies}[memory](top, gamma=gamma)
    out, meters = once(masked, codec=codec)
    x, kept = X0.copy(), np.zeros((N, D))
    bits = 0
    for t in range(ROUNDS):
        owns, held = MASKS[t], np.zeros((N, D))
        for i in range(N):
            if memory == "none":
                held[i] = by_top(x[i], owns[i], 2)
            elif memory == "sender":
                want = np.where(owns[i], x[i] + kept[i], 0)
                held[i] = by_top(want, owns[i], 2)
                kept[i] = np.where(owns[i], want - held[i], kept[i])
            else:
                kept[i] += by_top(np.where(owns[i], x[i] - kept[i], 0), owns[i], 2)
                held[i] = np.where(owns[i], kept[i], 0)
            count = owns[i].sum()
            k = min(2, count)
            places = 0 if k == count else min(k * int(np.ceil(np.log2(count))), count)
            bits += 2 * (k * 64 + 8 * -(-places // 8))
        new = x.copy()
        for i in range(N):
            mean = over_holders(i, held, owns, W[i])
            for d in range(D):
                if mean[d] is not None:
                    new[i, d] = x[i, d] + gamma * (mean[d] - (held[i, d] if owns[i, d] else x[i, d]))
        x = new
    np.testing.assert_allclose(out, x, rtol=1e-12, atol=1e-14)
    assert meters.totals()["wire/gossip"] == bits


@pytest.mark.parametrize("rule", ["coordinate_median", "trimmed_mean"])
def test_rules_combine_each_entry_over_its_holders(rule):
    options = {"rule": agg.coordinate_median() if rule == "coordinate_median" else agg.trimmed_mean(f=1)}
    out, meters = once(masked, audit=True, **options)

    def combined(values):
        if rule == "coordinate_median":
            return np.median(values)
        cut = min(1, (len(values) - 1) // 2)
        return np.mean(np.sort(values)[cut : len(values) - cut])

    x = X0.copy()
    for t in range(ROUNDS):
        new = x.copy()
        for i in range(N):
            for d in range(D):
                there = [x[j, d] for j in range(N) if W[i, j] > 0 and MASKS[t, j, d]]
                if there:
                    new[i, d] = combined(there)
        x = new
    np.testing.assert_allclose(out, x, rtol=1e-12)
    assert 0 < meters.values["audit/rejected"].mean() < 1


def test_the_share_that_a_rule_leaves_out_is_of_entries_held():
    """One entry in four travels, of all nodes the same: the median of three leaves two of three out."""
    mask = {"x": jnp.asarray(np.arange(D)[None] == np.zeros((N, 1)))}
    _, meters = once(
        lambda x, r: r.gossip({"x": x}, mask=mask)["x"], rounds=1, rule=agg.coordinate_median(), audit=True
    )
    kept = 0
    for i in range(N):
        near = [j for j in range(N) if W[i, j] > 0]
        kept += sorted(near, key=lambda j: X0[j, 0])[1] != i
    np.testing.assert_allclose(meters.values["audit/rejected"], [1 - kept / (2 * N)], rtol=1e-6)


@pytest.mark.parametrize("phases", [1, 2, (0, 2)])
def test_a_late_message_has_the_mask_that_it_was_sent_with(phases):
    """Ages of edges from the fault itself; before a first message arrives its weight is the receiver's."""
    fault = f.delay(phases=phases)
    out, _ = once(masked, faults=fault)
    if isinstance(phases, tuple):
        ids = jnp.arange(N, dtype=jnp.int32)
        run_key = _run_key()
        grid = lambda x: jnp.broadcast_to(x, (N, N))
        ages = np.asarray(fault.ages(run_key, grid(ids[:, None]), grid(ids[None]), N))
    else:
        ages = np.full((N, N), phases)
    past, x = [], X0.copy()
    for t in range(ROUNDS):
        past.append((x.copy(), MASKS[t]))
        new = x.copy()
        for i in range(N):
            weights, values, owns = W[i].copy(), [None] * N, [None] * N
            for j in range(N):
                at = t if j == i else t - ages[i, j]
                if W[i, j] > 0 and at < 0:
                    weights[i] += weights[j]
                    weights[j] = 0
                values[j], owns[j] = past[max(at, 0)][0][j], past[max(at, 0)][1][j]
            mean = over_holders(i, values, owns, weights)
            new[i] = [x[i, d] if mean[d] is None else mean[d] for d in range(D)]
        x = new
    np.testing.assert_allclose(out, x, rtol=1e-12)


def _run_key():
    """The key of a run, as options see it."""
    seen = []

    def step(x, round):
        return x + jax.random.key_data(round.run_key)[None, :2].astype(float).repeat(N, 0).repeat(2, 1)

    out, _ = once(step, rounds=1)
    seen = (out - X0)[0, ::2].round().astype(np.uint32)
    return jax.random.wrap_key_data(jnp.asarray(seen))


def test_weights_of_the_method_over_holders_where_links_lose():
    mine = np.random.default_rng(0).uniform(size=(N, N)) * (W != 0) / N
    np.fill_diagonal(mine, 0)
    own = 1 - mine.sum(1)

    def step(x, round):
        got = round.exchange({"x": x}, name="links")
        there = jnp.zeros((N, N), bool).at[jnp.arange(N)[:, None], got.links.senders()].set(got.mask)
        ports = got.links.on_ports(jnp.asarray(mine))
        new = round.gossip({"x": x}, mask={"x": jnp.asarray(MASKS[0])}, weights=(ports, jnp.asarray(own)))["x"]
        return jnp.where(round.index == 0, new, jnp.pad(there[:, :D].astype(float), ((0, 0), (0, 0))))

    traits = Traits(masks=True, needs_sums="its weights are the method's own; leave it out")
    first, _ = once(step, traits, rounds=1, faults=f.link_loss(p=0.5))
    arrived = _arrived()
    want = X0.copy()
    for i in range(N):
        weights = np.where(arrived[i], mine[i], 0)
        weights[i] = own[i] + (mine[i] * ~arrived[i]).sum()
        mean = over_holders(i, X0, MASKS[0], weights)
        want[i] = [X0[i, d] if mean[d] is None else mean[d] for d in range(D)]
    np.testing.assert_allclose(first, want, rtol=1e-12)
    assert not arrived[W - np.diag(np.diag(W)) > 0].all()


def _arrived():
    """Bool [n, n]: what links of the first round deliver, as the same seed draws it."""

    @dj.struct
    class Seen:
        params: Any
        there: Any

    class Probe:
        traits = NEIGHBORS

        def init(self, params, key):
            return Seen(params, jnp.zeros((N, N), bool))

        def step(self, state, round):
            got = round.exchange(state.params, name="links")
            there = jnp.zeros((N, N), bool).at[jnp.arange(N)[:, None], got.links.senders()].set(got.mask)
            return Seen(round.gossip(state.params), there)

    state, _ = zoo.run(dj.struct(Probe)(), PROBLEM, dj.Network(RING, faults=f.link_loss(p=0.5)), 1, X0)
    return np.asarray(state.there)


def test_an_adversary_claims_every_entry():
    attack = dj.attacks.sign_flip(adversaries=(1,), strength=2.0)
    out, _ = once(masked, rounds=1, attack=attack)
    owns, sent = MASKS[0].copy(), np.where(MASKS[0], X0, 0)
    owns[1], sent[1] = True, -2.0 * sent[1]
    for i in (0, 2, 3, 4):
        mean = over_holders(i, sent, owns, W[i])
        np.testing.assert_allclose(out[i], [X0[i, d] if mean[d] is None else mean[d] for d in range(D)], rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"rule": agg.coordinate_median()}, {"codec": c.direct(c.top_k(k=1))}])
def test_a_server_combines_each_entry_over_its_holders(options):
    owns = MASKS[1].copy()
    owns[:, 2] = False
    mask, groups = {"x": jnp.asarray(owns)}, np.array([0, 0, 1, 1, 1])
    traits = Traits(channel="server", masks=True, heads=True, groups=True)

    def step(x, round):
        del x
        value = {"x": jnp.asarray(X0)}
        one = round.average(value, mask=mask, mask_bits=3, downloads=2, name="one")["x"]
        two = round.average(value, mask=mask, groups=jnp.asarray(groups), num_groups=2, name="two")["x"]
        return jnp.concatenate([one[None], two, jnp.zeros((N - 3, D))])

    out, meters = once(step, traits, rounds=1, **options)
    sent = np.stack([by_top(X0[i], owns[i], 1) for i in range(N)]) if "codec" in options else X0
    combine = np.median if "rule" in options else np.mean
    for row, members in enumerate([range(N), [0, 1], [2, 3, 4]]):
        for d in range(D):
            there = [sent[j, d] for j in members if owns[j, d]]
            np.testing.assert_allclose(out[row, d], combine(there) if there else 0, rtol=1e-12)
    totals, entries = meters.totals(), int(owns.sum())
    assert totals["down/one"] == 2 * (entries * 64 + 8 * N) and totals["down/two"] == entries * 64
    if "codec" in options:
        counts = owns.sum(1)
        places = [0 if k == 1 else -(-min(int(np.ceil(np.log2(k))), k) // 8) * 8 for k in counts]
        assert totals["up/two"] == sum(64 * min(1, k) + p for k, p in zip(counts, places, strict=True))
    else:
        assert totals["up/one"] == entries * 64 + 8 * N


def test_the_clock_waits_for_the_entries_that_travel():
    owns = np.ones((N, D), bool)
    owns[1:, 1:] = False
    step = lambda x, r: at_server(x, r, mask={"x": jnp.asarray(owns)})
    rate, through = 64.0, 128.0
    _, meters = once(step, SERVER, rounds=1, clock=f.clock(bandwidth=rate, server_bandwidth=through))
    up = owns.sum(1) * 64
    np.testing.assert_allclose(meters.seconds, [2 * up.max() / rate + 2 * up.sum() / through], rtol=1e-6)


@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize(
    "dtype", ["float32", *(pytest.param(d, marks=pytest.mark.slow) for d in ("float64", "bfloat16"))]
)
def test_top_k_of_some_entries_is_that_of_them_alone(k, dtype):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((6, 20)), dtype).at[2].set(1.0).at[3, 4].set(jnp.nan)
    mask = rng.uniform(size=x.shape) < 0.4
    mask[4], mask[5, :-2] = False, False
    top = c.top_k(k=k)
    out, size = jax.jit(top.held)(None, jnp.where(mask, x, 0), jnp.asarray(mask))
    for i, owned in enumerate(mask):
        count = int(owned.sum())
        row = x[i, owned][None]
        few = c.top_k(k=min(k, count)) if count else None
        want = few.apply(None, row)[0][0] if few else row[0]
        np.testing.assert_array_equal(np.asarray(out[i, owned], float), np.asarray(want, float))
        assert not np.asarray(out[i, ~owned]).any()
        bits = few.bits(count, x.dtype.itemsize * 8) if few else 0
        assert size[i] == -(-bits // 8)


@pytest.mark.parametrize("make", [c.top_k, c.rand_k, c.rand_k_unbiased])
@pytest.mark.parametrize("ratio", [0.1, 0.5])
def test_shares_are_of_the_entries_held(make, ratio, key):
    compressor, d = make(ratio=ratio), 40
    mask = np.arange(d)[None] < np.array([40, 21, 10, 1, 0])[:, None]
    keys = jax.random.split(key, len(mask))
    x = jnp.where(mask, 1.0 + jax.random.uniform(key, mask.shape), 0)
    out, size = jax.jit(compressor.held)(keys, x, jnp.asarray(mask))
    count = mask.sum(1)
    k = np.minimum(np.maximum(1, np.round(ratio * count)), count)
    np.testing.assert_array_equal((np.asarray(out) != 0).sum(1), k)
    scale = count / np.maximum(k, 1) if compressor.unbiased else np.ones(len(k))
    kept = np.asarray(out) != 0
    np.testing.assert_allclose(np.asarray(out), np.where(kept, np.asarray(x) * scale[:, None], 0), rtol=1e-14)
    np.testing.assert_array_equal(out[0], compressor.apply(keys, x)[0][0])
    if make is not c.top_k:
        np.testing.assert_array_equal(size, 8 * k)


@pytest.mark.parametrize("make", [c.qsgd, c.qsgd_unbiased])
def test_levels_are_of_the_norm_of_what_is_held(make, key):
    compressor, d = make(levels=3), 12
    mask = np.arange(d)[None] < np.array([12, 5, 0])[:, None]
    draws = 4000
    rows = np.repeat(np.arange(3), draws)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, d)) * mask)
    keys = jax.random.split(key, 3 * draws)
    out, size = jax.jit(compressor.held)(keys, x[rows], jnp.asarray(mask)[rows])
    out = np.asarray(out).reshape(3, draws, d)
    np.testing.assert_array_equal(out[0], compressor.apply(keys[:draws], x[rows[:draws]])[0])
    count = mask.sum(1)
    shrink = 1 / (1 + np.minimum(count / 9, np.sqrt(count) / 3)) if make is c.qsgd else np.ones(3)
    spread = 5 * out.std(1) / np.sqrt(draws) + 1e-12
    assert (np.abs(out.mean(1) - shrink[:, None] * np.asarray(x)) <= spread).all()
    np.testing.assert_array_equal(np.asarray(size).reshape(3, draws)[:, 0], 8 + -(-count * 3 // 8))


@dj.struct
class Half(dj.Compressor):
    """A compressor of a user's own, of whole rows alone."""

    def check(self, d):
        pass

    def apply(self, keys, x):
        return x / 2, None

    def bits(self, d, width=32):
        return d

    def delta(self, d):
        return 0.5

    def omega(self, d):
        return float("inf")


def test_what_looks_at_whole_values_is_refused():
    step = lambda x, r: r.gossip({"x": x}, mask={"x": jnp.ones((N, D), bool)})["x"]
    cases = [
        ({"rule": agg.nna(f=1)}, "who holds little is near to all; use coordinate_median"),
        ({"codec": c.direct(Half())}, "Half does not say what it makes of some entries alone"),
        ({"codec": c.copies(c.top_k(k=1), gamma=0.2, per_edge=True)}, "would not know which entries its copy has"),
    ]
    for options, words in cases:
        with pytest.raises(dj.RefusedError, match=words):
            once(step, **options)
        with pytest.raises(ValueError, match=r"does not say masks=True; write traits = dejax.Traits\(masks=True\)"):
            once(step, Traits(), **options)
    with pytest.raises(ValueError, match="what was heard last may be other entries"):
        once(
            lambda x, r: r.gossip({"x": x}, mask={"x": jnp.ones((N, D), bool)}, heard=True)["x"],
            Traits(footprint="neighbors", masks=True),
        )
