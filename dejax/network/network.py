"""The network: everything between two nodes, and which methods it can carry."""

import dataclasses
from typing import Any, Literal

import jax
import numpy as np
from jax.core import Tracer

from ..aggregation import weighted_mean
from ..compression import direct, identity
from ..core.abstract import width_of
from ..core.arrays import device_array
from ..core.checks import choice, or_none
from ..core.kinds import Slot, check_option
from ..core.method import check_method, traits
from ..core.struct import grows, option, static, struct
from ..core.types import Method, Problem, Topology, Values
from ..core.warn import warn
from ..mixing import EdgeList
from . import compatibility

LEAVE = "or leave it out"
SERVER = or_none(choice("star", "shards", "all_reduce"), LEAVE)


@struct
class Network:
    """The options between the nodes.

    Methods hand over values and never know which of these are switched on.

    Args:
      topology: the graph and its weights W, or one drawn per round; None where a method talks to a
        server only.
      codec: how values are compressed on the wire (`dejax.compression`); default: as they are.
      privacy: clipping and noise on messages or gradients (`dejax.privacy`); default: none.
      attack: who is hostile and what they do (`dejax.attacks`); default: nobody.
      faults: links that lose messages, nodes that sleep (`dejax.faults`); one or several.
      rule: how a receiver combines what it has (`dejax.aggregation`); default: the mean under W.
      clock: seconds of compute and messages (`dejax.faults.clock`); default: no virtual time.
      events: an asynchronous schedule (`dejax.events`); default: synchronous rounds.
      server: who carries the averages of a method that has them; a topology given beside it is
        unused. "star" (default): a server; every node sends and gets whole models. "shards": each
        node holds an n-th of the model; it keeps its own part and trades the others, with nobody's
        bandwidth shared. "all_reduce": partial sums go round a ring of the nodes, the same bytes in
        2 (n - 1) steps; sums alone exist, so no lossy codec, robust rule or lost upload. They
        differ in bytes and seconds.
      repair: "row" lets the receiver keep the weight of a lost link even where that moves the mean
        (directed graphs with doubly stochastic W); default: such losses are refused.
      audit: meter which share of the messages was lost, and which of those that arrived the rule
        left out, honest and hostile apart (`audit/lost`, `audit/rejected`,
        `audit/rejected_hostile`, `audit/rejected_honest`); default: no, at no cost.
    Raises:
      ValueError: an option with an impossible number; a repair or server that is not known.
      TypeError: an option of another kind, or one that was not called.
    """

    topology: Any = option(default=None, check=Slot("topology"))
    codec: Any = option(default=direct(identity()), check=Slot("codec"))
    privacy: Any = option(default=None, check=Slot("privacy"))
    attack: Any = option(default=None, check=Slot("attack"))
    faults: tuple[Any, ...] = ()
    rule: Any = option(default=weighted_mean(), check=Slot("rule"))
    clock: Any = option(default=None, check=Slot("clock"))
    events: Any = option(default=None, check=Slot("events"))
    server: Literal["star", "shards", "all_reduce"] | None = static(default=None, check=SERVER)
    repair: Literal["row"] | None = static(default=None, check=or_none(choice("row"), LEAVE))
    audit: bool = static(default=False, check=choice(True, False))
    # EdgeList, filled by `prepare` where rows per edge are sent
    edges: Any = dataclasses.field(default=None, repr=False)
    messages: Any = grows(default=None, repr=False)  # int32 [P, n]: sent per phase, filled by `prepare`

    def __post_init__(self) -> None:
        for field, default in (("codec", direct(identity())), ("rule", weighted_mean()), ("faults", ())):
            if getattr(self, field) is None:
                object.__setattr__(self, field, default)
        if not isinstance(self.faults, tuple):
            object.__setattr__(self, "faults", tuple(self.faults) if isinstance(self.faults, list) else (self.faults,))
        for fault in self.faults:
            check_option("faults", fault)

    @property
    def kind(self) -> str:
        """How W's lost weight is given back: "row", "column" or "doubly"."""
        return "row" if self.repair == "row" or self.topology is None else self.topology.kind

    @property
    def late(self) -> Any:
        """The fault that delays messages by up to `span[1]` phases; None: nothing is late."""
        return next((fault for fault in self.faults if fault.span[1] > 0), None)

    def absent(self, index: int | Values, n: int) -> Any:
        """Bool [n] by node id: who is not there in round `index`; None where all are."""
        return self._any_of("absent", index, n)

    def newcomers(self, n: int) -> Any:
        """Bool [n] by node id: who begins from its neighbors' models when it joins; None: nobody."""
        return self._any_of("newcomers", n)

    def _any_of(self, hook: str, *args: Any) -> Any:
        """Bool [n]: where the hook of some fault says so; None where none does."""
        said = None
        for fault in self.faults:
            mask = getattr(fault, hook)(*args)
            if mask is not None:
                said = mask if said is None else said | mask
        return said

    def check(self, method: Method, problem: Problem) -> None:
        """Refuse, before anything is compiled, what cannot work.

        Raises:
          RefusedError: the method and an option of this network exclude each other; says why.
          ValueError: sizes that do not fit.
        """
        check_method(method)
        compatibility.check(method, problem, self)
        self.absent(0, problem.n)  # ids and lengths that do not fit

    def prepare(self, method: Method, problem: Problem, rounds: int | None = None) -> "Network":
        """Return a checked copy, ready to run.

        Its numbers are typed arrays, messages per node are counted, the timetable is drawn.
        """
        self.check(method, problem)
        for note in compatibility.notes(method, problem, self):
            warn(note)
        changes: dict[str, Any] = {}
        said, topology = traits(method), self.topology
        if topology is not None and said.gossips and topology.dtype is None:  # W in the precision of the model
            changes["topology"] = topology = dataclasses.replace(topology, dtype=width_of(problem.task))
        if not said.gossips:
            changes["topology"] = None
        elif topology is not None and self.messages is None and topology.period:
            changes["messages"] = _messages(topology)
        if topology is not None and said.gossips and (said.rows or self.codec.per_edge):
            with jax.ensure_compile_time_eval():
                changes["edges"] = EdgeList.of(topology.at(0))
        plan = getattr(self.events, "plan", None)
        if plan is not None:
            changes["events"] = plan(self.topology, rounds)
        return dataclasses.replace(self, **changes)


def _messages(topology: Topology) -> Any:
    """Count the messages that each node sends in each phase: int32 [P, n].

    None where W is being differentiated.
    """
    if any(isinstance(x, Tracer) for x in jax.tree.leaves(topology)):
        return None
    n, rows = topology.n, []
    if topology.name == "complete":
        return device_array(np.full((1, n), n - 1), np.int32)
    for phase in range(topology.period):
        edges = topology.host(phase)
        real = np.asarray(edges.weights).astype(topology.dtype) != 0  # as rounds see them
        rows.append(np.bincount(edges.senders[real], minlength=n))
    return device_array(np.stack(rows), np.int32)


__all__ = ["Network"]
