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
from ..core.kinds import KINDS, check_option
from ..core.method import check_method, flags
from ..core.struct import grows, static, struct
from ..errors import RefusedError
from ..mixing import EdgeList

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

    topology: Any = None
    codec: Any = direct(identity())
    privacy: Any = None
    attack: Any = None
    faults: tuple[Any, ...] = ()
    rule: Any = weighted_mean()
    clock: Any = None
    events: Any = None
    server: Literal["star", "shards", "all_reduce"] | None = static(default=None)
    repair: Literal["row"] | None = static(default=None)
    audit: bool = static(default=False)
    # EdgeList, filled by `prepare` where rows per edge are sent
    edges: Any = dataclasses.field(default=None, repr=False)
    messages: Any = grows(default=None, repr=False)  # int32 [P, n]: sent per phase, filled by `prepare`

    def __post_init__(self) -> None:
        if self.repair not in (None, "row"):
            raise ValueError(f"Network.repair is {self.repair!r}; give 'row', or leave it out")
        if self.server not in (None, "star", "shards", "all_reduce"):
            raise ValueError(
                f"Network.server is {self.server!r}; give 'star', 'shards' or 'all_reduce', or leave it out"
            )
        for field, default in (("codec", direct(identity())), ("rule", weighted_mean()), ("faults", ())):
            if getattr(self, field) is None:
                object.__setattr__(self, field, default)
        if not isinstance(self.faults, tuple):
            object.__setattr__(self, "faults", tuple(self.faults) if isinstance(self.faults, list) else (self.faults,))
        for field in KINDS:
            for value in self.faults if field == "faults" else (getattr(self, field),):
                check_option(field, value)

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
                    f"network.server is {self.server!r}, but {name} gossips over network.topology and would ignore it; leave it out"
                )
            self._check_edges(method, name, n)
        elif self.topology is not None and self.server is None and not _is_isolated(self.topology):
            where = "talks to a server" if channel == "server" else "does not communicate"
            raise RefusedError(
                f"network.topology is {self.topology.name!r}, but {name} {where} and would ignore it; set topology to None, "
                "or server='star' to say that the graph is unused"
            )
        if channel == "none":
            for field, default in (("codec", True), ("rule", True), ("faults", False)):
                value = getattr(self, field)
                idle = getattr(value, "lossless", getattr(value, "linear", False)) if default else not value
                if not idle:
                    raise RefusedError(
                        f"network.{field} is {value!r}, but {name} sends no messages, so it would be ignored; leave it out"
                    )
        if channel == "server" and not getattr(self.rule, "linear", True) and self.rule.needs_own:
            raise RefusedError(
                f"network.rule {type(self.rule).__name__} measures distances to the receiver's own value, and a server has none; "
                "use coordinate_median or trimmed_mean"
            )
        if channel == "server":
            clients = flags(method).clients
            self._check_server(method, name)
            self.rule.check(n if clients is None else min(clients, n), server=True)
        if flags(method).own_starts and problem.starts == "equal":
            raise RefusedError(
                f"{name} tells its models apart by their starts, but the problem's are equal; give Problem(..., starts='independent')"
            )
        self._check_options(method, name, channel, problem)
        self._check_late(name, channel)
        self._check_audit(name, channel)

    def _check_edges(self, method: Any, name: str, n: int) -> None:
        top = self.topology
        if top is None:
            raise ValueError(f"network.topology is None, but {name} gossips; give one, e.g. dejax.topology.ring({n})")
        if not hasattr(top, "links"):
            raise TypeError(f"network.topology is {top!r}; build it for the number of nodes: .build({n})")
        if top.n != n:
            raise ValueError(
                f"network.topology {top.name!r} has n = {top.n} nodes, but the data are split over {n}; make both the same"
            )
        accepts = flags(method).accepts
        if top.kind not in accepts:
            raise RefusedError(
                f"network.topology {top.name!r} has {top.kind}-stochastic weights, but {name} needs {' or '.join(accepts)}: "
                + (
                    "use sgp on directed graphs"
                    if top.kind == "column"
                    else "use metropolis weights on an undirected graph"
                )
            )
        if not self.rule.linear:
            if self.events is not None:
                raise RefusedError(
                    f"network.rule {type(self.rule).__name__} needs several values to judge one, but an event combines two; leave "
                    "it out, or use synchronous rounds"
                )
            if not flags(method).robust:
                raise RefusedError(
                    f"network.rule {type(self.rule).__name__} is not linear, but {name} needs sums: {flags(method).robust_reason}"
                )
            self.rule.check(int(top.max_degree))
        if self.codec.memory == "copies" and not top.fixed:
            raise RefusedError(
                f"network.codec keeps copies at every neighbor, but {top.name!r} changes its neighbors from round to round, so that "
                "new ones would have missed messages; use direct or error_feedback, or a fixed graph"
            )
        directed = top.kind == "doubly" and not top.symmetric and self.repair is None
        for fault in self.faults:
            if fault is self.late:  # loses nothing; see _check_late
                continue
            if directed and self.events is None:
                raise RefusedError(
                    f"network.faults has {type(fault).__name__} on the directed doubly stochastic graph {top.name!r}: no local "
                    "repair keeps both row and column sums; set repair='row' (the mean then drifts), or use an undirected graph"
                )
            if not getattr(fault, "symmetric", True) and top.kind == "doubly" and self.repair is None:
                raise RefusedError(
                    f"network.faults has {type(fault).__name__}, which loses one direction alone and would break the column sums of "
                    f"{top.name!r}; use link_loss, or set repair='row'"
                )
        if flags(method).per_edge or getattr(self.codec, "per_edge", False):
            self._check_per_edge(method, name)
        if self.events is not None:
            self._check_events(method, name)

    def _check_server(self, method: Any, name: str) -> None:
        if self.server in ("shards", "all_reduce") and flags(method).groups:
            raise RefusedError(
                f"network.server is {self.server!r}, which forms one sum of all nodes, but {name} averages by groups; leave it out"
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
                f"network.server is 'all_reduce', where partial sums travel alone, but {why}; use 'star' or 'shards'"
            )

    def _check_late(self, name: str, channel: str) -> None:
        late = self.late
        if late is None:
            return
        what = f"network.faults has {type(late).__name__}"
        others = [fault for fault in self.faults if fault is not late]
        if any(getattr(fault, "span", (0, 0))[1] > 0 for fault in others):
            raise RefusedError(f"{what} twice, and a message has one age; give one, with the sum of the phases")
        if self.events is not None:
            raise RefusedError(
                f"{what} beside network.events, where two nodes meet and no message travels; leave it out"
            )
        if self.clock is not None:
            raise RefusedError(
                f"{what}, which counts phases, beside network.clock, which counts seconds and waits for every message of a phase; "
                "give the clock a latency, or leave one of them out"
            )
        if channel == "server" and self.server == "all_reduce":
            raise RefusedError(
                f"{what}, but network.server is 'all_reduce', where partial sums travel alone and no single upload can be late; "
                "use 'star' or 'shards'"
            )
        if channel != "edges":
            return
        top = self.topology
        if not top.fixed:
            raise RefusedError(
                f"{what}, but {top.name!r} changes its neighbors from phase to phase: a message would arrive when its link is gone; "
                "use a fixed graph"
            )
        if self.kind == "column" and others:
            raise RefusedError(
                f"{what} beside {type(others[0]).__name__}, but {top.name!r} has column-stochastic weights: the weight of a message "
                f"that {name} loses would have to travel back to the value that it left; leave one of them out"
            )
        if late.span[0] != late.span[1] and getattr(self.attack, "needs_spread", False):
            raise RefusedError(
                f"{what} with delays that differ from edge to edge, but network.attack {type(self.attack).__name__} sends one value "
                "per receiver and phase, of which a receiver would hold several; delay all alike, e.g. phases=2, or use sign_flip"
            )

    def _check_audit(self, name: str, channel: str) -> None:
        if not self.audit:
            return
        if channel == "none":
            raise RefusedError(f"network.audit counts messages that were not used, but {name} sends none; leave it out")
        if not hasattr(self.rule, "rejected"):
            raise RefusedError(
                f"network.audit asks the rule what it leaves out, but {type(self.rule).__name__} does not say; give it a method "
                "rejected(ctx, received) -> [n, k], the share of each received message that it does not use"
            )

    def _check_per_edge(self, method: Any, name: str) -> None:
        what = f"{name} sends" if flags(method).per_edge else "network.codec with per_edge=True keeps"
        top = self.topology
        if not top.fixed or not _both_ways(top):
            raise RefusedError(
                f"{what} rows per edge, which need one fixed graph with links in both directions, but {top.name!r} "
                f"{'changes its neighbors from round to round' if not top.fixed else 'is directed'}; use e.g. chain or binary_tree"
            )
        if not len(top.edges()):
            raise RefusedError(
                f"{what} rows per edge, but {top.name!r} has no edges; use a graph that has some, e.g. ring or chain"
            )
        if not flags(method).per_edge:
            return
        if not self.rule.linear:
            raise RefusedError(
                f"network.rule {type(self.rule).__name__} compares the values that a node receives, but {name} sends another message on "
                "every edge, so that they are not comparable; leave it out, or use dsgd"
            )
        if getattr(self.attack, "needs_spread", False):
            raise RefusedError(
                f"network.attack {type(self.attack).__name__} hides in the spread of values that estimate one quantity, but {name} sends "
                "another message on every edge; use sign_flip, or attack dsgd"
            )
        if flags(method).needs_tree and len(top.edges()) != 2 * (top.n - 1):
            raise RefusedError(
                f"network.topology {top.name!r} has {len(top.edges()) // 2} links for n = {top.n} nodes, but {name} relays sums that "
                f"would come round a cycle; use a tree, which has {top.n - 1}: chain, binary_tree or star"
            )

    def _check_events(self, method: Any, name: str) -> None:
        if flags(method).footprint is None:
            raise RefusedError(
                f"network.events is given, but {name} does not say which nodes one of its events touches; use ad_psgd or dsgd('awc')"
            )
        if self.topology.kind != "doubly" or not self.topology.symmetric or not self.topology.fixed:
            raise RefusedError(
                f"network.events pairs neighbors of an undirected fixed graph, which {self.topology.name!r} is not; use e.g. ring"
            )
        if self.clock is not None:
            raise RefusedError(f"network.clock beside network.events: {NO_PLAN}; leave the clock out")
        if self.codec.memory == "copies":
            raise RefusedError(
                "network.codec keeps copies at every neighbor, but an event tells one neighbor alone; use direct or error_feedback"
            )
        if getattr(self.attack, "needs_spread", False):
            raise RefusedError(
                f"network.attack {type(self.attack).__name__} hides in the spread of several honest values, but in an event the "
                "receiver has only its own; use sign_flip, or synchronous rounds"
            )
        for fault in self.faults:
            if getattr(fault, "sleeps", False):
                raise RefusedError(
                    f"network.faults has {type(fault).__name__} beside network.events: {NO_PLAN}; leave it out"
                )

    def _check_options(self, method: Any, name: str, channel: str, problem: Any) -> None:
        if self.events is None and flags(method).needs_events:
            raise RefusedError(f"{name} is driven by events; give network.events, e.g. dejax.events.poisson()")
        if self.events is not None and channel != "edges":
            raise RefusedError(f"network.events pairs neighbors, but {name} does not gossip; leave it out")
        lossless = self.codec.lossless
        own = flags(method).own_codec
        if own is not None and not lossless:
            raise RefusedError(
                f"network.codec is {type(self.codec).__name__}, but {name} sends its messages through a codec of its own and would ignore "
                f"it; set {name}.{own}, or compress dsgd by network.codec"
            )
        if not lossless and not flags(method).lossy:
            raise RefusedError(
                f"network.codec {type(self.codec).__name__} loses information: {flags(method).lossy_reason}"
            )
        if self.privacy is not None and self.privacy.hook == "message":
            if channel == "none":
                raise RefusedError(f"network.privacy noises messages, but {name} sends none; use gaussian_gradient")
            if not flags(method).lossy:
                raise RefusedError(f"network.privacy changes messages: {flags(method).lossy_reason}")
        if self.attack is not None:
            mask = np.asarray(self.attack.is_adversary(problem.n))
            if self.attack.hook == "message":
                if channel == "none":
                    raise RefusedError(f"network.attack rewrites messages, but {name} sends none; use label_flip")
                if mask.any() and not flags(method).lossy:
                    raise RefusedError(f"network.attack rewrites messages: {flags(method).lossy_reason}")
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
            f"network.privacy {type(privacy).__name__} clips per example, but the task's loss returns one number per batch; "
            "return one loss per example, shape [B]"
        )


__all__ = ["Network"]
