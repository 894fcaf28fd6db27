"""One run as the driver sees it: state on the device, counters on the host, checkpoints of both."""

import copy
import re
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import _code, _place, _processes, _tree as tree, checkpoint
from ._counters import Counters
from ._fingerprint import fingerprint
from ._processes import to_host
from ._rundir import RunDir
from .checkpoint import CheckpointError
from .history import Record
from .metrics._view import Lazy, View


class Run:
    """A method on a problem over a network, for one or several seeds, and how far it has come.

    `carry` holds state and slots on the device (with a leading seeds axis if `many`); it is donated to every chunk.
    """

    def __init__(
        self, label: str, method: Any, problem: Any, network: Any, seed: Any, rounds: int, params: Any = None,
        placed: dict[int, Any] | None = None, mesh: Any = None,
    ):  # fmt: skip
        from . import engine

        if not isinstance(label, str) or not label:
            raise TypeError(f"label is {label!r}; give a text that is not empty")
        self.label, self.engine = label, engine
        self.seeds, self.many = seeds_of(seed)
        self.description = _readable(method)
        self.given = (method, problem, network)
        self.placed: dict[int, Any] = {} if placed is None else placed
        self.layout: Any = _place.as_layout(mesh)
        if self.layout is None and _processes.count() > 1:
            raise ValueError(
                f"mesh is None, but this job has {_processes.count()} processes; give mesh={{}} to spread nodes over the devices of all"
            )
        self.lengthen(rounds)
        self.initial = params  # as given, by node id
        self.begins: Any = self.engine.laid_out(self.ready[1], params)
        keys = [jax.random.key(s) for s in self.seeds]
        self.key = jnp.stack(keys) if self.many else keys[0]
        if self.layout is not None:
            self._lay_out_seeds()
        self.carry: Any = None
        self.round = 0
        self.counters = [Counters() for _ in self.seeds]
        self.records: list[Record] = []
        self.errors: list[Any] = []
        self.wall, self.compile = 0.0, 0.0
        self.started, self.status = False, "done"
        self.schedule: Any = None
        self.shape: dict[str, Any] = {}

    # ---- the device
    def lengthen(self, rounds: int) -> None:
        """Check and prepare method, problem and network for `rounds` rounds in all; data go to the device once."""
        method, problem, network = self.engine.prepare(*self.given, rounds)
        self.method, self.network, self.rounds = method, network, rounds
        self.problem = tree.map(self._put, problem)
        self.ready = (method, self.problem, network)  # what runs; on a mesh with nodes in their places
        if self.layout is not None:
            # lists per node from the host, so that each device gets its own rows of them
            rows = {"index": problem.data.index, "count": problem.data.count}
            given = replace(self.problem, data=replace(self.problem.data, **rows))
            self.ready = self.engine.placed(method, given, network, self.layout)

    def _put(self, x: Any) -> Any:
        if isinstance(x, np.ndarray):
            found = self.placed.get(id(x))
            if found is None:
                there = jnp.asarray(x) if self.layout is None else _place.everywhere(x, self.layout.mesh)
                found = self.placed[id(x)] = (x, there)  # x is kept, so that its id stays its own
            return found[1]
        return x

    def _lay_out_seeds(self) -> None:
        """Put keys on the mesh.

        Raises:
          ValueError: the axis `runs` does not split the seeds evenly.
        """
        runs = self.place.mesh.shape[_place.RUNS]
        count = len(self.seeds)
        if count % runs:
            there = "is 1 seed" if count == 1 else f"are {count} seeds"
            raise ValueError(
                f"mesh has {runs} devices along runs, but there {there}; make runs a divisor of the number of seeds"
            )
        lead = (_place.RUNS,) if self.many else ()
        self.key = _place.put(self.key, self.place.sharding(False, lead))
        self._axes: Any = None

    @property
    def place(self) -> Any:
        """Where nodes stand; None without a mesh."""
        return self.ready[1].place

    def _moved(self, which: str, values: Any) -> Any:
        """Carries (or states) in the order of node ids ("in_order") or of places ("to_places")."""
        if self.place is None or self.place.ids is None:
            return values
        return _move(which, int(self.many), _Static(self.axes), self.place, values)

    @property
    def axes(self) -> Any:
        """Which leaves of the carry have the node axis."""
        if self._axes is None:
            key = self.key[0] if self.many else self.key
            self._axes = self.engine.carry_axes(*self.ready, key, self.begins)
        return self._axes

    @property
    def _begin(self) -> Any:
        return _over_seeds(self.engine.start, 1, self.place is not None) if self.many else self.engine.start

    def recorded(self) -> Any:
        """The traced program of `start`, in which one round was recorded; the trace is kept, and `start` uses it."""
        return self._begin.trace(*self.ready, self.key, self.begins).jaxpr

    def start(self) -> None:
        """The carry before round 0."""
        self.carry = self._begin(*self.ready, self.key, self.begins)
        self.round, self.started = 0, True
        self.counters = [Counters() for _ in self.seeds]

    def abstract(self) -> Any:
        """Shapes, dtypes and (on a mesh) shardings of the carry, without computing it."""
        carry = jax.eval_shape(self._begin, *self.ready, self.key, self.begins)
        if self.place is None:
            return carry
        lead = (_place.RUNS,) if self.many else ()
        return tree.map(
            lambda has, x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.place.sharding(has, lead)),
            self.axes,
            carry,
        )

    def advance(self, count: int, length: int) -> Any:
        """`count` more rounds; their meters on the host, with leading axis `count` (after seeds, if `many`)."""
        on_mesh = self.place is not None
        run_chunk = _over_seeds(self.engine.run_chunk, 0, on_mesh) if self.many else self.engine.run_chunk
        numbers = (np.int32(self.round), np.int32(count), length, np.int32(self.rounds))
        self.carry, meters = run_chunk(*self.ready, self.carry, self.key, *numbers)
        meters = to_host(meters)
        self.round += count
        cut = (slice(None), slice(0, count)) if self.many else (slice(0, count),)
        return tree.map(lambda x: x[cut], meters)

    @property
    def alive(self) -> bool:
        """Whether the final state is there (a chunk that was interrupted half-way has none)."""
        return self.carry is not None and not any(
            x.is_deleted() for x in tree.leaves(self.carry) if isinstance(x, jax.Array)
        )

    # ---- what others look at
    @property
    def state(self) -> Any:
        """The method's state (leading seeds axis if `many`), by node id; with several hosts a copy of all of it on each."""
        carry = self._moved("in_order", self.carry)
        return self.engine.state_of(carry if _processes.count() == 1 else to_host(carry))

    def params(self, seed: int | None = None) -> Any:
        """What is evaluated; with several seeds that of `seed`, or of all (stacked) if None."""
        if not self.many:
            self._seed(seed)
            return self.engine.model(self.method, self.state)
        if seed is None:
            return jax.vmap(lambda s: self.engine.model(self.method, s))(self.state)
        return self.engine.model(self.method, tree.map(lambda x: x[self._seed(seed)], self.state))

    def view(self, seed: int | None = None, nodes: int | None = None, width: int | None = None) -> View:
        """The current moment of one seed."""
        at = self._seed(seed)
        carry = self.carry

        def state(carry: Any) -> Any:
            state = self.engine.state_of(carry)
            return tree.map(lambda x: x[at], state) if self.many else state

        return View(
            self.engine.model(self.ready[0], state(carry)),  # on a mesh: nodes where they stand
            self.problem,
            self.network,
            state=Lazy(lambda: state(self._moved("in_order", carry))),
            index=self.round,
            key=jax.random.key(self.seeds[at]),
            nodes=nodes,
            width=width,
            place=self.place,
        )

    def _seed(self, seed: int | None) -> int:
        if seed is None:
            if len(self.seeds) > 1:
                raise ValueError(f"run {self.label!r} has seeds {self.seeds}; say which: seed=...")
            return 0
        if seed not in self.seeds:
            raise ValueError(f"run {self.label!r} has no seed {seed}; it has {self.seeds}")
        return self.seeds.index(seed)

    def again(self) -> "Run":
        """A copy to go on from, with buffers of its own (this one's state stays readable)."""
        if not self.alive:
            raise ValueError(f"run {self.label!r} has no final state in memory; resume it from its run directory")
        other = copy.copy(self)
        other.carry = tree.map(jnp.copy, self.carry)
        other.counters = [copy.deepcopy(c) for c in self.counters]
        other.records, other.errors = list(self.records), []
        return other

    def facts(self) -> dict[str, Any]:
        """Plain facts for tables and files."""
        out = {"status": self.status, "rounds": self.round, "seeds": self.seeds, "nodes": int(self.problem.n)}
        steps = getattr(self.method, "local_steps", None)
        out |= {"local_steps": steps} if isinstance(steps, int) else {}
        out |= self.shape | {"method": self.description, "wall": round(self.wall, 3), "compile": round(self.compile, 3)}
        return out

    def data_name(self) -> str:
        """The data in words, the same for the same data alone: name, nodes and a digest."""
        data = self.given[1].data
        return f"{data.name}, {data.n} nodes, {fingerprint(data)[:8]}"

    def fingerprints(self) -> dict[str, Any]:
        """What a checkpoint must share with this run."""
        network = self.engine.typed(self.given[2])  # not the prepared one: an event plan grows with `rounds`
        parts = {"method": self.method, "problem": self.problem, "network": network, "params": self.initial}
        found = {
            k: v
            for name, part in zip(("method", "problem", "network"), self.given, strict=True)
            for k, v in _code.functions(part, name).items()
        }
        seeds = self.seeds if self.many else self.seeds[0]  # the arrays of several have a seeds axis, even those of one
        return {name: fingerprint(part) for name, part in parts.items()} | {
            "seeds": seeds,
            "code": {"python": _code.python(), "functions": found},
        }

    # ---- checkpoints
    def save(self, directory: RunDir) -> None:
        """Write a checkpoint of this moment."""
        facts = {"label": self.label, "experiment": self.fingerprints(), "wall": self.wall, "compile": self.compile}
        carry = self._moved("in_order", self.carry)
        directory.save(self.label, self.round, carry, facts | {"counters": [c.plain() for c in self.counters]})

    def restore(self, directory: RunDir) -> bool:
        """Go back to the newest checkpoint; False if there is none.

        Raises:
          CheckpointError: damaged, or of another experiment.
        """
        path = directory.saved(self.label)
        if path is None:
            return False
        manifest = _processes.led(checkpoint.read_manifest)(path)
        theirs, mine = manifest["facts"].get("experiment", {}), self.fingerprints()
        with _processes.everyone():
            if (other := _difference(theirs, mine)) is not None:
                raise CheckpointError(
                    f"{path} is of another experiment: its {other}. Resume with the same method, problem, network and "
                    "seeds; to go on from its models with others, start anew with params="
                )
        carry, facts = checkpoint.load(path, self.abstract())
        self.carry = self._moved("to_places", carry)
        self.round, self.started = int(path.name.removeprefix("round_")), True
        self.counters = [Counters.from_plain(c) for c in facts["counters"]]
        self.wall, self.compile = float(facts["wall"]), float(facts["compile"])
        return True


