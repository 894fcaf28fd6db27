"""What excludes what: one named refusal each, over what methods and options say of themselves, in the order in which they are read.

A method says its `Traits`, an option the facts of its kind (`dejax.core.kinds`). A refusal compares them, and knows neither by
name: a method or option of your own is refused where one of the library would be.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..core.kinds import KINDS
from ..errors import NULL, FieldError, RefusedError, Words, keyword
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
    """A pair that cannot work: its name, when it is met, and what the error says, as templates over `Case.words`.

    Args:
      when: falsy: the case passes; a mapping: further words of the templates; an error: that one.
      field, says, why, instead: of the error; without `says` it is the field's value. text: in their place, no sentence about a field.
    """

    name: str
    when: Callable[[Case], Any]
    field: str = ""
    says: str = ""
    why: str = ""
    instead: str = ""
    text: str = ""
    error: type[FieldError] = RefusedError

    def of(self, case: Case) -> FieldError | None:
        """The error of a case that meets it; None where the case passes."""
        found = self.when(case)
        if not found or isinstance(found, FieldError):
            return found or None
        words = case.words() | {"use": ADVICE} | (dict(found) if isinstance(found, Mapping) else {})
        told = {name: _filled(getattr(self, name), words) for name in ("text", "field", "says", "why", "instead")}
        room, _, name = told["field"].partition(".")
        return self.error(**told, got=getattr(case.network if room == "network" else case.problem, name))


def _filled(template: str, words: Mapping[str, Any]) -> str:
    """A template with its words; those of a config with the same."""
    filled = template.format_map(words)
    return Words(filled, template.command.format_map(words)) if isinstance(template, Words) else filled


_PLAN = "the event plan says who takes part, when and with whom"


REFUSALS: tuple[Refusal, ...] = (
    Refusal("impossible adversaries", conditions.adversaries),
    Refusal(
        "server under gossip",
        lambda c: c.gossips and c.network.server is not None,
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
        lambda c: c.gossips and not hasattr(c.top, "links"),
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
        field="network.topology",
        says="{top!r} has {network.topology.kind}-stochastic weights",
        why="but {method} needs {wanted}: {way}",
    ),
    Refusal(
        "rule in events",
        lambda c: c.gossips and not c.network.rule.linear and c.network.events is not None,
        field="network.rule",
        says="{rule} needs several values to judge one",
        why="but an event combines two",
        instead="leave it out, or use synchronous rounds",
    ),
    Refusal(
        "sums needed",
        lambda c: c.gossips and not c.network.rule.linear and c.traits.needs_sums,
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
        lambda c: c.channel == "edges" and c.spread,
        field="network.attack",
        says="{attack} hides in the spread of values that estimate one quantity",
        why="but {method} sends another message on every edge",
        instead="use {use[plain_attack]}, or attack {use[comparable]}",
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
        "events on a directed or changing graph",
        lambda c: (
            c.gossips
            and c.network.events is not None
            and not (c.top.kind == "doubly" and c.top.symmetric and c.top.fixed)
        ),
        field="network.events",
        says="pairs neighbors of an undirected fixed graph",
        why="which {top!r} is not",
        instead="use e.g. {use[pairs]}",
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
        lambda c: c.gossips and c.network.events is not None and c.network.codec.memory == "copies",
        field="network.codec",
        says="keeps copies at every neighbor",
        why="but an event tells one neighbor alone",
        instead="use {use[late_copies]}",
    ),
    Refusal(
        "attack in the spread of an event",
        lambda c: c.gossips and c.network.events is not None and c.spread,
        field="network.attack",
        says="{attack} hides in the spread of several honest values",
        why="but in an event the receiver has only its own",
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
        "unused topology",
        lambda c: (
            not c.gossips
            and c.network.server is None
            and c.top is not None
            and not c.unlinked
            and {"where": "talks to a server" if c.channel == "server" else "does not communicate"}
        ),
        field="network.topology",
        says="is {top!r}",
        why="but {method} {where} and would ignore it",
        instead="set topology to " + NULL + ", or " + keyword("server", "star") + " to say that the graph is unused",
    ),
    Refusal(
        "no messages to change",
        lambda c: c.channel == "none" and conditions.ignored(c),
        field="network.{field}",
        why="but {method} sends no messages, so it would be ignored",
        instead="leave it out",
    ),
    Refusal(
        "distances at a server",
        lambda c: c.channel == "server" and c.network.rule.needs_own,
        field="network.rule",
        says="{rule} measures distances to the receiver's own value",
        why="and a server has none",
        instead="use {use[server_rule]}",
    ),
    Refusal(
        "groups in one sum",
        lambda c: c.channel == "server" and c.network.server in ("shards", "all_reduce") and c.traits.groups,
        field="network.server",
        why="which forms one sum of all nodes, but {method} averages by groups",
        instead="leave it out",
    ),
    Refusal(
        "partial sums alone",
        conditions.all_reduce,
        field="network.server",
        says="is 'all_reduce'",
        why="where partial sums travel alone, but {why}",
        instead="use 'star' or 'shards'",
    ),
    Refusal(
        "equal starts",
        lambda c: c.traits.own_starts and c.problem.starts == "equal",
        field="Problem.starts",
        text="{method} tells its models apart by their starts, but the problem's are equal; give "
        + Words("Problem(..., starts='independent')", "starts: independent"),
    ),
    Refusal(
        "no events",
        lambda c: c.network.events is None and c.traits.needs_events,
        field="network.events",
        text="{method} is driven by events; give network.events, e.g. " + KINDS["events"].example,
    ),
    Refusal(
        "events without gossip",
        lambda c: c.network.events is not None and not c.gossips,
        field="network.events",
        says="pairs neighbors",
        why="but {method} does not gossip",
        instead="leave it out",
    ),
    Refusal(
        "second codec",
        lambda c: c.traits.own_codec is not None and not c.network.codec.lossless,
        field="network.codec",
        says="is {codec}",
        why="but {method} sends its messages through a codec of its own and would ignore it",
        instead="set {method}.{traits.own_codec}, or compress {use[compressed]} by network.codec",
    ),
    Refusal(
        "messages must be exact: codec",
        lambda c: c.traits.needs_exact and not c.network.codec.lossless,
        field="network.codec",
        says="{codec} loses information: {traits.needs_exact}",
    ),
    Refusal(
        "no messages to noise",
        lambda c: c.rewrites("privacy") and c.channel == "none",
        field="network.privacy",
        says="noises messages",
        why="but {method} sends none",
        instead="use {use[gradient_noise]}",
    ),
    Refusal(
        "messages must be exact: privacy",
        lambda c: c.rewrites("privacy") and c.traits.needs_exact,
        field="network.privacy",
        says="changes messages: {traits.needs_exact}",
    ),
    Refusal(
        "no messages to rewrite",
        lambda c: c.rewrites("attack") and c.channel == "none",
        field="network.attack",
        says="rewrites messages",
        why="but {method} sends none",
        instead="use {use[sample_attack]}",
    ),
    Refusal(
        "messages must be exact: attack",
        lambda c: c.rewrites("attack") and c.traits.needs_exact and c.hostile,
        field="network.attack",
        says="rewrites messages: {traits.needs_exact}",
    ),
    Refusal(
        "late twice",
        lambda c: c.late is not None and c.fault(lambda fault: fault.span[1] > 0),
        field="network.faults",
        says="has {late} twice",
        why="and a message has one age",
        instead="give one, with the sum of the phases",
    ),
    Refusal(
        "late beside events",
        lambda c: c.late is not None and c.network.events is not None,
        field="network.faults",
        says="has {late} beside network.events",
        why="where two nodes meet and no message travels",
        instead="leave it out",
    ),
    Refusal(
        "late beside a clock",
        lambda c: c.late is not None and c.network.clock is not None,
        field="network.faults",
        says="has {late}",
        why="which counts phases, beside network.clock, which counts seconds and waits for every message of a phase",
        instead="give the clock a latency, or leave one of them out",
    ),
    Refusal(
        "late partial sums",
        lambda c: c.late is not None and c.channel == "server" and c.network.server == "all_reduce",
        field="network.faults",
        says="has {late}",
        why="but network.server is 'all_reduce', where partial sums travel alone and no single upload can be late",
        instead="use 'star' or 'shards'",
    ),
    Refusal(
        "late on a graph that changes",
        lambda c: c.late is not None and c.gossips and not c.top.fixed,
        field="network.faults",
        says="has {late}",
        why="but {top!r} changes its neighbors from phase to phase: a message would arrive when its link is gone",
        instead="use a fixed graph",
    ),
    Refusal(
        "losses under way",
        lambda c: c.late is not None and c.gossips and c.network.kind == "column" and c.fault(lambda fault: True),
        field="network.faults",
        says="has {late} beside {fault}",
        why="but {top!r} has column-stochastic weights: the weight of a message that {method} loses would have to travel back to the value that it left",
        instead="leave one of them out",
    ),
    Refusal(
        "attack in the spread of several ages",
        lambda c: c.late is not None and c.gossips and c.late.span[0] != c.late.span[1] and c.spread,
        field="network.faults",
        says="has {late} with another lateness for every edge",
        why="but network.attack {attack} sends one value per receiver and phase, of which a receiver would hold several",
        instead="make all equally late, e.g. phases=2, or use {use[plain_attack]}",
    ),
    Refusal(
        "no messages to audit",
        lambda c: c.network.audit and c.channel == "none",
        field="network.audit",
        says="counts messages that were not used",
        why="but {method} sends none",
        instead="leave it out",
    ),
    Refusal(
        "a rule that does not say what it rejects",
        lambda c: c.network.audit and not callable(getattr(c.network.rule, "rejected", None)),
        field="network.audit",
        says="asks the rule what it leaves out",
        why="but {rule} does not say",
        instead="give it a method rejected(ctx, received) -> [n, k], the share of each received message that it does not use",
    ),
    Refusal(
        "one loss per batch",
        lambda c: c.network.privacy is not None and c.network.privacy.per_example and c.loss_per_batch,
        field="network.privacy",
        says="{privacy} clips per example",
        why="but the task's loss returns one number per batch",
        instead="return one loss per example, shape [B]",
    ),
    Refusal(
        "roles in several models",
        lambda c: c.traits.groups and c.roles - {"shared"} and {"rules": dict(c.problem.rules)},
        field="Problem.roles",
        text="the leaves {rules} have roles of their own, but {method} keeps several models at the server, and none of them is the one that they belong to; use {use[one_model]}, or share all leaves",
    ),
    Refusal(
        "personal leaves of one model",
        lambda c: c.traits.pooled and "personal" in c.roles,
        field="Problem.roles",
        says="has personal leaves",
        why="but {method} keeps one model for all",
        instead="share them",
    ),
    Refusal(
        "batch statistics",
        conditions.statistics,
        field="Problem.task",
        text="the model has batch statistics, but {why}. Use nnx.LayerNorm or nnx.GroupNorm, which have none",
    ),
    Refusal("too few values for a rule", conditions.rule_size),
)


__all__ = ["ADVICE", "REFUSALS", "Refusal"]
