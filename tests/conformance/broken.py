"""Members that break one promise each: the check of their kind must name it."""

import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import dejax as dj
from dejax.compression import Size
from dejax.core import tree
from dejax.data.parts import Parts


# ---- methods: D-PSGD with a fault
class State(NamedTuple):
    """One model per node, and whatever a fault keeps."""

    params: Any
    more: Any = ()


@dj.struct
class Good:
    """D-PSGD, which breaks nothing."""

    lr: Any = 0.1

    traits = dj.Traits()

    def init(self, params, key):
        return State(params)

    def step(self, state, round):
        return State(round.gossip(self.descend(state, round)), state.more)

    def descend(self, state, round):
        return tree.sub(state.params, tree.scale(self.lr, round.gradient(state.params)))


@dj.struct
class Widens(Good):
    def step(self, state, round):
        x = self.descend(state, round)
        return State(tree.map(lambda v: v.astype(jnp.float32), round.gossip(x)))


@dj.struct
class Restructures(Good):
    def step(self, state, round):
        return State(round.gossip(self.descend(state, round)), (state.params,))


@dj.struct
class Squeezes(Good):
    def step(self, state, round):
        return State(tree.map(jnp.squeeze, round.gossip(self.descend(state, round))))


@dj.struct
class StaticRate(Good):
    lr: float = dj.static(default=0.1)


@dj.struct
class SharesBuffers(Good):
    def init(self, params, key):
        return State(params, params)


@dj.struct
class Explodes(Good):
    def step(self, state, round):
        return State(tree.map(lambda x: x / jnp.zeros_like(x), round.gossip(self.descend(state, round))))


@dj.struct
class AsksTheHost(Good):
    """Draws from NumPy in every round: no two chunks are alike."""

    def step(self, state, round):
        noise = jax.pure_callback(
            lambda: np.float32(np.random.default_rng().uniform()), jax.ShapeDtypeStruct((), jnp.float32)
        )
        return State(round.gossip(tree.map(lambda x: x + noise.astype(x.dtype), self.descend(state, round))))


CALLS = itertools.count()


@dj.struct
class CountsInPython(Good):
    def step(self, state, round):
        drift = 0.01 * next(CALLS)
        return State(round.gossip(tree.map(lambda x: x + jnp.asarray(drift, x.dtype), self.descend(state, round))))


@dj.struct
class IgnoresItsRate(Good):
    def descend(self, state, round):
        return tree.sub(state.params, tree.scale(0.1, round.gradient(state.params)))


@dj.struct
class CallsBack(Good):
    """Its number goes through the host, where no vmap reaches it."""

    def descend(self, state, round):
        shape = jax.ShapeDtypeStruct(jnp.shape(self.lr), jnp.result_type(self.lr))
        lr = jax.pure_callback(lambda v: np.asarray(v), shape, self.lr)
        return tree.sub(state.params, tree.scale(lr, round.gradient(state.params)))


@dj.struct
class NodesLast(Good):
    """A per-node memory whose node axis is the last."""

    def init(self, params, key):
        return State(params, tree.map(lambda x: jnp.moveaxis(x, 0, -1) + 0, params))


@dj.struct
class Rolls(Good):
    """Mixes by shifting the rows, beside the network."""

    def step(self, state, round):
        x = self.descend(state, round)
        return State(tree.map(lambda v: 0.5 * v + 0.5 * jnp.roll(v, 1, 0), x))


@dj.struct
class DriftsById(Good):
    def descend(self, state, round):
        return tree.map(lambda x: x + tree.over(round.ids, x).astype(x.dtype) * 0.01, super().descend(state, round))


@dj.struct
class FollowsNodeZero(Good):
    """A server that listens to its first node alone."""

    traits = dj.Traits(channel="server")

    def init(self, params, key):
        return State(tree.map(lambda x: x[0], params))

    def step(self, state, round):
        g = self.mean(round, round.gradient(tree.tile(state.params, round.n)))
        return State(tree.sub(state.params, tree.scale(self.lr, g)))

    def mean(self, round, g):
        return round.average(g, (round.ids == 0).astype(float))