def _difference(theirs: dict[str, Any], mine: dict[str, Any]) -> str | None:
    """In words, the first part in which two experiments differ."""
    for part, value in mine.items():
        if part != "code" and theirs.get(part) != value:
            return f"{part} differs ({theirs.get(part)} there, {value} here)" if part == "seeds" else f"{part} differs"
    code = theirs.get("code", {})
    if code.get("python") != mine["code"]["python"]:  # another bytecode for the same functions
        return None
    ours, others = mine["code"]["functions"], code["functions"]
    name = next((name for name in sorted({*ours, *others}) if ours.get(name) != others.get(name)), None)
    return (
        None
        if name is None
        else f"{name.partition('.')[0]} differs: the code of {name} was edited, or something that it reads"
    )


def seeds_of(seed: Any) -> tuple[list[int], bool]:
    """The seeds of a run, and whether they were given as several (a list of one is: its arrays have a seeds axis).

    Raises:
      TypeError: no whole numbers. ValueError: none, or one of them twice.
    """
    many = not isinstance(seed, (str, bytes)) and np.ndim(seed) == 1
    given: list[Any] = list(seed) if many else [seed]
    if not all(hasattr(s, "__index__") and np.ndim(s) == 0 and not isinstance(s, (bool, np.bool_)) for s in given):
        raise TypeError(f"seed is {seed!r}; give one whole number, or a list of different ones")
    seeds = [int(s) for s in given]
    if len(set(seeds)) != len(seeds) or not seeds:
        raise ValueError(f"seed is {seed!r}; give one whole number, or a list of different ones")
    return seeds, many


