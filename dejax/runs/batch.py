"""Runs that advance together as one program.

Their state is on the device, their counters on the host; checkpoints hold both.
"""

import abc
import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from .. import engine
from ..core import tree
from ..core.struct import labelled
from ..core.types import MeshLike, Tree
from ..devices import placement, processes
from ..devices.processes import to_host
from ..errors import Words, bad
from ..metrics import direction
from ..metrics.together import Together
from ..metrics.view import Lazy, View
from ..report.arrays import Arrays
from ..report.history import KEYS, Record
from ..report.seeds import over_lanes
from ..xla.compile_once import once
from . import vmapped
from .counters import Counters
from .end import End
from .fingerprint import fingerprint
from .phased import Phased

CHUNK = 128  # most rounds between two looks of the host; shapes nothing but the meters' buffer


class Batch(Phased):
    """Runs that are alike but for keys and some numbers, as one program for the driver.

    Subclasses set `stages`, `stage` and `key`. `carry` is donated to every chunk.

    Attributes:
      label: names the whole: its checkpoints, its line on the terminal. lanes: (label, seed) of
        every run.
      many: whether carry and keys have a leading axis of `width` >= len(lanes) runs; those beyond
        the lanes are not looked at.
      broken: lane -> (round, node) where it stopped being finite, for runs that let the others go
        on. ended: lane -> where and why, of those that ended before the last round. closed: lanes whose last record is written.
    """

    seeds: list[int]
    key: Any
    copies = 0.0  # bytes that it holds beside the plan of `given` with `width` seeds
    fewer = ""  # what to take less of, where it does not fit

    def __init__(
        self,
        label: str,
        lanes: list[tuple[str, int]],
        many: bool,
        rounds: int,
        mesh: MeshLike,
        width: int | None = None,
    ):
        self.label, self.lanes, self.many, self.rounds = label, lanes, many, rounds
        self.id = uuid.uuid4().hex  # by which sinks know it, where it has no run directory
        self.width = len(lanes) if width is None else width
        self.layout: Any = placement.as_layout(mesh)
        if self.layout is None and processes.count() > 1:
            why = f"but this job has {processes.count()} processes"
            way = "give " + Words("mesh={}", "mesh: {}") + " to spread nodes over the devices of all"
            raise bad("mesh", None, why=why, instead=way)
        self.initial: Any = None  # starts as given, by node id
        self.carry: Any = None
        self.round = 0
        self.counters = [Counters() for _ in lanes]
        self.broken: dict[int, tuple[int, int]] = {}
        self.ended: dict[int, End] = {}
        self.closed: set[int] = set()
        self._prints: dict[str, Any] | None = None
        self.records: list[Record] = []
        self.arrays = Arrays()
        self.forms: dict[str, str] = {}  # of what metrics return: "a number" or "an array", by name
        self.held: int | None = None  # how many records the checkpoint that it goes on from was written after
        self.errors: list[Any] = []
        self.wall, self.compile = 0.0, 0.0
        self.pace: tuple[float, int] = (0.0, 0)  # real seconds in chunks, and the rounds that these computed
        self.started, self.status = False, "done"
        self.cadence: Any = None
        self.shape: dict[str, Any] = {}

    @property
    def labels(self) -> list[str]:
        """The labels of the lanes, each once."""
        return list(dict.fromkeys(label for label, _ in self.lanes))

    def blamed(self) -> contextlib.AbstractContextManager[Any]:
        """A stretch in which what is refused is about these runs."""
        return labelled(self.label)

    # ---- the device
    @property
    def place(self) -> Any:
        """Where nodes stand; None without a mesh."""
        return self.ready[1].place

    @property
    def _lead(self) -> tuple[str, ...]:
        return (placement.RUNS,) if self.many else ()

    @property
    def values(self) -> list[Any]:
        """The varying leaves of all runs, [width, ...] each."""
        return []

    @property
    def values_like(self) -> list[Any]:
        """Shapes of `values`."""
        return []

    def moved(self, which: str, values: Tree) -> Any:
        """Carries (or states) in the order of node ids ("in_order") or of places ("to_places")."""
        if self.place is None or self.place.ids is None:
            return values
        return vmapped.move(which, int(self.many), vmapped.Static(self.axes), self.place, values)

    @property
    def axes(self) -> Any:
        """Which leaves of the carry have the node axis."""
        if self.stage.axes is None:
            key = self.key[0] if self.many else self.key
            method, problem, network = self.ready
            self.stage.axes = engine.carry_axes(method, problem, network, key, _like(self.initial))
        return self.stage.axes

    def _program(self, name: str) -> Any:
        """`start`, `run_chunk` or `model` of the engine, for all runs at once."""
        one = getattr(engine, name)
        program = vmapped.over_lanes(name, self.place is not None, self.varying) if self.many else one
        return once(program) if name == "start" else program

    def _begin(self, values: list[Any], params: Tree) -> tuple[Any, ...]:
        """The arguments of `start`."""
        return (*self.ready, *([values] if self.many else []), self.key, params)

    def recorded(self) -> Any:
        """Return the traced program of `start`, in which one round was recorded; it is kept."""
        return self._recorded().jaxpr

    def _recorded(self) -> Any:
        return self._program("start").trace(*self._begin(self.values_like, _like(self.initial)))

    def start(self) -> None:
        """The carry before round 0."""
        self.stage = self.stages[0]
        params = engine.laid_out(self.ready[1], self.initial)
        self.carry = self._in_place(self._program("start")(*self._begin(self.values, params)))
        self.round, self.started = 0, True
        self.counters, self.broken = [Counters() for _ in self.lanes], {}
        self.ended, self.closed = {}, set()

    def abstract(self) -> Any:
        """Shapes, dtypes and (on a mesh) shardings of the carry, without computing it."""
        carry = self._recorded().out_info
        if self.place is None:
            return carry
        return tree.map(
            lambda has, x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.place.of(has, x, self._lead)),
            self.axes,
            carry,
        )

    def _chunk(self, carry: Tree, count: int) -> tuple[list[Any], list[Any]]:
        """The arguments of `run_chunk` before its static length, and after it."""
        values = [self.values] if self.many else []
        before = [*self.ready, carry, *values, self.key, np.int32(self.round), np.int32(count)]
        return before, [np.int32(self.rounds)]

    def compiled(self) -> Any:
        """Compile the program of up to `CHUNK` rounds; the compiled object is what runs the rounds.

        It is compiled ahead of the first round, for the shapes of the carry.

        JAX keeps what it compiled by the traced program, so that runs of equal shapes share it. It
        takes carries that were computed or loaded, and any number of rounds, but each leaf where it
        was compiled for: see `_in_place`.
        """
        if self.stage.compiled is None:
            began = time.perf_counter()
            before, after = self._chunk(self.abstract(), 1)
            self.stage.compiled = self._program("run_chunk").lower(*before, CHUNK, *after).compile()
            self.compile += time.perf_counter() - began
        return self.stage.compiled

    def _in_place(self, carry: Tree) -> Any:
        """Place all leaves of the carry where the rounds expect them, on a mesh."""
        if self.place is None:
            return carry
        to = lambda has, x: self.place.of(has, x, self._lead)
        there = lambda h, x: x if x.sharding.is_equivalent_to(to(h, x), x.ndim) else placement.place_array(x, to(h, x))
        return tree.map(there, self.axes, carry)

    def advance(self, count: int, wanted: Callable[[Tree], int] | None = None) -> tuple[Any, int]:
        """Advance by `count` rounds; return their meters on the host, and `count`.

        Meters are [count, ...] (after runs). wanted: says by the meters how many of these rounds are; where fewer, they are run again alone.
        """
        self._go_on()
        program = self.compiled()
        spare = None if wanted is None else vmapped.copied(self.carry)
        began = time.perf_counter()
        before, after = self._chunk(self._in_place(self.carry), count)
        self.carry, meters = program(*before, *after)
        meters = to_host(meters)
        self.pace = (self.pace[0] + time.perf_counter() - began, self.pace[1] + count)
        cut = (slice(None), slice(0, count)) if self.many else (slice(0, count),)
        meters = tree.map(lambda x: x[cut], meters)
        if wanted is not None and (fewer := wanted(meters)) < count:
            self.carry = spare
            return self.advance(fewer)
        self.round += count
        return meters, count

    @property
    def alive(self) -> bool:
        """Whether the final state is there (a chunk that was interrupted half-way has none)."""
        return self.carry is not None and not any(
            x.is_deleted() for x in tree.leaves(self.carry) if isinstance(x, jax.Array)
        )

    def release(self) -> None:
        """Called when the runs are over and saved; what is not looked at again may go."""

    # ---- what is measured
    def method_of(self, at: int) -> Any:
        """The method of a lane, as it runs."""
        return self.ready[0]

    def network_of(self, at: int) -> Any:
        """The network of a lane, by node id."""
        return self.network

    def views(self, nodes: int | None = None, width: int | None = None) -> Iterator[tuple[int, View]]:
        """The current moment of every lane that is not closed, with its place, one after another."""
        together = self._together()
        for at in range(len(self.lanes)):
            if at not in self.closed:
                yield at, self.lane(at, nodes, width, together)

    def lane(
        self, at: int, nodes: int | None = None, width: int | None = None, together: Together | None = None
    ) -> View:
        """The current moment of one lane."""
        carry, method = self.carry, self.method_of(at)

        def state(carry: Tree) -> Any:
            state = engine.state_of(carry)
            return vmapped.lane(state, np.int32(at)) if self.many else state

        in_order = lambda: state(self.moved("in_order", carry))
        model = lambda: engine.model(method, state(carry))  # on a mesh: nodes where they stand
        return View(
            Lazy(model) if together else model(),
            self.problem,
            self.network_of(at),
            state=Lazy(in_order),
            index=self.round,
            key=vmapped.key_of(self.lanes[at][1]),
            nodes=nodes,
            width=width,
            place=self.place,
            together=(together, at) if together else None,
            others=lambda: vmapped.views(method, self.place, state(carry), in_order),
            counted=self.counters[at].counts() | self.counters[at].ways(),
        )

    def _together(self) -> Together | None:
        """The models of all lanes at this moment, where it pays to measure them at once."""
        if not self.many or len(self.lanes) == 1 or self.place is not None or not Together.pays(self.carry.state):
            return None
        return Together(self._program("model")(*self.ready, self.carry, self.values), self.key)

    # ---- what is written down
    @abc.abstractmethod
    def facts(self) -> dict[str, dict[str, Any]]:
        """label -> plain facts for tables and files."""

    @abc.abstractmethod
    def setups(self) -> dict[str, dict[str, Any]]:
        """label -> all that its run was made of, in plain values; see `report.setup`."""

    def common_facts(self) -> dict[str, Any]:
        """Plain facts that hold for all labels."""
        out = {"rounds": self.round, "seeds": self.seeds, "nodes": int(self.problem.n)}
        data = self.problem.data
        out |= {} if data.validation is None else {"validation": "common" if data.validation_index is None else "own"}
        out |= {"phases": [stage.end for stage in self.stages[:-1]]} if len(self.stages) > 1 else {}
        out |= self.shape | {"wall": round(self.wall, 3), "compile": round(self.compile, 3)}
        own = () if self.cadence is None else self.cadence.measures(self.problem)
        out |= {"higher": found} if (found := direction.declared(self.problem.task, *own)) else {}
        seconds, rounds = self.pace
        return out | ({"wall/round": float(f"{seconds / rounds:.4g}")} if rounds else {})

    @abc.abstractmethod
    def graphs(self) -> dict[str, Any]:
        """label -> the graphs of its phases for pictures; see `report.graphs.of_phases`."""

    @abc.abstractmethod
    def fingerprints(self) -> dict[str, Any]:
        """What a checkpoint must share with these runs."""

    def prints(self) -> dict[str, Any]:
        """`fingerprints`, of which the data are read once."""
        if self._prints is None:
            self._prints = self.fingerprints()
        return self._prints

    def swept(self) -> dict[str, dict[str, Any]]:
        """label -> what a sweep has set for it, where one has; see `group.Member`."""
        return {}

    def marks(self, at: int) -> dict[str, Any]:
        """Numbers that all records of a lane hold."""
        return {}

    def end(self, at: int, end: End) -> None:
        """Let a lane end; the others go on."""
        self.ended[at] = end
        self.closed.add(at)

    def stopped(self, label: str | None = None) -> End | None:
        """The last end of the lanes of a label (None: of all).

        None unless all of them that are finite ended before the last round.
        """
        mine = [at for at, (own, _) in enumerate(self.lanes) if label in (None, own) and at not in self.broken]
        return max(self.ended[at] for at in mine) if mine and self.ended.keys() >= set(mine) else None

    def early(self, label: str) -> dict[str, Any]:
        """The fact `ended` of a label: which of its seeds ended before the last round, and why."""
        mine = {
            str(seed): self.ended[at].said
            for at, (own, seed) in enumerate(self.lanes)
            if own == label and at in self.ended
        }
        return {"ended": mine} if mine else {}

    @property
    def _silent(self) -> set[int]:
        """Lanes of which nothing is said: those that diverged or ended, as long as others go on."""
        over = self.broken.keys() | self.ended.keys()
        return set(over if len(over) < len(self.lanes) else self.broken)

    def said(self) -> dict[str, Any]:
        """Give the numbers of the last evaluation, over the lanes that go on."""
        last = [r for r in self.records[-len(self.lanes) :] if r["round"] == self.records[-1]["round"]]
        last = [r for r in last if (r["run"], r["seed"]) not in {self.lanes[at] for at in self._silent}]
        names = dict.fromkeys(name for r in last for name in r if name not in KEYS)
        return {name: over_lanes([r[name] for r in last if name in r]) for name in names}

    def loss(self) -> Any:
        """Give the last training loss, over the lanes that go on."""
        return over_lanes([c.last_loss for i, c in enumerate(self.counters) if i not in self._silent])

    @property
    def of(self) -> str:
        """Say what the numbers of a line are means of; nothing for one lane."""
        left = len(self.lanes) - len(self._silent)
        return "" if left < 2 else f"{left} seeds" if len(self.labels) == 1 else f"{left} runs"

    def diverged(self, error: ArithmeticError, lane: int) -> None:
        """Called when a lane stops being finite: it ends all."""
        raise error

    def data_name(self) -> str:
        """The data in words, the same for the same data alone: name, nodes and a digest."""
        data = self.stages[0].given[1].data
        return f"{data.name}, {data.n} nodes, {fingerprint(data)[:8]}"


def _like(params: Tree) -> Any:
    """Shapes of given starts."""
    return jax.eval_shape(lambda x: x, params)


__all__ = ["Batch"]