@dj.struct
class SumsAtAServer(FollowsNodeZero):
    """A server that takes a mean over the node axis, beside the network."""

    def mean(self, round, g):
        return tree.map(lambda x: x.mean(0), g)


@dj.struct
class RollsAndDraws(Rolls):
    """Mixes by shifting the rows, and draws."""

    def descend(self, state, round):
        noise = lambda x: jax.vmap(lambda key: jax.random.normal(key, x.shape[1:], x.dtype))(round.node_keys("noise"))
        return tree.map(lambda x: x + 0.01 * noise(x), super().descend(state, round))


@dj.struct
class ReadsSenders(Good):
    """Sends on edges, and reads its senders' rows beside them."""

    traits = dj.Traits(channel="edges")

    def step(self, state, round):
        x, edges = self.descend(state, round), round.edges
        round.exchange(edges.of_nodes(x), per_edge=True)
        heard = edges.sum(tree.map(lambda v: v[edges.sender], x))
        return State(tree.map(lambda v, h: 0.5 * v + 0.1 * h, x, heard))


METHODS = {
    "widens": (Widens(), "step is a fixed point of types"),
    "restructures": (Restructures(), "step is a fixed point of types"),
    "squeezes": (Squeezes(), "a network of one node"),
    "static rate": (StaticRate(), "numbers are leaves"),
    "shares buffers": (SharesBuffers(), "no buffer under two fields"),
    "explodes": (Explodes(), "finite numbers"),
    "asks the host": (AsksTheHost(), "chunks of any length give the same numbers"),
    "counts in Python": (CountsInPython(), "the same numbers with and without jit"),
    "ignores its rate": (IgnoresItsRate(), "its numbers act"),
    "calls back": (CallsBack(), "a sweep over numbers is a vmap"),
    "nodes last": (NodesLast(), "a node axis that the engine finds"),
    "rolls": (Rolls(), "a node knows others by its messages alone"),
    "rolls and draws": (RollsAndDraws(), "a node knows others by its messages alone"),
    "reads senders": (ReadsSenders(), "a node knows others by its messages alone"),
    "sums at a server": (SumsAtAServer(), "a node knows others by its messages alone"),
    "drifts by id": (DriftsById(), "equal nodes with equal data stay equal"),
    "follows node zero": (FollowsNodeZero(), "names of nodes do not matter"),
}


# ---- compressors: top-k and its kin with a fault
@dj.struct
class TopTwo(dj.Compressor):
    """The two largest entries, which breaks nothing."""

    unbiased = False
    lossless = False
    scope = "global"

    def check(self, d):
        if d < 2:
            raise ValueError("d is 1; give d >= 2")

    def apply(self, keys, x):
        return dj.compression.top_k(k=2).apply(keys, x)

    def bits(self, d, width=32):
        return dj.compression.top_k(k=2).bits(d, width)

    def delta(self, d):
        return 2 / d

    def omega(self, d):
        return math.inf


@dj.struct
class BadScope(TopTwo):
    scope = "tensor"


@dj.struct
class Wide(TopTwo):
    def apply(self, keys, x):
        return super().apply(keys, x)[0].astype(jnp.float32), None


@dj.struct
class Offset(TopTwo):
    def apply(self, keys, x):
        return super().apply(keys, x)[0] + 1e-3, None


@dj.struct
class Impure(TopTwo):
    def apply(self, keys, x):
        return super().apply(keys, x)[0] * (1 + next(CALLS)), None


@dj.struct
class ClaimsLossless(TopTwo):
    lossless = True


@dj.struct
class JointNorm(TopTwo):
    def apply(self, keys, x):
        return x / (1 + jnp.abs(x).max()), None

    def delta(self, d):
        return 0.0


