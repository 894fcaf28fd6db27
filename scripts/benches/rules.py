"""Every compressor and every rule of aggregation on X [n, d], as nanoseconds per parameter and node, against one copy of X."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

import dejax as dj
from dejax import aggregation, compression, engine

from . import _harness as h

N, DEGREE = 1024, 8
# parameters of a node; more on a GPU or TPU, where X of 8 MB is copied faster than a call is made
D, ACCELERATED = 2048, 32768
ROUNDS = 8  # in one call, so that the call does not count


def _compressors() -> dict[str, Any]:
    make = compression
    return {
        "top-k 1 %": make.top_k(ratio=0.01), "top-k 10 %": make.top_k(ratio=0.1), "rand-k 10 %": make.rand_k(ratio=0.1),
        "rand-k 10 %, unbiased": make.rand_k_unbiased(ratio=0.1), "qsgd 15": make.qsgd(levels=15),
        "qsgd 15, unbiased": make.qsgd_unbiased(levels=15),
    }  # fmt: skip


def _rules() -> dict[str, Any]:
    return {
        "weighted mean": aggregation.weighted_mean(), "coordinate median": aggregation.coordinate_median(),
        "trimmed mean, f = 2": aggregation.trimmed_mean(f=2), "nearest neighbors, f = 2": aggregation.nna(f=2),
    }  # fmt: skip


def _nothing(params: Any, batch: Any, key: Any) -> jax.Array:
    del key
    return 0.0 * params["x"][0] * batch["y"]


class Gossip:
    """Rounds of D-PSGD whose gradient costs nothing: what is left is the rule."""

    def __init__(self, rule: Any, x: jax.Array):
        n, d = x.shape
        data = dj.data.NodeData(
            {"y": jnp.ones(n, jnp.float32)}, jnp.arange(n)[:, None].astype(jnp.int32), jnp.ones(n, jnp.int32), even=True
        )
        network = dj.Network(dj.topology.random_regular(n, degree=DEGREE), rule=rule)
        problem = dj.Problem(
            dj.tasks.from_functions(lambda key: {"x": jnp.zeros(d, x.dtype)}, _nothing), data, block=None
        )
        self.parts, self.key = engine.prepare(dj.methods.dsgd(lr=0.0), problem, network), jax.random.key(0)
        self.carry = engine.start(*self.parts, self.key, {"x": x.copy()})

    def round(self) -> Any:
        """`ROUNDS` rounds."""
        self.carry, _ = engine.run_chunk(*self.parts, self.carry, self.key, jnp.int32(0), jnp.int32(ROUNDS), ROUNDS)
        return self.carry.state


def _row(got: h.Turns, name: str, x: jax.Array, per: int = 1) -> h.Row:
    each = got.ms("own", per) / x.size * 1e6
    note = f"{each:.3g} ns per parameter and node"
    return got.row("rules", name, len(x), "own", "copy", per=per, note=note, nanoseconds=each, shape=x.shape)


def rows(options: h.Options) -> Iterable[h.Row]:
    """Compressors, then rules on a random 8-regular graph (a copy is the bound; a neighborhood's values are 9 reads)."""
    n, d = 64 if options.quick else N, ACCELERATED if h.accelerated() else D
    members = {name: (True, make) for name, make in _compressors().items()}
    members |= {f"{name}, {DEGREE} neighbors": (False, make) for name, make in _rules().items()}
    wanted = {name: member for name, member in members.items() if options.wants(name, n)}
    if not wanted:
        return
    x = jax.random.normal(jax.random.key(0), (n, d), jnp.float32).astype(options.real)
    copy, keys = h.compiled(lambda x: x + 1, x)[0], jax.random.split(jax.random.key(1), n)
    for name, (compresses, member) in wanted.items():
        if compresses:
            own = h.compiled(lambda keys, x, c=member: c.apply(keys, x)[0], keys, x)[0]
            yield _row(h.turns({"own": own, "copy": copy}, options), name, x)
        else:
            yield _row(h.turns({"own": Gossip(member, x).round, "copy": copy}, options), name, x, ROUNDS)
