"""What excludes what: one named refusal each, over what methods and options say of themselves, in the order in which they are read.

A method says its `Traits`, an option the facts of its kind (`dejax.core.kinds`). A refusal compares them, and knows neither by
name: a method or option of your own is refused where one of the library would be.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import RefusedError
from . import conditions
from .case import Case

ADVICE = {  # the only place where reasons name members, as the way out
    "directed": "sgp",
    "comparable": "dsgd",
    "plain_attack": "sign_flip",
    "event_driven": "ad_psgd or dsgd('awc')",
    "compressed": "dsgd",
    "gradient_noise": "gaussian_gradient",
    "sample_attack": "label_flip",
    "server_rule": "coordinate_median or trimmed_mean",
    "one_model": "fedavg",
    "late_copies": "direct or error_feedback",
    "two_way_loss": "link_loss",
    "lossless_graphs": "chain or binary_tree",
    "edges": "ring or chain",
    "trees": "chain, binary_tree or star",
    "pairs": "ring",
}


class Refusal(NamedTuple):
    """A pair that cannot work: its name, when it is met, and the reason with the way out."""

    name: str
    when: Callable[[Case], Any]  # falsy: it passes; a mapping: further words of the reason
    reason: str  # a template over `Case.words` and those
    error: type[Exception] = RefusedError


_PLAN = "the event plan says who takes part, when and with whom"


REFUSALS: tuple[Refusal, ...] = (
    Refusal("impossible adversaries", conditions.adversaries, "{why}", ValueError),
    Refusal(
        "server under gossip",
        lambda c: c.gossips and c.network.server is not None,
        "network.server is {network.server!r}, but {method} gossips over network.topology and would ignore it; leave it out",
    ),
    Refusal(
        "no topology",
        lambda c: c.gossips and c.top is None,
        "network.topology is None, but {method} gossips; give one, e.g. dejax.topology.ring({n})",
        ValueError,
    ),
    Refusal(
        "topology not built",
        lambda c: c.gossips and not hasattr(c.top, "links"),
        "network.topology is {network.topology!r}; build it for the number of nodes: .build({n})",
        TypeError,
    ),
    Refusal(
        "topology of another size",
        lambda c: c.gossips and c.top.n != c.n,
        "network.topology {top!r} has n = {network.topology.n} nodes, but the data are split over {n}; make both the same",
        ValueError,
    ),
    Refusal(
        "weights of another kind",
        lambda c: (
            c.gossips
            and c.top.kind not in c.traits.weights
            and {
                "wanted": " or ".join(c.traits.weights),
                "way": f"use {ADVICE['directed']} on directed graphs"
                if c.top.kind == "column"
                else "use metropolis weights on an undirected graph",
            }
        ),
        "network.topology {top!r} has {network.topology.kind}-stochastic weights, but {method} needs {wanted}: {way}",
    ),
    Refusal(
        "rule in events",
        lambda c: c.gossips and not c.network.rule.linear and c.network.events is not None,
        "network.rule {rule} needs several values to judge one, but an event combines two; leave it out, or use synchronous rounds",
    ),
    Refusal(
        "sums needed",
        lambda c: c.gossips and not c.network.rule.linear and c.traits.needs_sums,
        "network.rule {rule} is not linear, but {method} needs sums: {traits.needs_sums}",
    ),
    Refusal(
        "copies on a graph that changes",
        lambda c: c.gossips and c.network.codec.memory == "copies" and not c.top.fixed,
        "network.codec keeps copies at every neighbor, but {top!r} changes its neighbors from round to round, so that new ones would "
        "have missed messages; use {use[late_copies]}, or a fixed graph",
    ),
    Refusal(
        "losses on a directed doubly stochastic graph",
        lambda c: c.gossips and c.directed and c.network.events is None and c.fault(lambda fault: True),
        "network.faults has {fault} on the directed doubly stochastic graph {top!r}: no local repair keeps both row and column sums; "
        "set repair='row' (the mean then drifts), or use an undirected graph",
    ),
    Refusal(
        "one-sided losses",
        lambda c: (
            c.gossips
            and c.top.kind == "doubly"
            and c.network.repair is None
            and c.fault(lambda fault: not fault.symmetric)
        ),
        "network.faults has {fault}, which loses one direction alone and would break the column sums of {top!r}; use "
        "{use[two_way_loss]}, or set repair='row'",
    ),
    Refusal(
        "rows per edge on a graph without reverse edges",
        conditions.rows,
        "{what} rows per edge, which need one fixed graph with links in both directions, but {top!r} {does}; use e.g. "
        "{use[lossless_graphs]}",
    ),
    Refusal(
        "rows per edge without edges",
        lambda c: c.rows and not len(c.edges) and conditions.who(c),
        "{what} rows per edge, but {top!r} has no edges; use a graph that has some, e.g. {use[edges]}",
    ),
    Refusal(
        "rule on rows per edge",
        lambda c: c.channel == "edges" and not c.network.rule.linear,
        "network.rule {rule} compares the values that a node receives, but {method} sends another message on every edge, so that they "
        "are not comparable; leave it out, or use {use[comparable]}",
    ),
    Refusal(
        "attack in the spread of rows per edge",
        lambda c: c.channel == "edges" and c.spread,
        "network.attack {attack} hides in the spread of values that estimate one quantity, but {method} sends another message on every "
        "edge; use {use[plain_attack]}, or attack {use[comparable]}",
    ),
    Refusal(
        "cycles",
        conditions.cycles,
        "network.topology {top!r} {is}, but {method} relays sums that would come round a cycle; use a tree, which has {links}: "
        "{use[trees]}",
    ),
    Refusal(
        "events without a footprint",
        lambda c: c.gossips and c.network.events is not None and c.traits.footprint is None,
        "network.events is given, but {method} does not say which nodes one of its events touches; use {use[event_driven]}",
    ),
    Refusal(
        "events on a directed or changing graph",
        lambda c: (
            c.gossips
            and c.network.events is not None
            and not (c.top.kind == "doubly" and c.top.symmetric and c.top.fixed)
        ),
        "network.events pairs neighbors of an undirected fixed graph, which {top!r} is not; use e.g. {use[pairs]}",
    ),
    Refusal(
        "clock beside events",
        lambda c: c.gossips and c.network.events is not None and c.network.clock is not None,
        f"network.clock beside network.events: {_PLAN}; leave the clock out",
    ),
    Refusal(
        "copies in events",
        lambda c: c.gossips and c.network.events is not None and c.network.codec.memory == "copies",
        "network.codec keeps copies at every neighbor, but an event tells one neighbor alone; use {use[late_copies]}",
    ),
    Refusal(
        "attack in the spread of an event",
        lambda c: c.gossips and c.network.events is not None and c.spread,
        "network.attack {attack} hides in the spread of several honest values, but in an event the receiver has only its own; use "
        "{use[plain_attack]}, or synchronous rounds",
    ),
    Refusal(
        "sleepers beside events",
        lambda c: c.gossips and c.network.events is not None and c.fault(lambda fault: fault.sleeps),
        f"network.faults has {{fault}} beside network.events: {_PLAN}; leave it out",
    ),
    Refusal(
        "unused topology",
        lambda c: (
            not c.gossips
            and c.network.server is None
            and c.top is not None
            and not c.unlinked
            and {"where": "talks to a server" if c.channel == "server" else "does not communicate"}
        ),
        "network.topology is {top!r}, but {method} {where} and would ignore it; set topology to None, or server='star' to say that the "
        "graph is unused",
    ),
    Refusal(
        "no messages to change",
        lambda c: c.channel == "none" and conditions.ignored(c),
        "network.{field} is {value!r}, but {method} sends no messages, so it would be ignored; leave it out",
    ),
    Refusal(
        "distances at a server",
        lambda c: c.channel == "server" and c.network.rule.needs_own,
        "network.rule {rule} measures distances to the receiver's own value, and a server has none; use {use[server_rule]}",
    ),
    Refusal(
        "groups in one sum",
        lambda c: c.channel == "server" and c.network.server in ("shards", "all_reduce") and c.traits.groups,
        "network.server is {network.server!r}, which forms one sum of all nodes, but {method} averages by groups; leave it out",
    ),
    Refusal(
        "partial sums alone",
        conditions.all_reduce,
        "network.server is 'all_reduce', where partial sums travel alone, but {why}; use 'star' or 'shards'",
    ),
    Refusal(
        "equal starts",
        lambda c: c.traits.own_starts and c.problem.starts == "equal",
        "{method} tells its models apart by their starts, but the problem's are equal; give Problem(..., starts='independent')",
    ),
    Refusal(
        "no events",
        lambda c: c.network.events is None and c.traits.needs_events,
        "{method} is driven by events; give network.events, e.g. dejax.events.poisson()",
    ),
    Refusal(
        "events without gossip",
        lambda c: c.network.events is not None and not c.gossips,
        "network.events pairs neighbors, but {method} does not gossip; leave it out",
    ),
    Refusal(
        "second codec",
        lambda c: c.traits.own_codec is not None and not c.network.codec.lossless,
        "network.codec is {codec}, but {method} sends its messages through a codec of its own and would ignore it; set "
        "{method}.{traits.own_codec}, or compress {use[compressed]} by network.codec",
    ),
    Refusal(
        "messages must be exact: codec",
        lambda c: c.traits.needs_exact and not c.network.codec.lossless,
        "network.codec {codec} loses information: {traits.needs_exact}",
    ),
    Refusal(
        "no messages to noise",
        lambda c: c.rewrites("privacy") and c.channel == "none",
        "network.privacy noises messages, but {method} sends none; use {use[gradient_noise]}",
    ),
    Refusal(
        "messages must be exact: privacy",
        lambda c: c.rewrites("privacy") and c.traits.needs_exact,
        "network.privacy changes messages: {traits.needs_exact}",
    ),
    Refusal(
        "no messages to rewrite",
        lambda c: c.rewrites("attack") and c.channel == "none",
        "network.attack rewrites messages, but {method} sends none; use {use[sample_attack]}",
    ),
    Refusal(
        "messages must be exact: attack",
        lambda c: c.rewrites("attack") and c.traits.needs_exact and c.hostile,
        "network.attack rewrites messages: {traits.needs_exact}",
    ),
    Refusal(
        "late twice",
        lambda c: c.late is not None and c.fault(lambda fault: fault.span[1] > 0),
        "network.faults has {late} twice, and a message has one age; give one, with the sum of the phases",
    ),
    Refusal(
        "late beside events",
        lambda c: c.late is not None and c.network.events is not None,
        "network.faults has {late} beside network.events, where two nodes meet and no message travels; leave it out",
    ),
    Refusal(
        "late beside a clock",
        lambda c: c.late is not None and c.network.clock is not None,
        "network.faults has {late}, which counts phases, beside network.clock, which counts seconds and waits for every message of a "
        "phase; give the clock a latency, or leave one of them out",
    ),
    Refusal(
        "late partial sums",
        lambda c: c.late is not None and c.channel == "server" and c.network.server == "all_reduce",
        "network.faults has {late}, but network.server is 'all_reduce', where partial sums travel alone and no single upload can be "
        "late; use 'star' or 'shards'",
    ),
    Refusal(
        "late on a graph that changes",
        lambda c: c.late is not None and c.gossips and not c.top.fixed,
        "network.faults has {late}, but {top!r} changes its neighbors from phase to phase: a message would arrive when its link is "
        "gone; use a fixed graph",
    ),
    Refusal(
        "losses under way",
        lambda c: c.late is not None and c.gossips and c.network.kind == "column" and c.fault(lambda fault: True),
        "network.faults has {late} beside {fault}, but {top!r} has column-stochastic weights: the weight of a message that {method} "
        "loses would have to travel back to the value that it left; leave one of them out",
    ),
    Refusal(
        "attack in the spread of several ages",
        lambda c: c.late is not None and c.gossips and c.late.span[0] != c.late.span[1] and c.spread,
        "network.faults has {late} with another lateness for every edge, but network.attack {attack} sends one value per receiver "
        "and phase, of which a receiver would hold several; make all equally late, e.g. phases=2, or use {use[plain_attack]}",
    ),
    Refusal(
        "no messages to audit",
        lambda c: c.network.audit and c.channel == "none",
        "network.audit counts messages that were not used, but {method} sends none; leave it out",
    ),
    Refusal(
        "a rule that does not say what it rejects",
        lambda c: c.network.audit and not callable(getattr(c.network.rule, "rejected", None)),
        "network.audit asks the rule what it leaves out, but {rule} does not say; give it a method rejected(ctx, received) -> [n, k], "
        "the share of each received message that it does not use",
    ),
    Refusal(
        "one loss per batch",
        lambda c: c.network.privacy is not None and c.network.privacy.per_example and c.loss_per_batch,
        "network.privacy {privacy} clips per example, but the task's loss returns one number per batch; return one loss per example, "
        "shape [B]",
    ),
    Refusal(
        "roles in several models",
        lambda c: c.traits.groups and c.roles - {"shared"} and {"rules": dict(c.problem.rules)},
        "the leaves {rules} have roles of their own, but {method} keeps several models at the server, and none of them is the one that "
        "they belong to; use {use[one_model]}, or share all leaves",
    ),
    Refusal(
        "personal leaves of one model",
        lambda c: c.traits.pooled and "personal" in c.roles,
        "Problem.roles has personal leaves, but {method} keeps one model for all; share them",
    ),
    Refusal(
        "batch statistics",
        conditions.statistics,
        "the model has batch statistics, but {why}. Use nnx.LayerNorm or nnx.GroupNorm, which have none",
    ),
    Refusal("too few values for a rule", conditions.rule_size, "{why}", ValueError),
)


__all__ = ["ADVICE", "REFUSALS", "Refusal"]
