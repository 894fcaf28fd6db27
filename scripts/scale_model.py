"""Rounds per second and bytes per chip of D-PSGD for n = 1,024 to 1,048,576 nodes on 1 to 256 chips, on paper: the table of docs/scale.md.

    python scripts/scale_model.py
    JAX_NUM_CPU_DEVICES=8 python scripts/scale_model.py --check

Bytes of arrays come from `dejax plan`, rows that cross and rounds of sends from the exchange that dejax builds, bytes that a round takes
beside its arrays and seconds from a formula (`held`, `seconds`) with the data sheet of a chip. `--check` compiles a round for 8 simulated
devices and compares bytes sent and bytes held. Nothing runs.
"""

import argparse
import functools
import warnings
from typing import Any, NamedTuple

import jax
import numpy as np

import dejax as dj
from dejax import engine, mixing
from dejax.devices import placement
from dejax.planning import plan as planning
from dejax.planning.compiled import collectives

# Data sheet of TPU v5e, docs.cloud.google.com/tpu/docs/v5e: bfloat16 FLOP/s, memory, bytes/s of memory, 400 GB/s both ways over 4 ports
FLOPS, MEMORY, COPY, LINK = 197e12, 16e9, 819e9, 50e9
LATENCY = 10e-6  # seconds of one send: assumed, no data sheet has it
# Measured on a CPU, docs/performance.md: share of one big product that a local step of MLP 784-128-10, B = 16, reaches; copies of X that
# a mixing step at n = 8,192 takes
PRODUCTS, MIXING = 0.20, {"ring": 1.05, "4-regular": 1.30}

BATCH, SAMPLES, BUILT = 16, 60_000, 65_536  # the exchange of more nodes than BUILT is taken from that of BUILT
SIZES, CHIPS = (1_024, 16_384, 65_536, 1_048_576), (1, 8, 64, 256)
GRAPHS = {"ring": dj.topology.ring, "4-regular": lambda n: dj.topology.random_regular(n, degree=4, seed=0)}


class Exchange(NamedTuple):
    """What crosses in one round.

    Args:
      plan: bytes of one chip. crossing: rows that must cross, of all chips together. sent: the same with padding.
      width: rows that one chip sends at most, padding included. sends: R, one after another.
    """

    plan: planning.Plan
    crossing: int
    sent: int
    width: int
    sends: int


@functools.cache
def parts(graph: str, n: int) -> tuple[Any, dj.Problem, dj.Network]:
    """D-PSGD, MLP 784-128-10, 16 rows of 60,000 images a node."""
    arrays = {"x": np.zeros((SAMPLES, 784), np.float32), "y": np.zeros(SAMPLES, np.int32)}
    index = (np.arange(n * BATCH, dtype=np.int32) % SAMPLES).reshape(n, BATCH)
    data = dj.data.NodeData(arrays, index, np.full(n, BATCH, np.int32), even=True)
    problem = dj.Problem(dj.tasks.mlp(784, 128, 10), data, batch_size=BATCH)
    return dj.methods.dsgd(lr=0.1), problem, dj.Network(GRAPHS[graph](n))


@functools.cache
def built(graph: str, n: int, chips: int) -> Exchange:
    """Build the exchange and plan its memory on chips that need not be there."""
    given = parts(graph, n)
    if chips == 1:
        return Exchange(planning.plan(*given, rounds=10), 0, 0, 0, 0)
    ready = engine.prepare(*given, 10, placement.on_paper(chips))
    routes, e = ready[2].topology.links.routes, given[2].topology.host()
    order = None if ready[1].place.ids is None else mixing.relabel([e], chips)
    at = np.arange(n) if order is None else np.argsort(order)
    crossing = mixing.crossing(at[e.senders], at[e.receivers], n, chips)
    plan, sends = planning.plan(*given, rounds=10, mesh=chips, placed=ready), routes.rounds[0]
    return Exchange(plan, crossing, sum(len(pairs) * width for pairs, width in sends), routes.extra, len(sends))