@dj.struct
class OneKey(TopTwo):
    """Rand-2 whose rows all draw from the first key."""

    def apply(self, keys, x):
        return dj.compression.rand_k(k=2).apply(jnp.broadcast_to(keys[:1], keys.shape), x)


@dj.struct
class DeltaAboveOne(TopTwo):
    def delta(self, d):
        return 1.5


@dj.struct
class BiasedWithOmega(TopTwo):
    def omega(self, d):
        return 1.0


@dj.struct
class ProudDelta(TopTwo):
    def delta(self, d):
        return 0.9


@dj.struct
class ClaimsUnbiased(TopTwo):
    unbiased = True

    def omega(self, d):
        return 100.0


@dj.struct
class ProudOmega(TopTwo):
    unbiased = True

    def apply(self, keys, x):
        return dj.compression.rand_k_unbiased(k=2).apply(keys, x)

    def delta(self, d):
        return 0.0

    def omega(self, d):
        return 1.0


@dj.struct
class ForgetsPositions(TopTwo):
    def bits(self, d, width=32):
        return 2 * width


@dj.struct
class OneValueShort(TopTwo):
    def bits(self, d, width=32):
        return super().bits(d, width) - width


@dj.struct
class HeldBits(TopTwo):
    """The size of parts in bits, one for all rows."""

    def held(self, keys, x, mask):
        return dj.compression.top_k(k=2).held(keys, x, mask)[0], self.bits(x.shape[1])


@dj.struct
class HeldWhole(TopTwo):
    """Keeps all entries of parts, where a whole row keeps two."""

    def held(self, keys, x, mask):
        return x, mask.sum(1, dtype=jnp.int32) * x.dtype.itemsize


@dj.struct
class HeldElsewhere(TopTwo):
    """Sends something of the other entries."""

    def held(self, keys, x, mask):
        out, size = dj.compression.top_k(k=2).held(keys, x, mask)
        return out + jnp.where(mask, 0, 1).astype(x.dtype), size


COMPRESSORS = {
    "scope": (BadScope(), "says what it is"),
    "dtype": (Wide(), "shapes and dtypes are kept"),
    "zero": (Offset(), "zero gives zero"),
    "impure": (Impure(), "the same numbers with and without jit"),
    "lossless": (ClaimsLossless(), "lossless is the identity"),
    "joint norm": (JointNorm(), "rows do not see each other"),
    "one key": (OneKey(), "rows have draws of their own"),
    "delta above one": (DeltaAboveOne(), "delta and omega are possible"),
    "omega of a biased one": (BiasedWithOmega(), "delta and omega are possible"),
    "proud delta": (ProudDelta(), "contracts by delta"),
    "claims unbiased": (ClaimsUnbiased(), "unbiased"),
    "proud omega": (ProudOmega(), "errors are below omega"),
    "forgets positions": (ForgetsPositions(), "bits are the size of the encoding"),
    "one value short": (OneValueShort(), "bits are the size of the encoding"),
    "bits of parts": (HeldBits(), "held gives rows and their bytes"),
    "whole parts": (HeldWhole(), "held of all entries is apply"),
    "entries beside the mask": (HeldElsewhere(), "held leaves the other entries out"),
}


# ---- codecs
@dj.struct
class Direct(dj.Codec):
    """Two of ten entries, no memory; breaks nothing."""

    gamma: Any = 0.5

    memory = "none"
    lossless = False

    def init(self, value):
        return ()

    def encode(self, ctx, memory, value):
        return self.kept(value), memory, Size(96)

    def kept(self, value):
        return tree.map(
            lambda x: x * (jnp.abs(x) >= jnp.max(jnp.abs(x), tuple(range(1, x.ndim)), keepdims=True)), value
        )

    def bits(self, value):
        return 96


@dj.struct
class BadGamma(Direct):
    gamma: Any = 2.0


@dj.struct
class WideMemory(Direct):
    memory = "sender"

    def init(self, value):
        return tree.zeros(value)

    def encode(self, ctx, memory, value):
        return self.kept(value), tree.map(lambda x: x.astype(jnp.float32), value), Size(96)


