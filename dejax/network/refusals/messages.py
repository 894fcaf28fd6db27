"""What starts, events and messages a method cannot do with."""

from ...core.kinds import KINDS
from ...errors import Words
from .refusal import Refusal

MESSAGES: tuple[Refusal, ...] = (
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
        says="lets neighbors meet or hear each other",
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
        "choice by raw losses",
        lambda c: c.network.privacy is not None and c.traits.raw_losses,
        field="network.privacy",
        says="is {privacy}",
        why="but {method} chooses by raw losses, which {privacy} neither clips nor noises, and tells the server",
        instead="leave privacy out, or use {use[one_model]}",
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
)


__all__ = ["MESSAGES"]
