"""What a graph, its weights and a timetable exclude."""

from typing import Any

from ...errors import FieldError, Words, keyword
from .. import conditions
from ..case import Case
from .refusal import ADVICE, Refusal

_PLAN = "the timetable says who takes part, when and with whom"


def _weights(case: Case) -> Any:
    """Which kinds of W a method needs in place of this one, and the way there."""
    if not case.gossips or case.top.kind in case.traits.weights:
        return None
    both_ways = case.top.fixed and case.both_ways
    if "column" in case.traits.weights:
        way = ADVICE["column"] + " weights"
    elif case.top.kind == "column":
        way = ADVICE["doubly"] + " weights" if both_ways else ADVICE["directed"] + " on directed graphs"
    else:
        way = ADVICE["doubly"] + " weights on an undirected graph"
    return {"wanted": " or ".join(case.traits.weights), "way": way}


GOSSIP: tuple[Refusal, ...] = (
    Refusal("impossible adversaries", conditions.adversaries),
    Refusal(
        "server under gossip",
        lambda c: c.gossips and not c.served and c.network.server is not None,
        field="network.server",
        why="but {method} gossips over network.topology and would ignore it",
        instead="leave it out",
    ),
    Refusal(
        "no topology",
        lambda c: c.gossips and c.top is None,
        field="network.topology",
        why="but {method} gossips",
        instead="give one, e.g. " + Words("dejax.topology.ring({n})", "ring"),
        error=FieldError,
    ),
    Refusal(
        "topology not built",
        lambda c: c.gossips and getattr(c.top, "links", None) is None,
        field="network.topology",
        instead="build it for the number of nodes: .build({n})",
        error=FieldError,
    ),
    Refusal(
        "topology of another size",
        lambda c: c.gossips and c.top.n != c.n,
        field="network.topology",
        says="{top!r} has n = {network.topology.n} nodes",
        why="but the data are split over {n}",
        instead="make both the same",
        error=FieldError,
    ),
    Refusal(
        "weights of another kind",
        _weights,
        field="network.topology",
        says="{top!r} has {network.topology.kind}-stochastic weights",
        why="but {method} needs {wanted}",
        instead="use {way}",
    ),
    Refusal(
        "weights that are not symmetric",
        lambda c: c.gossips and c.traits.symmetric and not c.top.symmetric,
        field="network.topology",
        says="{top!r} has a W that differs from its transpose",
        why="but {method} needs both to be equal",
        instead="use {use[symmetric]} weights on an undirected graph",
    ),
    Refusal(
        "two last iterates on a graph that changes",
        lambda c: c.gossips and not c.top.fixed and c.traits.spectrum is not None and c.traits.spectrum > -1,
        field="network.topology",
        says="{top!r} changes its W from round to round",
        why="but {method} subtracts the last iterate, which diverges when W changes, though each W alone would do",
        instead="use {use[changing_graphs]}, or a fixed graph",
    ),
    Refusal(
        "eigenvalues of W too low",
        conditions.eigenvalues,
        field="network.topology",
        says="{top!r} has an eigenvalue of W of {least:.4g}",
        why="but {method} needs all of them above {traits.spectrum:.4g}",
        instead="use {use[no_negative]} weights, which make none of them negative: weights="
        + Words("dejax.topology.{use[no_negative]}()", "{use[no_negative]}"),
    ),
    Refusal(
        "rule in events",
        lambda c: c.gossips and not c.network.rule.linear and c.meets,
        field="network.rule",
        says="{rule} needs several values to judge one",
        why="but an event combines two",
        instead="leave it out, or use synchronous rounds",
    ),
    Refusal(
        "sums needed",
        lambda c: c.channel != "none" and not c.network.rule.linear and c.traits.needs_sums,
        field="network.rule",
        says="{rule} is not linear",
        why="but {method} needs sums: {traits.needs_sums}",
    ),
    Refusal(
        "copies on a graph that changes",
        lambda c: c.gossips and c.network.codec.memory == "copies" and not c.top.fixed,
        field="network.codec",
        says="keeps copies at every neighbor",
        why="but {top!r} changes its neighbors from round to round, so that new ones would have missed messages",
        instead="use {use[late_copies]}, or a fixed graph",
    ),
    Refusal(
        "losses on a directed doubly stochastic graph",
        lambda c: c.gossips and c.directed and c.network.events is None and c.fault(lambda fault: True),
        field="network.faults",
        says="has {fault} on the directed doubly stochastic graph {top!r}: no local repair keeps both row and column sums",
        instead="set " + keyword("repair", "row") + " (the mean then drifts), or use an undirected graph",
    ),
    Refusal(
        "one-sided losses",
        lambda c: (
            c.gossips
            and c.top.kind == "doubly"
            and c.network.repair is None
            and c.fault(lambda fault: not fault.symmetric)
        ),
        field="network.faults",
        says="has {fault}",
        why="which loses one direction alone and would break the column sums of {top!r}",
        instead="use {use[two_way_loss]}, or set " + keyword("repair", "row"),
    ),
    Refusal(
        "rows per edge on a graph without reverse edges",
        conditions.rows,
        field="network.topology",
        text="{what} rows per edge, which need one fixed graph with links in both directions, but {top!r} {does}; use e.g. {use[lossless_graphs]}",
    ),
    Refusal(
        "rows per edge without edges",
        lambda c: c.rows and not len(c.edges) and conditions.who(c),
        field="network.topology",
        text="{what} rows per edge, but {top!r} has no edges; use a graph that has some, e.g. {use[edges]}",
    ),
    Refusal(
        "rule on rows per edge",
        lambda c: c.channel == "edges" and not c.network.rule.linear,
        field="network.rule",
        says="{rule} compares the values that a node receives",
        why="but {method} sends another message on every edge, so that they are not comparable",
        instead="leave it out, or use {use[comparable]}",
    ),
    Refusal(
        "attack in the spread of rows per edge",
        lambda c: c.channel == "edges" and c.sharded,
        field="network.attack",
        says="{attack} hides in the spread of values that estimate one quantity",
        why="but {method} sends another message on every edge",
        instead="use {use[plain_attack]}, or attack {use[comparable]}",
    ),
    Refusal(
        "copies per edge of values heard",
        lambda c: c.traits.rows and c.channel != "edges" and c.network.codec.per_edge,
        field="network.codec",
        says="keeps copies per edge",
        why="but {method} keeps what it heard last on each edge, which is one memory too many",
        instead="leave per_edge out",
    ),
    Refusal(
        "cycles",
        conditions.cycles,
        field="network.topology",
        says="{top!r} {is}",
        why="but {method} relays sums that would come round a cycle",
        instead="use a tree, which has {links}: {use[trees]}",
    ),
    Refusal(
        "events without a footprint",
        lambda c: c.gossips and c.network.events is not None and c.traits.footprint is None,
        field="network.events",
        says="is given",
        why="but {method} does not say which nodes one of its events touches",
        instead="use {use[event_driven]}",
    ),
    Refusal(
        "gradients and meetings in one event",
        lambda c: (
            c.gossips
            and c.network.events is not None
            and c.traits.needs_events == "apart"
            and not c.network.events.apart
        ),
        field="network.events",
        says="{events} does not tell gradients from meetings",
        why="but {method} takes a gradient or meets, each at times of its own",
        instead="use {use[apart]}",
    ),
    Refusal(
        "events of another footprint",
        conditions.footprints,
        field="network.events",
        says="{events} {does}",
        why="but an event of {method} has the footprint {want!r}",
        instead="use {use[pair_events]} for pairs, {use[own_events]} for neighbors",
    ),
    Refusal(
        "a server in events",
        lambda c: c.now_and_then and c.network.events is not None,
        field="network.events",
        says="lets few nodes act at a time",
        why="but {method} also averages at a server, where many meet at once",
        instead="use synchronous rounds",
    ),
    Refusal(
        "events on a directed or changing graph",
        lambda c: (
            c.gossips
            and c.network.events is not None
            and not (c.top.kind == "doubly" and c.top.symmetric and c.top.fixed)
        ),
        field="network.events",
        says="runs over an undirected fixed graph with symmetric weights",
        why="which {top!r} is not",
        instead="use e.g. {use[pairs]}",
    ),
    Refusal(
        "rows per edge in events",
        lambda c: c.channel == "edges" and c.network.events is not None,
        field="network.events",
        says="lets few nodes act at a time",
        why="but {method} sends on all edges at once",
        instead="use synchronous rounds",
    ),
    Refusal(
        "clock beside events",
        lambda c: c.gossips and c.network.events is not None and c.network.clock is not None,
        field="network.clock",
        says="beside network.events: " + _PLAN,
        instead="leave the clock out",
    ),
    Refusal(
        "copies in events",
        lambda c: c.gossips and c.meets and c.network.codec.memory == "copies",
        field="network.codec",
        says="keeps copies at every neighbor",
        why="but an event tells one neighbor alone",
        instead="use {use[late_copies]}",
    ),
    Refusal(
        "attack in the spread of an event",
        lambda c: c.gossips and c.network.events is not None and c.sharded,
        field="network.attack",
        says="{attack} hides in the spread of several honest values",
        why="but in an event the receiver has only its own, or values of several ages",
        instead="use {use[plain_attack]}, or synchronous rounds",
    ),
    Refusal(
        "sleepers beside events",
        lambda c: c.gossips and c.network.events is not None and c.fault(lambda fault: fault.sleeps),
        field="network.faults",
        says="has {fault} beside network.events: " + _PLAN,
        instead="leave it out",
    ),
    Refusal(
        "newcomers without neighbors",
        lambda c: not c.gossips and c.newcomers,
        field="network.faults",
        says="has {fault} with " + keyword("start", "neighbors"),
        why="but {method} has no neighbors to ask for a model: its server sends one to whoever comes",
        instead="leave start out",
    ),
    Refusal(
        "newcomers under a robust rule",
        lambda c: not c.network.rule.linear and c.newcomers,
        field="network.faults",
        says="has {fault} with " + keyword("start", "neighbors"),
        why="a plain mean, which would let past network.rule {rule} what that leaves out",
        instead="leave start out, or the rule",
    ),
    Refusal(
        "newcomers of noised models",
        lambda c: c.rewrites("privacy") and c.newcomers,
        field="network.faults",
        says="has {fault} with " + keyword("start", "neighbors"),
        why="so that neighbors send one model more, which the account of network.privacy {privacy} does not hold",
        instead="leave start out, or noise gradients in place of messages",
    ),
    Refusal(
        "newcomers beside late messages",
        lambda c: c.late is not None and c.newcomers,
        field="network.faults",
        says="has {late} beside {fault} with " + keyword("start", "neighbors"),
        why="where a model that is asked for in a node's first round would come after it",
        instead="leave start out, or {late}",
    ),
)


__all__ = ["GOSSIP"]