@dj.struct
class SecretMemory(Direct):
    def init(self, value):
        return tree.zeros(value)


@dj.struct
class NotLossless(Direct):
    lossless = True


@dj.struct
class TwoSizes(Direct):
    def bits(self, value):
        return 95


@dj.struct
class Constant(Direct):
    def encode(self, ctx, memory, value):
        return tree.map(lambda x: x + 1, self.kept(value)), memory, Size(96)


@dj.struct
class Centers(Direct):
    def encode(self, ctx, memory, value):
        return tree.map(lambda x: x - x.mean(0, keepdims=True), self.kept(value)), memory, Size(96)


@dj.struct
class StaleCopies(Direct):
    """Copies that are never updated."""

    memory = "copies"

    def init(self, value):
        return tree.map(lambda x: jnp.zeros(x.shape, jnp.promote_types(x.dtype, jnp.float32)), value)

    def encode(self, ctx, memory, value):
        sent = self.kept(tree.map(lambda x, h: x.astype(h.dtype) - h, value, memory))
        held = tree.map(lambda h, q, x: (h + q).astype(x.dtype), memory, sent, value)
        return held, memory, Size(96)


@dj.struct
class Forgetful(Direct):
    """Error feedback that forgets the error."""

    memory = "sender"

    def init(self, value):
        return tree.zeros(value)

    def encode(self, ctx, memory, value):
        return self.kept(value), tree.zeros(memory), Size(96)


CODECS = {
    "gamma": (BadGamma(), "says what it is"),
    "wide memory": (WideMemory(), "memory is a fixed point of types"),
    "secret memory": (SecretMemory(), "memory 'none' keeps nothing"),
    "not lossless": (NotLossless(), "lossless is the identity"),
    "two sizes": (TwoSizes(), "bits are the size of the encoding"),
    "constant": (Constant(), "zero gives zero"),
    "centers": (Centers(), "nodes do not see each other"),
    "stale copies": (StaleCopies(), "copies approach a value that stays"),
    "forgetful": (Forgetful(), "what was dropped is sent later"),
}


# ---- rules
@dj.struct
class Mean(dj.Rule):
    """The weighted mean, which breaks nothing."""

    linear = True
    needs_own = False

    def check(self, degree, server=False):
        pass

    def combine(self, ctx, received):
        return received.mix()


@dj.struct
class Silent(Mean):
    linear = None


@dj.struct
class WideRule(Mean):
    def combine(self, ctx, received):
        return tree.map(lambda x: x.astype(jnp.float32), received.mix())


@dj.struct
class LosesWeight(Mean):
    """Forgets the own value's weight."""

    def combine(self, ctx, received):
        return received.weighted(received.weights, 0 * received.self_weights)


@dj.struct
class OwnMean(Mean):
    """Equal weights in place of W, though it says that it is linear."""

    def combine(self, ctx, received):
        share = 1 / (1 + received.mask.sum(1, dtype=jnp.int32)).astype(received.weights.dtype)
        return received.weighted(jnp.where(received.mask, share[:, None], 0), share)


@dj.struct
class FirstSlot(Mean):
    """Follows whoever stands on the first slot."""

    linear = False
    f = 0

    def combine(self, ctx, received):
        if received.own is None:
            return received.mix()
        first = received.value(0)
        return tree.where(received.mask[:, 0], first, received.own)


@dj.struct
class HearsSleepers(Mean):
    """Multiplies by a mask, which NaN survives."""

    linear = False
    f = 0

    def combine(self, ctx, received):
        values, mask = received.each()
        share = mask.astype(jnp.float32)
        total = 1 + share.sum(1)

        def leaf(own, x):
            own = jnp.zeros(x[:, 0].shape, x.dtype) if own is None else own
            sum_ = own + (tree.over(share, x).astype(x.dtype) * x).sum(1)
            return sum_ / tree.over(total, own).astype(x.dtype)

        return tree.map(leaf, received.own, values) if received.own is not None else received.mix()


