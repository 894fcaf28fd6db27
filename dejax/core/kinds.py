"""What each slot of a network holds: one table, read when a network is made."""

import dataclasses
import inspect
from typing import Any, NamedTuple

from ..errors import Words, bad, call


class Kind(NamedTuple):
    """What an option must have (any one of the names in each group), in words, an example, and what it may not have."""

    has: tuple[tuple[str, ...], ...]
    word: str
    example: str
    lacks: tuple[str, ...] = ()


KINDS = {
    "topology": Kind((("links", "build"),), "topology", call("dejax.topology.ring", 8)),
    "codec": Kind(
        (("encode",), ("memory",)),
        "codec",
        call("dejax.compression.direct", call("dejax.compression.top_k", k=10), gamma=0.5),
    ),
    "privacy": Kind(
        (("hook",),),
        "privacy mechanism",
        call("dejax.privacy.gaussian_message", clip=1.0, noise_multiplier=0.1),
        ("is_adversary",),
    ),
    "attack": Kind((("hook",), ("is_adversary",)), "attack", call("dejax.attacks.sign_flip", adversaries=1)),
    "faults": Kind((("arrives",), ("uploads",)), "fault", call("dejax.faults.churn", p=0.1)),
    "rule": Kind((("combine",), ("linear",)), "combination rule", call("dejax.aggregation.coordinate_median")),
    "clock": Kind((("compute",), ("messages",)), "clock", call("dejax.faults.clock", latency=0.01)),
    "events": Kind((("plan", "at"),), "event schedule", call("dejax.events.poisson")),
}


ADAM = Words("dejax.optimizer(optax.adam, learning_rate=1e-3)", "{adam: {learning_rate: 0.001}}")
INNER = {  # what other objects hold in such fields
    "compressor": Kind((("apply",), ("bits",)), "compressor", call("dejax.compression.top_k", k=10), ("encode",)),
    "optimizer": Kind((("make",),), "optimizer", ADAM, ("update",)),
}


def check_option(field: str, value: Any, owner: str = "Network", kind: str | None = None) -> None:
    """Raise TypeError unless `value` is what the slot `field` of a network (or of `owner`) holds, or None, or a placeholder of JAX.

    Args:
      kind: the kind of thing that the field holds, where it is not called as its kind is.
    Raises:
      TypeError: a class or function that was not called, a compressor where a codec is wanted, a name, or anything else; says what
        to write.
    """
    if value is None or type(value) is object:
        return
    wanted = (KINDS | INNER)[kind or field]
    if isinstance(value, type) or inspect.isroutine(value):
        raise bad(
            field,
            value,
            owner=owner,
            says=f"is {value.__name__}",
            why=f"which was not called, so that it is no {wanted.word} yet",
            instead="give e.g. " + wanted.example,
        )
    fits = all(any(hasattr(value, has) for has in names) for names in wanted.has)
    if fits and not any(hasattr(value, has) for has in wanted.lacks):
        return
    if field == "codec" and hasattr(value, "apply"):
        raise bad(
            field,
            value,
            owner=owner,
            why="a compressor, but a codec is wanted, which says what becomes of the part that was not sent",
            instead="wrap it: " + call("dejax.compression.copies", value, gamma=0.3) + ", or error_feedback, or direct",
        )
    if hasattr(value, "encode") and hasattr(value, "compressor"):
        raise bad(
            field,
            value,
            owner=owner,
            why="a codec, but a compressor is wanted",
            instead=f"give the one inside it: {value.compressor!r}",
        )
    if hasattr(value, "update") and hasattr(value, "init"):
        says = "is a finished optax optimizer"
        why = "which would compile anew for every rate"
        raise bad(field, value, owner=owner, says=says, why=why, instead="give " + wanted.example)
    raise bad(
        field,
        value,
        owner=owner,
        says=f"is {value!r} ({type(value).__name__})",
        why=f"which is no {wanted.word}",
        instead="give e.g. " + wanted.example,
    )


@dataclasses.dataclass(frozen=True)
class Slot:
    """The check of a field that holds an option of some kind, for `option(check=Slot("compressor"))`."""

    kind: str

    @property
    def want(self) -> str:
        """What fits."""
        return "e.g. " + (KINDS | INNER)[self.kind].example

    def __call__(self, field: str, value: Any, leaf: bool = False) -> Any:
        """The option."""
        owner, _, name = field.rpartition(".")
        check_option(name, value, owner, self.kind)
        return value


__all__ = ["ADAM", "INNER", "KINDS", "Kind", "Slot", "check_option"]
