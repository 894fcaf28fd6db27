"""Time of one gossip step W X against its bound, for every kernel.

    python scripts/bench_mixing.py [--n 1024 8192] [--megabytes 64] [--json FILE]

The bound is one copy of X (read and written once) for sparse W, and one matrix product [n, n] x [n, d] for dense W. Bound
and kernel are timed in turns; a ratio is the median of the ratios of neighboring pairs, with its quartiles.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dejax import topology as tp

SIZES = (64, 1024, 8192, 65536)
MEGABYTES = 64
DENSE_UP_TO = 2048  # nodes: a [n, n] matrix and its product


def cases(n: int) -> Iterable[tuple[str, Callable[[], tp.Topology]]]:
    """Name and graph for each kernel; graphs that a size cannot have are left out."""
    yield "circulant 2 (ring)", lambda: tp.ring(n)
    yield "circulant 4", lambda: tp.watts_strogatz(n, k=4, beta=0) if n <= 8192 else tp.ring(n)
    yield "one peer", lambda: tp.one_peer_exponential(n)
    yield "4-regular", lambda: tp.random_regular(n, degree=4)
    yield "torus", lambda: tp.torus(n)
    yield "16-regular", lambda: tp.random_regular(n, degree=16)
    yield "matching", lambda: tp.random_matching(n)
    yield "hubs (barabasi-albert)", lambda: tp.barabasi_albert(n, m=2)
    yield "star", lambda: tp.star(n)
    yield "complete", lambda: tp.complete(n)
    if n <= DENSE_UP_TO:
        yield "dense", lambda: _dense(n)


def _dense(n: int) -> tp.Topology:
    w = np.random.default_rng(0).random((n, n))
    return tp.from_matrix(w / w.sum(1, keepdims=True))


def _seconds(fn: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(fn())
    return time.perf_counter() - start


def measure(name: str, top: tp.Topology, x: jax.Array, repeats: int) -> dict[str, Any]:
    """One row: the kernel and its bound, in turns."""
    links = jax.device_put(top.at(0, jax.random.key(0)))
    step = jax.jit(lambda links, x: links.mix(x)).lower(links, x).compile()
    if name == "dense":
        bound_name, w = "gemm", jnp.asarray(top.matrix(), jnp.float32)
        product = jax.jit(lambda w, x: jnp.matmul(w, x, precision=jax.lax.Precision.HIGHEST)).lower(w, x).compile()
        bound = lambda: product(w, x)
    else:
        copy = jax.jit(lambda x: x + 1).lower(x).compile()
        bound_name, bound = "copy", lambda: copy(x)
    jax.block_until_ready((step(links, x), bound()))
    pairs = np.array([(_seconds(lambda: step(links, x)), _seconds(bound)) for _ in range(repeats)])
    ratios = pairs[:, 0] / pairs[:, 1]
    low, ratio, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return {
        "group": "mixing", "name": name, "n": top.n, "ms": float(np.median(pairs[:, 0]) * 1e3),
        "bound": f"{bound_name} {np.median(pairs[:, 1]) * 1e3:.1f} ms", "ratio": float(ratio),
        "spread": f"{low:.2f}-{high:.2f}", "kernel": type(top.links).__name__,
        "temporary": step.memory_analysis().temp_size_in_bytes / x.nbytes,
    }  # fmt: skip


def rows(
    sizes: Sequence[int] = SIZES,
    megabytes: float = MEGABYTES,
    repeats: int = 9,
    only: str = "",
    show: Callable[[dict[str, Any]], None] = lambda row: None,
) -> list[dict[str, Any]]:
    """All measurements: dicts with group, name, n, ms, bound, ratio, and spread, kernel, temporary (copies of X).

    `show` is called with each row as soon as it is there.
    """
    out = []
    for n in sizes:
        x = jax.random.normal(jax.random.key(0), (n, math.ceil(megabytes * 2**20 / 4 / n)), jnp.float32)
        for name, make in cases(n):
            if only in name:
                out.append(measure(name, make(), x, repeats))
                show(out[-1])
    return out


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--megabytes", type=float, default=MEGABYTES)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", default="", help="part of a name")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    device = jax.devices()[0]
    print(f"{device.platform} {device.device_kind}, jax {jax.__version__}, X of {args.megabytes:g} MB float32")
    print(f"{'name':24}{'n':>7}{'kernel':>19}{'ms':>9}  {'bound':16}{'ratio':>6}  {'quartiles':12}{'temporary':>9}")

    def show(r: dict[str, Any]) -> None:
        print(
            f"{r['name']:24}{r['n']:7}{r['kernel']:>19}{r['ms']:9.1f}  {r['bound']:16}{r['ratio']:6.2f}  "
            f"{r['spread']:12}{r['temporary']:9.2f}",
            flush=True,
        )

    table = rows(args.n, args.megabytes, args.repeats, args.only, show)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