@dj.struct
class PlainMeanForRobust(Mean):
    """A mean that calls itself robust."""

    linear = False
    f = 1


@dj.struct
class CountsZeros(Mean):
    """A mean that takes entries that are not there for 0."""

    linear = False
    masks = True
    f = 0


RULES = {
    "silent": (Silent(), "says what it is"),
    "dtype": (WideRule(), "shapes and dtypes are kept"),
    "loses weight": (LosesWeight(), "equal values give that value"),
    "own mean": (OwnMean(), "a linear rule is W"),
    "first slot": (FirstSlot(), "the order of neighbors does not matter"),
    "hears sleepers": (HearsSleepers(), "what did not arrive does not count"),
    "counts zeros": (CountsZeros(), "entries that senders do not hold do not count"),
    "plain mean for robust": (PlainMeanForRobust(), "f bad values are borne"),
}


# ---- attacks
@dj.struct
class Flip(dj.Attack):
    """Sign flip of nodes 1 and 5, which breaks nothing."""

    strength: Any = 1.0

    hook = "message"

    def is_adversary(self, n):
        return np.isin(np.arange(n), [1, 5])

    def message(self, ctx, own, sent):
        return self.server(ctx, sent, ctx.is_adversary), None

    def server(self, ctx, sent, is_adversary):
        return tree.where(is_adversary, tree.scale(-1.0 * self.strength, sent), sent)


@dj.struct
class NoHook(Flip):
    hook = "weights"


@dj.struct
class Fickle(Flip):
    def is_adversary(self, n):
        return np.arange(n) == next(CALLS) % n


@dj.struct
class Everybody(Flip):
    def is_adversary(self, n):
        return np.ones(n, bool)


@dj.struct
class HitsHonest(Flip):
    """Rewrites the rows of the honest, too."""

    def server(self, ctx, sent, is_adversary):
        return tree.scale(-1.0 * self.strength, sent)


@dj.struct
class Swapped(Flip):
    """Rewrites the row beside the adversary's."""

    def server(self, ctx, sent, is_adversary):
        return super().server(ctx, sent, jnp.roll(is_adversary, 1))


@dj.struct
class Idle(Flip):
    def server(self, ctx, sent, is_adversary):
        return sent


@dj.struct
class OneStrength(Flip):
    def server(self, ctx, sent, is_adversary):
        return tree.where(is_adversary, tree.scale(-1.0, sent), sent)


@dj.struct
class IdleAtServer(Flip):
    def message(self, ctx, own, sent):
        return super().server(ctx, sent, ctx.is_adversary), None

    def server(self, ctx, sent, is_adversary):
        return sent


ATTACKS = {
    "hook": (NoHook(), "says what it is"),
    "fickle": (Fickle(), "adversaries are known beforehand"),
    "everybody": (Everybody(), "adversaries are known beforehand"),
    "hits honest": (HitsHonest(), "honest nodes are untouched"),
    "swapped row": (Swapped(), "honest nodes are untouched"),
    "idle": (Idle(), "the attack acts"),
    "one strength": (OneStrength(), "its numbers act"),
    "idle at a server": (IdleAtServer(), "the attack acts"),
}


# ---- partitions
def strided(labels, nodes, rng, groups=None):
    """Deal shuffled rows round robin; breaks nothing."""
    rows = rng.permutation(len(labels))
    return [rows[i::nodes] for i in range(nodes)]


def leaves_one_empty(labels, nodes, rng, groups=None):
    return [*strided(labels, nodes - 1, rng), np.zeros(0, np.int64)]


def own_seed(labels, nodes, rng, groups=None):
    return strided(labels, nodes, np.random)


def repeats(labels, nodes, rng, groups=None):
    return [np.concatenate([rows, rows[:1]]) for rows in strided(labels, nodes, rng)]


