"""The network: everything between two nodes, and which methods it can carry."""

import dataclasses
from typing import Any, Literal

import jax
import numpy as np
from jax.core import Tracer

from ..aggregation import weighted_mean
from ..compression import direct, identity
from ..core.abstract import key_like, model_like
from ..core.arrays import device_array
from ..core.checks import choice, or_none
from ..core.kinds import Slot, check_option
from ..core.method import check_method, flags
from ..core.struct import grows, option, static, struct
from ..errors import NULL, FieldError, RefusedError, Words, call, keyword
from ..mixing import EdgeList

LEAVE = "or leave it out"
SERVER = or_none(choice("star", "shards", "all_reduce"), LEAVE)
NO_PLAN = "the event plan says who takes part, when and with whom"


@struct
class Network:
    """What lies between the nodes. Methods hand over values and never know which of these are switched on.

    Args:
      topology: the graph and its weights W, or one drawn per round; None where a method talks to a server only.
      codec: how values are compressed on the wire (`dejax.compression`); default: as they are.
      privacy: clipping and noise on messages or gradients (`dejax.privacy`); default: none.
      attack: who is hostile and what they do (`dejax.attacks`); default: nobody.
      faults: links that lose messages, nodes that sleep (`dejax.faults`); one or several.
      rule: how a receiver combines what it has (`dejax.aggregation`); default: the mean under W.
      clock: seconds of compute and messages (`dejax.faults.clock`); default: no virtual time.
      events: an asynchronous schedule (`dejax.events`); default: synchronous rounds.
      server: who carries the averages of a method that has them; a topology given beside it is unused. "star" (default): a server;
        every node sends and gets whole models. "shards": each node holds an n-th of the model; it keeps its own part and trades
        the others, with nobody's bandwidth shared. "all_reduce": partial sums go round a ring of the nodes, the same bytes in
        2 (n - 1) steps; sums alone exist, so no lossy codec, robust rule or lost upload. They differ in bytes and seconds.
      repair: "row" lets the receiver keep the weight of a lost link even where that moves the mean (directed graphs
        with doubly stochastic W); default: such losses are refused.
      audit: meter which share of the messages was lost, and which of those that arrived the rule left out, honest and hostile
        apart (`audit/lost`, `audit/rejected`, `audit/rejected_hostile`, `audit/rejected_honest`); default: no, at no cost.
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
    audit: bool = static(default=False)
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
        """The fault that delays messages by up to `span[1]` > 0 phases; None: messages arrive in the phase they are sent in."""
        found = [fault for fault in self.faults if getattr(fault, "span", (0, 0))[1] > 0]
        return found[0] if found else None

    def check(self, method: Any, problem: Any) -> None:
        """Refuse, before anything is compiled, what cannot work.

        Raises:
          RefusedError: the method and an option of this network exclude each other; says why.
          ValueError: sizes that do not fit.
        """
        check_method(method)
        channel = flags(method).channel
        name = type(method).__name__
        n = problem.n
        if channel == "edges":
            if self.server is not None:
                raise RefusedError(
                    field="network.server",
                    got=self.server,
                    says=f"is {self.server!r}",
                    why=f"but {name} gossips over network.topology and would ignore it",
                    instead="leave it out",
                )
            self._check_edges(method, name, n)
        elif self.topology is not None and self.server is None and not _is_isolated(self.topology):
            where = "talks to a server" if channel == "server" else "does not communicate"
            raise RefusedError(
                field="network.topology",
                got=self.topology,
                says=f"is {self.topology.name!r}",
                why=f"but {name} {where} and would ignore it",
                instead="set topology to "
                + NULL
                + ", or "
                + keyword("server", "star")
                + " to say that the graph is unused",
            )
        if channel == "none":
            for field, default in (("codec", True), ("rule", True), ("faults", False)):
                value = getattr(self, field)
                idle = getattr(value, "lossless", getattr(value, "linear", False)) if default else not value
                if not idle:
                    why = f"but {name} sends no messages, so it would be ignored"
                    raise RefusedError(field=f"network.{field}", got=value, why=why, instead="leave it out")
        if channel == "server" and not getattr(self.rule, "linear", True) and self.rule.needs_own:
            raise RefusedError(
                field="network.rule",
                got=self.rule,
                says=f"{type(self.rule).__name__} measures distances to the receiver's own value",
                why="and a server has none",
                instead="use coordinate_median or trimmed_mean",
            )
        if channel == "server":
            clients = flags(method).clients
            self._check_server(method, name)
            self.rule.check(n if clients is None else min(clients, n), server=True)
        if flags(method).own_starts and problem.starts == "equal":
            way = Words("Problem(..., starts='independent')", "starts: independent")
            text = f"{name} tells its models apart by their starts, but the problem's are equal; give " + way
            raise RefusedError(text, field="Problem.starts", got=problem.starts)
        self._check_options(method, name, channel, problem)
        self._check_late(name, channel)
        self._check_audit(name, channel)

    def _check_edges(self, method: Any, name: str, n: int) -> None:
        top = self.topology
        if top is None:
            raise FieldError(
                field="network.topology",
                got=self.topology,
                why=f"but {name} gossips",
                instead="give one, e.g. " + call("dejax.topology.ring", n),
            )
        if not hasattr(top, "links"):
            raise FieldError(
                field="network.topology",
                got=self.topology,
                says=f"is {top!r}",
                instead=f"build it for the number of nodes: .build({n})",
            )
        if top.n != n:
            raise FieldError(
                field="network.topology",
                got=self.topology,
                says=f"{top.name!r} has n = {top.n} nodes",
                why=f"but the data are split over {n}",
                instead="make both the same",
            )
        accepts = flags(method).accepts
        if top.kind not in accepts:
            way = "sgp on directed graphs" if top.kind == "column" else "metropolis weights on an undirected graph"
            raise RefusedError(
                field="network.topology",
                got=top,
                says=f"{top.name!r} has {top.kind}-stochastic weights",
                why=f"but {name} needs {' or '.join(accepts)}: use {way}",
            )
        if not self.rule.linear:
            if self.events is not None:
                raise RefusedError(
                    field="network.rule",
                    got=self.rule,
                    says=f"{type(self.rule).__name__} needs several values to judge one",
                    why="but an event combines two",
                    instead="leave it out, or use synchronous rounds",
                )
            if not flags(method).robust:
                raise RefusedError(
                    field="network.rule",
                    got=self.rule,
                    says=f"{type(self.rule).__name__} is not linear",
                    why=f"but {name} needs sums: {flags(method).robust_reason}",
                )
            self.rule.check(int(top.max_degree))
        if self.codec.memory == "copies" and not top.fixed:
            raise RefusedError(
                field="network.codec",
                got=self.codec,
                says="keeps copies at every neighbor",
                why=f"but {top.name!r} changes its neighbors from round to round, so that new ones would have missed messages",
                instead="use direct or error_feedback, or a fixed graph",
            )
        directed = top.kind == "doubly" and not top.symmetric and self.repair is None
        for fault in self.faults:
            if fault is self.late:  # loses nothing; see _check_late
                continue
            if directed and self.events is None:
                raise RefusedError(
                    field="network.faults",
                    got=self.faults,
                    says=f"has {type(fault).__name__} on the directed doubly stochastic graph {top.name!r}: no local repair keeps both row and column sums",
                    instead="set " + keyword("repair", "row") + " (the mean then drifts), or use an undirected graph",
                )
            if not getattr(fault, "symmetric", True) and top.kind == "doubly" and self.repair is None:
                raise RefusedError(
                    field="network.faults",
                    got=self.faults,
                    says=f"has {type(fault).__name__}",
                    why=f"which loses one direction alone and would break the column sums of {top.name!r}",
                    instead="use link_loss, or set " + keyword("repair", "row"),
                )
        if flags(method).per_edge or getattr(self.codec, "per_edge", False):
            self._check_per_edge(method, name)
        if self.events is not None:
            self._check_events(method, name)

    def _check_server(self, method: Any, name: str) -> None:
        if self.server in ("shards", "all_reduce") and flags(method).groups:
            raise RefusedError(
                field="network.server",
                got=self.server,
                says=f"is {self.server!r}",
                why=f"which forms one sum of all nodes, but {name} averages by groups",
                instead="leave it out",
            )
        if self.server != "all_reduce":
            return
        why = None
        if not self.rule.linear:
            why = f"network.rule {type(self.rule).__name__} must see single values"
        elif not self.codec.lossless:
            why = f"network.codec {type(self.codec).__name__} compresses single values"
        elif any(fault is not self.late and not getattr(fault, "sleeps", False) for fault in self.faults):
            why = "network.faults loses uploads, and a ring of sums has no single upload to lose"
        if why is not None:
            raise RefusedError(
                field="network.server",
                got=self.server,
                says="is 'all_reduce'",
                why=f"where partial sums travel alone, but {why}",
                instead="use 'star' or 'shards'",
            )

    def _check_late(self, name: str, channel: str) -> None:
        late = self.late
        if late is None:
            return
        what = f"has {type(late).__name__}"
        others = [fault for fault in self.faults if fault is not late]
        if any(getattr(fault, "span", (0, 0))[1] > 0 for fault in others):
            raise RefusedError(
                field="network.faults",
                got=late,
                says=f"{what} twice, and a message has one age",
                instead="give one, with the sum of the phases",
            )
        if self.events is not None:
            raise RefusedError(
                field="network.faults",
                got=late,
                says=f"{what} beside network.events, where two nodes meet and no message travels",
                instead="leave it out",
            )
        if self.clock is not None:
            raise RefusedError(
                field="network.faults",
                got=late,
                says=f"{what}, which counts phases, beside network.clock, which counts seconds and waits for every message of a phase",
                instead="give the clock a latency, or leave one of them out",
            )
        if channel == "server" and self.server == "all_reduce":
            raise RefusedError(
                field="network.faults",
                got=late,
                says=f"{what}, but network.server is 'all_reduce', where partial sums travel alone and no single upload can be late",
                instead="use 'star' or 'shards'",
            )
        if channel != "edges":
            return
        top = self.topology
        if not top.fixed:
            raise RefusedError(
                field="network.faults",
                got=late,
                says=f"{what}, but {top.name!r} changes its neighbors from phase to phase: a message would arrive when its link is gone",
                instead="use a fixed graph",
            )
        if self.kind == "column" and others:
            raise RefusedError(
                field="network.faults",
                got=late,
                says=f"{what} beside {type(others[0]).__name__}, but {top.name!r} has column-stochastic weights: the weight of a message that {name} loses would have to travel back to the value that it left",
                instead="leave one of them out",
            )
        if late.span[0] != late.span[1] and getattr(self.attack, "needs_spread", False):
            raise RefusedError(
                field="network.faults",
                got=late,
                says=f"{what} with delays that differ from edge to edge, but network.attack {type(self.attack).__name__} sends one value per receiver and phase, of which a receiver would hold several",
                instead="delay all alike, e.g. phases=2, or use sign_flip",
            )

    def _check_audit(self, name: str, channel: str) -> None:
        if not self.audit:
            return
        if channel == "none":
            raise RefusedError(
                field="network.audit",
                got=True,
                says=f"counts messages that were not used, but {name} sends none",
                instead="leave it out",
            )
        if not hasattr(self.rule, "rejected"):
            raise RefusedError(
                field="network.audit",
                got=True,
                says=f"asks the rule what it leaves out, but {type(self.rule).__name__} does not say",
                instead="give it a method rejected(ctx, received) -> [n, k], the share of each received message that it does not use",
            )

    def _check_per_edge(self, method: Any, name: str) -> None:
        what = f"{name} sends" if flags(method).per_edge else "network.codec with per_edge=True keeps"
        top = self.topology
        if not top.fixed or not _both_ways(top):
            raise RefusedError(
                f"{what} rows per edge, which need one fixed graph with links in both directions, but {top.name!r} "
                f"{'changes its neighbors from round to round' if not top.fixed else 'is directed'}; use e.g. chain or binary_tree",
                field="network.topology",
                got=top,
            )
        if not len(top.edges()):
            raise RefusedError(
                f"{what} rows per edge, but {top.name!r} has no edges; use a graph that has some, e.g. ring or chain",
                field="network.topology",
                got=top,
            )
        if not flags(method).per_edge:
            return
        if not self.rule.linear:
            raise RefusedError(
                field="network.rule",
                got=self.rule,
                says=f"{type(self.rule).__name__} compares the values that a node receives",
                why=f"but {name} sends another message on every edge, so that they are not comparable",
                instead="leave it out, or use dsgd",
            )
        if getattr(self.attack, "needs_spread", False):
            raise RefusedError(
                field="network.attack",
                got=self.attack,
                says=f"{type(self.attack).__name__} hides in the spread of values that estimate one quantity",
                why=f"but {name} sends another message on every edge",
                instead="use sign_flip, or attack dsgd",
            )
        if flags(method).needs_tree and len(top.edges()) != 2 * (top.n - 1):
            raise RefusedError(
                field="network.topology",
                got=self.topology,
                says=f"{top.name!r} has {len(top.edges()) // 2} links for n = {top.n} nodes",
                why=f"but {name} relays sums that would come round a cycle",
                instead=f"use a tree, which has {top.n - 1}: chain, binary_tree or star",
            )

    def _check_events(self, method: Any, name: str) -> None:
        if flags(method).footprint is None:
            raise RefusedError(
                field="network.events",
                got=self.events,
                says="is given",
                why=f"but {name} does not say which nodes one of its events touches",
                instead="use ad_psgd or dsgd('awc')",
            )
        if self.topology.kind != "doubly" or not self.topology.symmetric or not self.topology.fixed:
            raise RefusedError(
                field="network.events",
                got=self.events,
                says="pairs neighbors of an undirected fixed graph",
                why=f"which {self.topology.name!r} is not",
                instead="use e.g. ring",
            )
        if self.clock is not None:
            raise RefusedError(
                field="network.clock",
                got=self.clock,
                says=f"beside network.events: {NO_PLAN}",
                instead="leave the clock out",
            )
        if self.codec.memory == "copies":
            raise RefusedError(
                field="network.codec",
                got=self.codec,
                says="keeps copies at every neighbor",
                why="but an event tells one neighbor alone",
                instead="use direct or error_feedback",
            )
        if getattr(self.attack, "needs_spread", False):
            raise RefusedError(
                field="network.attack",
                got=self.attack,
                says=f"{type(self.attack).__name__} hides in the spread of several honest values",
                why="but in an event the receiver has only its own",
                instead="use sign_flip, or synchronous rounds",
            )
        for fault in self.faults:
            if getattr(fault, "sleeps", False):
                raise RefusedError(
                    field="network.faults",
                    got=self.faults,
                    says=f"has {type(fault).__name__} beside network.events: {NO_PLAN}",
                    instead="leave it out",
                )

    def _check_options(self, method: Any, name: str, channel: str, problem: Any) -> None:
        if self.events is None and flags(method).needs_events:
            text = f"{name} is driven by events; give network.events, e.g. " + call("dejax.events.poisson")
            raise RefusedError(text, field="network.events")
        if self.events is not None and channel != "edges":
            raise RefusedError(
                field="network.events",
                got=self.events,
                says="pairs neighbors",
                why=f"but {name} does not gossip",
                instead="leave it out",
            )
        lossless = self.codec.lossless
        own = flags(method).own_codec
        if own is not None and not lossless:
            raise RefusedError(
                field="network.codec",
                got=self.codec,
                says=f"is {type(self.codec).__name__}",
                why=f"but {name} sends its messages through a codec of its own and would ignore it",
                instead=f"set {name}.{own}, or compress dsgd by network.codec",
            )
        if not lossless and not flags(method).lossy:
            raise RefusedError(
                field="network.codec",
                got=self.codec,
                says=f"{type(self.codec).__name__} loses information: {flags(method).lossy_reason}",
            )
        if self.privacy is not None and self.privacy.hook == "message":
            if channel == "none":
                raise RefusedError(
                    field="network.privacy",
                    got=self.privacy,
                    says="noises messages",
                    why=f"but {name} sends none",
                    instead="use gaussian_gradient",
                )
            if not flags(method).lossy:
                raise RefusedError(
                    field="network.privacy", got=self.privacy, says=f"changes messages: {flags(method).lossy_reason}"
                )
        if self.attack is not None:
            mask = np.asarray(self.attack.is_adversary(problem.n))
            if self.attack.hook == "message":
                if channel == "none":
                    raise RefusedError(
                        field="network.attack",
                        got=self.attack,
                        says="rewrites messages",
                        why=f"but {name} sends none",
                        instead="use label_flip",
                    )
                if mask.any() and not flags(method).lossy:
                    raise RefusedError(
                        field="network.attack", got=self.attack, says=f"rewrites messages: {flags(method).lossy_reason}"
                    )
        if self.privacy is not None and getattr(self.privacy, "per_example", False):
            _check_per_example(self.privacy, problem)

    def prepare(self, method: Any, problem: Any, rounds: int | None = None) -> "Network":
        """A checked copy with numbers as typed arrays, messages per node counted, and the event plan drawn."""
        self.check(method, problem)
        changes: dict[str, Any] = {}
        if flags(method).channel != "edges":
            changes["topology"] = None
        elif self.topology is not None and self.messages is None and self.topology.period:
            changes["messages"] = _messages(self.topology)
        if (
            self.topology is not None
            and "topology" not in changes
            and (flags(method).per_edge or getattr(self.codec, "per_edge", False))
        ):
            with jax.ensure_compile_time_eval():
                changes["edges"] = EdgeList.of(self.topology.at(0))
        if self.events is not None and hasattr(self.events, "plan"):
            changes["events"] = self.events.plan(self.topology, rounds)
        return dataclasses.replace(self, **changes)


def _is_isolated(topology: Any) -> bool:
    return getattr(topology, "name", "") == "isolated"


def _both_ways(topology: Any) -> bool:
    if topology.symmetric:
        return True
    edges = {tuple(e) for e in topology.edges().tolist()}
    return edges == {(j, i) for i, j in edges}


def _messages(topology: Any) -> Any:
    """int32 [P, n]: messages that each node sends in each phase, or None where W is being differentiated."""
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


def _check_per_example(privacy: Any, problem: Any) -> None:
    batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct((2, *x.shape[1:]), x.dtype), problem.data.arrays)
    loss = jax.eval_shape(problem.task.loss, model_like(problem.task), batch, key_like())
    if loss.ndim == 0:
        raise RefusedError(
            field="network.privacy",
            got=privacy,
            says=f"{type(privacy).__name__} clips per example",
            why="but the task's loss returns one number per batch",
            instead="return one loss per example, shape [B]",
        )


__all__ = ["Network"]
