"""What starts, events and messages a method cannot do with."""

from ...errors import Words
from .refusal import ADVICE, Refusal

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
        lambda c: (
            c.network.events is None
            and c.traits.needs_events
            and {"plan": ADVICE["apart" if c.traits.needs_events == "apart" else "pair_events"]}
        ),
        field="network.events",
        text="{method} is driven by events; give network.events, e.g. " + Words("dejax.events.{plan}()", "{plan}"),
    ),
    Refusal(
        "no clock",
        lambda c: c.network.clock is None and c.traits.needs_clock,
        field="network.clock",
        text="{method} waits for those who are first by the clock, and without one all come at once; give network.clock",
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
        why="but {method} acts on raw losses or samples, which {privacy} neither clips nor noises, so that what it sends tells of them",
        instead="leave privacy out, or use {use[one_model]}",
    ),
    Refusal(
        "no gradients to noise",
        lambda c: c.network.privacy is not None and c.network.privacy.hook == "gradient" and not c.traits.learns,
        field="network.privacy",
        says="noises gradients",
        why="but {method} computes none, since it looks at no samples",
        instead="leave privacy out",
    ),
    Refusal(
        "no samples to attack",
        lambda c: (
            c.network.attack is not None and c.network.attack.hook in ("batch", "gradient") and not c.traits.learns
        ),
        field="network.attack",
        says="changes samples or gradients",
        why="but {method} looks at no samples",
        instead="use an attack on messages, e.g. dejax.attacks.sign_flip(adversaries=1)",
    ),
    Refusal(
        "messages must be exact: privacy",
        lambda c: c.rewrites("privacy") and c.traits.needs_exact,
        field="network.privacy",
        says="changes messages: {traits.needs_exact}",
    ),
    Refusal(
        "no change of a model to clip",
        lambda c: c.noises_uploads and not (c.channel == "server" and c.traits.one_update),
        field="network.privacy",
        says="{privacy} clips, at a server, the change of each node's model",
        why="but {method} sends something else",
        instead="use {use[upload]}, or {use[gradient_noise]}",
    ),
    Refusal(
        "rules beside clipped sums",
        lambda c: c.noises_uploads and not c.network.rule.linear,
        field="network.rule",
        says="is {rule}",
        why="but {privacy} knows how much one node moves a sum, not what a robust rule makes of it",
        instead="leave it out",
    ),
    Refusal(
        "codecs after shares of noise",
        lambda c: c.noises_uploads and c.network.privacy.at_nodes and not c.network.codec.lossless,
        field="network.codec",
        says="is {codec}",
        why="but shares of noise hide a node in the sum of what was sent, not in a sum of what is left after compression",
        instead="leave it out, or let the server clip and add the noise: noise='server'",
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