def overlaps(labels, nodes, rng, groups=None):
    parts = strided(labels, nodes, rng)
    return [np.concatenate([rows, parts[0][:1]]) if i else rows for i, rows in enumerate(parts)]


def sorts_in_place(labels, nodes, rng, groups=None):
    labels.sort()
    return strided(labels, nodes, rng)


def one_fact(labels, nodes, rng, groups=None):
    parts = Parts.from_lists(strided(labels, nodes, rng))
    return Parts(parts.rows, parts.offsets, {"drift": np.zeros(3)})


PARTITIONS = {
    "empty node": (leaves_one_empty, "every node has samples that exist"),
    "own seed": (own_seed, "the same generator gives the same split"),
    "repeats": (repeats, "no sample stands twice at a node"),
    "overlaps": (overlaps, "no sample is at two nodes"),
    "sorts in place": (sorts_in_place, "what it is given is left alone"),
    "facts": (one_fact, "facts are per node"),
}


# ---- topologies: rings whose facts are false
def changed(top, **facts):
    """The topology with other facts or links."""
    import dataclasses

    return dataclasses.replace(top, **facts)


def slots():
    """A chain, whose kernel lists neighbors."""
    return dj.topology.chain(8)


def dropped_weight(top):
    """One weight of the list is lost, and no sum is told."""
    weight = np.array(top.links.weight)
    weight[0, 2, 0] = 0
    return changed(top, links=changed(top.links, weight=weight))


TOPOLOGIES = {
    "not built": (lambda: dj.topology.ring, "is built"),
    "dropped weight": (lambda: dropped_weight(slots()), "W is stochastic"),
    "not symmetric": (lambda: changed(dj.topology.directed_ring(8), symmetric=True), "symmetric is true"),
}


# ---- tasks: linear regression with a fault
@dataclass(frozen=True)
class Linear:
    """Least squares, which breaks nothing."""

    def init(self, key):
        return {"w": jax.random.normal(key, (3,), jnp.float32)}

    def loss(self, params, batch, key):
        return 0.5 * jnp.square(batch["x"] @ params["w"] - batch["y"])

    def metrics(self, params, batch):
        return {"loss": self.loss(params, batch, None)}


class GlobalStart(Linear):
    def init(self, key):
        return {"w": jnp.asarray(np.random.default_rng().standard_normal(3), jnp.float32)}


class MatrixLoss(Linear):
    def loss(self, params, batch, key):
        return jnp.square(batch["x"] * params["w"][None])


class CountsLoss(Linear):
    def loss(self, params, batch, key):
        return super().loss(params, batch, key) + jnp.float32(next(CALLS))


class BatchNormed(Linear):
    def loss(self, params, batch, key):
        x = batch["x"] - batch["x"].mean(0, keepdims=True)
        return super().loss(params, {**batch, "x": x}, key)


class RootLoss(Linear):
    """The gradient of a square root at 0."""

    def loss(self, params, batch, key):
        return jnp.sqrt(super().loss({"w": 0 * params["w"]}, {**batch, "y": 0 * batch["y"]}, key))


class HostLoss(Linear):
    def loss(self, params, batch, key):
        x = batch["x"] @ jax.lax.stop_gradient(params["w"])
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return super().loss(params, batch, key) + jax.pure_callback(lambda v: np.square(v), shape, x)


class MeanMetric(Linear):
    def metrics(self, params, batch):
        return {"loss": self.loss(params, batch, None).mean()}


TASKS = {
    "global start": (GlobalStart(), "init depends on its key alone"),
    "matrix loss": (MatrixLoss(), "loss is one number per example, or one"),
    "counts": (CountsLoss(), "the same numbers with and without jit"),
    "batch statistics": (BatchNormed(), "examples do not see each other"),
    "root": (RootLoss(), "gradients are finite and in the parameters' dtypes"),
    "host": (HostLoss(), "a node axis is a vmap"),
    "mean metric": (MeanMetric(), "metrics are one number per example"),
}
