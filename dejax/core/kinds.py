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


INNER = {  # what other objects hold in such fields
    "compressor": Kind((("apply",), ("bits",)), "compressor", "dejax.compression.top_k(k=10)", ("encode",)),
    "optimizer": Kind((("make",),), "optimizer", "dejax.optimizer(optax.adam, learning_rate=1e-3)", ("update",)),
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
    name, wanted = f"{owner}.{field}", (KINDS | INNER)[kind or field]
    if isinstance(value, type) or inspect.isroutine(value):
        raise TypeError(
            f"{name} is {value.__name__}, which was not called, so that it is no {wanted.word} yet; give e.g. {wanted.example}"
        )
    fits = all(any(hasattr(value, has) for has in names) for names in wanted.has)
    if fits and not any(hasattr(value, has) for has in wanted.lacks):
        return
    if field == "codec" and hasattr(value, "apply"):
        raise TypeError(
            f"{name} is {value!r}, a compressor, but a codec is wanted, which says what becomes of the part that was not sent; "
            f"wrap it: dejax.compression.copies({value!r}, gamma=0.3), or error_feedback, or direct"
        )
    if hasattr(value, "encode") and hasattr(value, "compressor"):
        raise TypeError(
            f"{name} is {value!r}, a codec, but a compressor is wanted; give the one inside it: {value.compressor!r}"
        )
    if hasattr(value, "update") and hasattr(value, "init"):
        raise TypeError(
            f"{name} is a finished optax optimizer, which would compile anew for every rate; give {wanted.example}"
        )
    raise TypeError(
        f"{name} is {value!r} ({type(value).__name__}), which is no {wanted.word}; give e.g. {wanted.example}"
    )


__all__ = ["INNER", "KINDS", "Kind", "check_option"]
