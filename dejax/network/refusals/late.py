"""What messages that come late exclude, and counts of those left out."""

from .refusal import Refusal

LATE: tuple[Refusal, ...] = (
    Refusal(
        "late twice",
        lambda c: sum(fault.span[1] > 0 for fault in c.network.faults) > 1,
        field="network.faults",
        says="has {late} twice",
        why="and a message has one age",
        instead="give one, with the sum of the phases",
    ),
    Refusal(
        "late without ages",
        lambda c: (
            c.late is not None
            and c.late.span[0] != c.late.span[1]
            and not callable(getattr(c.late, "ages", None))
            and {"span": c.late.span}
        ),
        field="network.faults",
        says="has {late} with span {span}",
        why="but {late} does not say by how many phases each message is late",
        instead="give it a method ages(key, receivers, senders, n) -> int32, of the shape of receivers, or one number twice as span",
    ),
    Refusal(
        "late beside events",
        lambda c: c.late is not None and c.network.events is not None,
        field="network.faults",
        says="has {late} beside network.events",
        why="which says when nodes meet, or how old what they heard may be",
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
        "late at a server now and then",
        lambda c: c.late is not None and c.now_and_then,
        field="network.faults",
        says="has {late}",
        why="but {method} averages at a server now and then: an upload would arrive when nobody waits for it",
        instead="leave it out",
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
        "late answers",
        lambda c: c.late is not None and c.traits.asks,
        field="network.faults",
        says="has {late}",
        why="but {method} asks neighbors, and an answer would come when another question was asked",
        instead="leave it out",
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
        lambda c: c.late is not None and c.gossips and c.late.span[0] != c.late.span[1] and c.sharded,
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
)


__all__ = ["LATE"]
