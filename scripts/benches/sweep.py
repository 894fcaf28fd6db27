"""A sweep of 8 learning rates x 4 seeds as one vmapped program against the 32 runs one after another, and its compilations.

Target: 4x at n = 16. What bounds it is the machine: 32 runs at once cannot do more node-steps a second than one run with 32 times
the nodes; the row says how many that is. "end to end" is what users wait for, records and evaluations included: 32 calls of `simulate`
against the groups of the `dejax sweep` command, both compiled before.
"""

import dataclasses
import inspect
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

import dejax as dj
from dejax import engine
from dejax.runs.cadence import Cadence
from dejax.runs.group import Member, grouped
from dejax.runs.simulate import drive_all

from . import _harness as h, _models as models
from .round import CHUNK, Own

RATES, SEEDS, ROUNDS = 8, 4, 64


class Many:
    """All runs as one program, as `dejax sweep` makes it."""

    def __init__(self, own: Own):
        _, problem, network = own.parts
        start, chunk = (inspect.unwrap(f) for f in (engine.start, engine.run_chunk))
        self.rates = jnp.repeat(jnp.geomspace(0.01, 0.3, RATES).astype(jnp.float32), SEEDS)
        self.keys = jnp.stack([jax.random.key(s) for s in range(SEEDS)] * RATES)
        self.shared = (problem, network)
        one = lambda lr, key, p, w, params: start(dj.methods.dsgd(lr=lr), p, w, key, params)
        self.carry = jax.jit(jax.vmap(one, (0, 0, None, None, None)))(self.rates, self.keys, *self.shared, own.start)

        def step(carry: Any, lr: Any, key: Any, p: Any, w: Any) -> Any:
            return chunk(dj.methods.dsgd(lr=lr), p, w, carry, key, jnp.int32(0), jnp.int32(ROUNDS), CHUNK)[0]

        self.step = jax.jit(jax.vmap(step, (0, 0, 0, None, None)), donate_argnums=0)

    def round(self) -> Any:
        """`ROUNDS` rounds of every run."""
        self.carry = self.step(self.carry, self.rates, self.keys, *self.shared)
        return self.carry.state.params


def _end_to_end(name: str, options: h.Options) -> h.Row:
    data = dj.data.digits().partition(dj.data.dirichlet(alpha=1.0), nodes=16, seed=0)
    task = models.in_dtype(dj.tasks.mlp(64, 32, 10), options.real)
    arrays, test = models.cast((data.arrays, data.test), options.real)
    data = dataclasses.replace(data, arrays=arrays, test=test)
    problem = dj.Problem(task, data, batch_size=16)
    network, rounds = dj.Network(dj.topology.ring(16)), 200
    rates = [float(lr) for lr in jnp.geomspace(0.01, 0.3, RATES)]

    def in_turn() -> None:
        for lr in rates:
            for seed in range(SEEDS):
                dj.simulate(dj.methods.dsgd(lr=lr), problem, network, rounds, seed=seed, progress=False)

    def many() -> None:
        members = [Member(f"lr={lr}", (dj.methods.dsgd(lr=lr), problem, network), rounds) for lr in rates]
        todo = [(group, Cadence(rounds)) for group in grouped(members, range(SEEDS))]
        drive_all(todo, (), progress=False, directory=None, check_memory=True)

    got = h.turns({"many": many, "in turn": in_turn}, options, least=3)
    note = f"{rounds} rounds, 21 evaluations each"
    return got.row("sweep", name, 16, "many", "in turn", rival=True, note=note)


def rows(options: h.Options) -> Iterable[h.Row]:
    """Three models, from one that is all overhead to one that is all products."""
    cases = [models.mlp(16, 10), models.mlp(16, 16, 10), models.mlp(64, 32, 10)]
    for model in cases[:1] if options.quick else cases:
        name = f"{model.name}, {RATES} x {SEEDS} runs"
        if not options.wants(name, 16):
            continue
        own, wide = Own(model, 16, options), Own(model, 16 * RATES * SEEDS, options)
        own.count = ROUNDS
        many = Many(own)
        with h.compilations() as seen:
            many.round()

        def in_turn(own: Own = own) -> Any:
            for _ in range(RATES * SEEDS):
                out = own.round()
            return out

        got = h.turns({"many": many.round, "in turn": in_turn, "wide": wide.round}, options, least=3)
        note = f"{len(seen)} compilation; as one run of {16 * RATES * SEEDS} nodes: {got.ms('wide', wide.count):.3g} ms"
        yield got.row(
            "sweep",
            name,
            16,
            "many",
            "in turn",
            per=ROUNDS,
            against_per=ROUNDS,
            rival=True,
            note=note,
            compilations=len(seen),
        )
    name = f"end to end, {RATES} x {SEEDS} runs, digits"
    if options.wants(name, 16):
        yield _end_to_end(name, options)