def held(plan: planning.Plan, n: int, chips: int, width: float) -> float:
    """Bytes of the rounds on one chip: arrays, batches, mixed models; on several chips own and heard rows side by side, and those sent."""
    arrays = sum(p.total(n) for p in plan.parts if p.name not in (planning.PROGRAM, planning.TEST))
    row, nodes = 4 * plan.parameters, n / chips
    rows = nodes + (nodes + 2 * width if chips > 1 else 0)
    return arrays + nodes * BATCH * (784 + 1) * 4 + rows * row


def largest(graph: str, chips: int) -> int:
    """Most nodes that fit, by what one more of them takes at n = BUILT."""
    e = built(graph, BUILT, chips)
    bytes_ = lambda n: held(e.plan, n, chips, e.width if graph == "ring" else e.width * n / BUILT)
    node = (bytes_(2 * BUILT) - bytes_(BUILT)) / BUILT
    n = int(BUILT + (planning.KEEP * MEMORY - bytes_(BUILT)) / node)
    return n - n % chips


def seconds(graph: str, d: int, n: int, chips: int, width: float, sends: int) -> tuple[float, float, float]:
    """(local work, wire, latency) of one round."""
    compute = 4 * BATCH * d / (PRODUCTS * FLOPS)
    memory = (3 + 2 * MIXING[graph]) * 4 * d / COPY
    return n / chips * max(compute, memory), 4 * d * width / LINK, sends * LATENCY


def cells(graph: str, n: int, chips: int) -> list[str]:
    """What the table says of one graph."""
    base = min(n, BUILT)
    e, grown = built(graph, base, chips), 1 if graph == "ring" else n / base  # a ring cuts as many edges at any n
    about = "about " if grown > 1 and chips > 1 else ""
    times = seconds(graph, e.plan.parameters, n, chips, e.width * grown, e.sends)
    bytes_ = held(e.plan, n, chips, e.width * grown)
    memory = f"{bytes_ / 1e9:.3g} GB" + (", too much" if bytes_ > planning.KEEP * MEMORY else "")
    speed = f"{1 / sum(times):,.{0 if sum(times) < 0.1 else 2}f}"
    if graph == "ring":
        return [memory, f"{e.sends}", speed]
    most = max(zip(times, ("local work", "wire", "latency"), strict=True))[1]
    return [memory, f"{about}{e.crossing * grown / n:.2f}", f"{about}{e.sends}", speed, f"{most}"]


def check(n: int = 1_024, chips: int = 8) -> None:
    """Model against compiled program: bytes that all devices send in a round, bytes that one of them holds."""
    for graph in GRAPHS:
        given, e = parts(graph, n), built(graph, n, chips)
        ready = engine.prepare(*given, 10, placement.layout(chips))
        key = placement.replicate(jax.random.key(0), ready[1].place.mesh)
        lay = lambda has, x, ready=ready: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=ready[1].place.sharding(has))
        carry = jax.tree.map(lay, engine.carry_axes(*ready, key), jax.eval_shape(engine.start, *ready, key))
        number = np.int32(1)
        compiled = engine.run_chunk.lower(*ready, carry, key, number, number, 1, number).compile()
        sent = sum(collectives(compiled.as_text(), chips).values())
        row, m = 4 * e.plan.parameters, compiled.memory_analysis()
        bytes_ = m.argument_size_in_bytes + m.output_size_in_bytes - m.alias_size_in_bytes + m.temp_size_in_bytes
        print(
            f"{graph}, n = {n:,}, D = {chips}: sent {sent / row:,.1f} rows, model {e.sent:,}, must cross {e.crossing:,}; "
            f"held {bytes_ / 1e6:,.0f} MB, model {held(e.plan, n, chips, e.width) / 1e6:,.0f} MB"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    warnings.simplefilter("ignore")  # donated arguments that nothing takes
    if parser.parse_args().check:
        return check()
    print(
        "| n | chips | ring: a chip holds | R | rounds/s | 4-regular: a chip holds | rows that cross / n | R | rounds/s | most of it |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for n in SIZES:
        for chips in CHIPS:
            print(
                f"| {n:,} | {chips} | {' | '.join(cells('ring', n, chips) + cells('4-regular', n, chips))} |",
                flush=True,
            )
    for graph in GRAPHS:
        print(f"{graph}, largest n that fits: {', '.join(f'{largest(graph, chips):,} on {chips}' for chips in CHIPS)}")


if __name__ == "__main__":
    main()
