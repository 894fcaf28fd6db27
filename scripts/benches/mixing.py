"""One gossip step W X against one copy of X (dense: one matrix product), for every kernel.

Target: at most 2.0 copies for 4-regular and circulant graphs at n >= 1024 and X of 64 MB (on a GPU or TPU 256 MB); smaller X lives in
the cache. The note `temporary` is the scratch memory of the step in copies of X: [n, k, d] would be k of them.
"""

import math
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np

from dejax import topology as tp

from . import _harness as h

SIZES = (64, 1024, 8192, 65536)
# of X; larger on a GPU or TPU, where a copy of 64 MB takes hardly longer than its call
MEGABYTES, ACCELERATED = 64, 256
DENSE_UP_TO = 8192  # nodes: W [n, n] takes 256 MB there, 16 GB at the next size


def cases(n: int) -> Iterable[tuple[str, Callable[[], tp.Topology]]]:
    """Name and graph for each kernel; graphs that a size cannot have are left out."""
    yield "circulant 2 (ring)", lambda: tp.ring(n)
    yield "circulant 4", lambda: tp.watts_strogatz(n, k=4, beta=0)
    yield "circulant 1 (one-peer exponential)", lambda: tp.one_peer_exponential(n)
    yield "4-regular", lambda: tp.random_regular(n, degree=4)
    yield "torus", lambda: tp.torus(n)
    yield "16-regular", lambda: tp.random_regular(n, degree=16)
    yield "matching", lambda: tp.random_matching(n)
    yield "hubs (Barabasi-Albert, m = 2)", lambda: tp.barabasi_albert(n, m=2)
    yield "star", lambda: tp.star(n)
    yield "complete", lambda: tp.complete(n)
    if n <= DENSE_UP_TO:
        yield "dense", lambda: _dense(n)


def _dense(n: int) -> tp.Topology:
    w = np.random.default_rng(0).random((n, n))
    return tp.from_matrix(w / w.sum(1, keepdims=True))


def _row(name: str, top: tp.Topology, x: jax.Array, options: h.Options) -> h.Row:
    links = jax.device_put(top.at(0, jax.random.key(0)))
    step, program = h.compiled(lambda links, x: links.mix(x), links, x)
    if name.startswith("dense"):
        w = jnp.asarray(top.matrix(), x.dtype)
        bound, against = "gemm", h.compiled(lambda w, x: jnp.matmul(w, x, precision="highest"), w, x)[0]
    else:
        bound, against = "copy", h.compiled(lambda x: x + 1, x)[0]
    got = h.turns({"step": step, bound: against}, options)
    scratch = (h.temporary_bytes(program) or 0) / x.nbytes
    kernel = type(top.links).__name__
    note = f"{kernel}, temporary {scratch:.2f} X"
    return got.row("mixing", name, top.n, "step", bound, note=note, kernel=kernel, temporary=scratch, bytes=x.nbytes)


def rows(options: h.Options) -> Iterable[h.Row]:
    """Large X at all sizes, then X of 1 MB at one."""
    large = ACCELERATED if h.accelerated() else MEGABYTES
    plan = [(1024, 1)] if options.quick else [*((n, large) for n in SIZES), (1024, 1)]
    for n, megabytes in plan:
        d = math.ceil(megabytes * 2**20 / options.real.itemsize / n)
        x = None
        for name, make in cases(n):
            full = f"{name}, X of {megabytes} MB"
            if options.wants(full, n):
                x = jax.random.normal(jax.random.key(0), (n, d), jnp.float32).astype(options.real) if x is None else x
                yield _row(full, make(), x, options)
