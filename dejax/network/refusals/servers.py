"""What a server, or nobody to talk to, excludes."""

from ...errors import NULL, keyword
from .. import conditions
from .refusal import Refusal

SERVERS: tuple[Refusal, ...] = (
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
        lambda c: c.served and c.network.rule.needs_own,
        field="network.rule",
        says="{rule} measures distances to the receiver's own value",
        why="and a server has none",
        instead="use {use[server_rule]}",
    ),
    Refusal(
        "groups in one sum",
        lambda c: c.served and c.network.server in ("shards", "all_reduce") and c.traits.groups,
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
)


__all__ = ["SERVERS"]