class _Static:
    """A tree of flags as a static argument: equal where the trees are."""

    def __init__(self, value: Any):
        self.value = value
        leaves, self._structure = jax.tree.flatten(value)
        self._leaves = tuple(leaves)

    def __hash__(self) -> int:
        return hash((self._leaves, self._structure))

    def __eq__(self, other: Any) -> bool:
        return (self._leaves, self._structure) == (other._leaves, other._structure)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _move(which: str, lead: int, axes: _Static, place: Any, values: Any) -> Any:
    return getattr(place, which)(axes.value, values, lead)


@cache
def _over_seeds(fn: Any, kind: int, mesh: bool) -> Any:
    """`start` (kind 1) or `run_chunk` (kind 0) of the engine, mapped over a leading seeds axis of carry and key."""
    plain = fn.__wrapped__
    vmap = partial(jax.vmap, spmd_axis_name=_place.RUNS) if mesh else jax.vmap
    if kind:

        def start(method: Any, problem: Any, network: Any, keys: Any, params: Any) -> Any:
            return vmap(lambda key: plain(method, problem, network, key, params))(keys)

        return jax.jit(start)

    def run_chunk(
        method: Any,
        problem: Any,
        network: Any,
        carry: Any,
        keys: Any,
        first: Any,
        count: Any,
        length: int,
        horizon: Any,
    ) -> Any:
        one = lambda c, k: plain(method, problem, network, c, k, first, count, length, horizon)
        return vmap(one)(carry, keys)

    return jax.jit(run_chunk, static_argnums=7, donate_argnums=3)


def name_of(method: Any) -> str:
    """A label for a method: the name of its class as a config would write it."""
    name = type(method).__name__
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _readable(value: Any) -> str:
    """repr without machine addresses."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))[:500]


__all__ = ["Run", "name_of"]
