"""What each slot of a network holds: one table, read when a network is made."""

import inspect
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """What an option must have (any one of the names in each group), in words, an example, and what it may not have."""

    has: tuple[tuple[str, ...], ...]
    word: str
    example: str
    lacks: tuple[str, ...] = ()


KINDS = {
    "topology": Kind((("links", "build"),), "topology", "dejax.topology.ring(8)"),
    "codec": Kind(
        (("encode",), ("memory",)), "codec", "dejax.compression.direct(dejax.compression.top_k(k=10), gamma=0.5)"
    ),
    "privacy": Kind(
        (("hook",),),
        "privacy mechanism",
        "dejax.privacy.gaussian_message(clip=1.0, noise_multiplier=0.1)",
        ("is_adversary",),
    ),
    "attack": Kind((("hook",), ("is_adversary",)), "attack", "dejax.attacks.sign_flip(adversaries=1)"),
    "faults": Kind((("arrives",), ("uploads",)), "fault", "dejax.faults.churn(p=0.1)"),
    "rule": Kind((("combine",), ("linear",)), "combination rule", "dejax.aggregation.coordinate_median()"),
    "clock": Kind((("compute",), ("messages",)), "clock", "dejax.faults.clock(latency=0.01)"),
    "events": Kind((("plan", "at"),), "event schedule", "dejax.events.poisson()"),
}


def check_option(field: str, value: Any) -> None:
    """Raise TypeError unless `value` is what the slot `field` of a network holds, or None, or a placeholder of JAX.

    Raises:
      TypeError: a class or function that was not called, a compressor where a codec is wanted, a name, or anything else; says what
        to write.
    """
    if value is None or type(value) is object:
        return
    kind = KINDS[field]
    if isinstance(value, type) or inspect.isroutine(value):
        raise TypeError(
            f"Network.{field} is {value.__name__}, which was not called, so that it is no {kind.word} yet; give e.g. {kind.example}"
        )
    fits = all(any(hasattr(value, name) for name in names) for names in kind.has)
    if fits and not any(hasattr(value, name) for name in kind.lacks):
        return
    if field == "codec" and hasattr(value, "apply"):
        raise TypeError(
            f"Network.codec is {value!r}, a compressor, but a codec is wanted, which says what becomes of the part that was not sent; "
            f"wrap it: dejax.compression.copies({value!r}, gamma=0.3), or error_feedback, or direct"
        )
    raise TypeError(
        f"Network.{field} is {value!r} ({type(value).__name__}), which is no {kind.word}; give e.g. {kind.example}"
    )


__all__ = ["KINDS", "Kind", "check_option"]
