"""What parts of models, single uploads and chosen neighbors exclude."""

from typing import Any

from ...problem.averaging import no_mean
from .refusal import Refusal


def _sums_alone(case: Any) -> Any:
    """What a method asks of a server that forms sums alone, as the end of a sentence."""
    if not case.served or case.network.server not in ("shards", "all_reduce"):
        return None
    if case.traits.gathers:
        return {"does": "looks at single uploads"}
    return case.traits.masks and {"does": "averages parts of models"}


def _whole(codec: Any) -> dict[str, str]:
    """Why a codec cannot act on some entries alone, as words of a reason."""
    if codec.per_edge:
        return {"lacks": "a receiver that missed a message would not know which entries its copy has"}
    inner = type(getattr(codec, "compressor", codec)).__name__
    return {"lacks": f"{inner} does not say what it makes of some entries alone"}


def _no_mean(case: Any) -> Any:
    """Who says that what nodes share has no mean, and what else would do."""
    said = no_mean(case.problem)
    way = "" if said is None or "leaf" not in said else ", or make the leaf personal or frozen by Problem.roles"
    return said and {"said": said, "way": way}


PARTS: tuple[Refusal, ...] = (
    Refusal(
        "models without a mean",
        lambda c: c.channel != "none" and c.traits.averages and _no_mean(c),
        field="Problem.task",
        text="{said}, but {method} averages models; use a method that sends answers, or none{way}",
    ),
    Refusal(
        "more than sums",
        _sums_alone,
        field="network.server",
        why="which forms sums alone, but {method} {does}",
        instead="leave it out",
    ),
    Refusal(
        "rule beside single uploads",
        lambda c: c.traits.gathers and not c.network.rule.linear,
        field="network.rule",
        says="is {rule}",
        why="but {method} combines single uploads itself, and would not use it",
        instead="leave it out",
    ),
    Refusal(
        "late single uploads of a cohort",
        lambda c: c.late is not None and c.traits.gathers and c.traits.cohort is not None and c.uploads < c.n,
        field="network.faults",
        says="has {late}",
        why="but {method} looks at single uploads of a cohort, where a late one stands in the place of another node",
        instead="leave it out, or let all nodes upload",
    ),
    Refusal(
        "rule over parts",
        lambda c: c.traits.masks and not c.network.rule.masks,
        field="network.rule",
        says="is {rule}",
        why="which looks at whole values, but {method} sends parts of models: distances over the entries that two nodes share do not compare, "
        "and who holds little is near to all",
        instead="use {use[entry_rule]}",
    ),
    Refusal(
        "compressed parts",
        lambda c: c.traits.masks and not c.network.codec.masks and _whole(c.network.codec),
        field="network.codec",
        says="is {codec}",
        why="but {method} sends parts of models, and {lacks}",
        instead="use {use[part_codec]}, not per edge, around a compressor that has held(keys, x, mask)",
    ),
    Refusal(
        "copies of chosen neighbors",
        lambda c: c.traits.pulls and (c.network.codec.memory == "copies" or c.network.codec.per_edge),
        field="network.codec",
        says="keeps copies at every neighbor",
        why="but {method} chooses whom it hears, so that new ones would have missed messages",
        instead="use {use[late_copies]}",
    ),
    Refusal(
        "late from chosen neighbors",
        lambda c: c.traits.pulls and c.late is not None,
        field="network.faults",
        says="has {late}",
        why="but {method} chooses whom it hears: a message would arrive when nobody listens",
        instead="leave it out",
    ),
)


__all__ = ["PARTS"]
