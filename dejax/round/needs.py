"""Which traits a method must say for each verb, and the refusal where it does not.

Refusals of pairs read traits alone. A verb that a method calls without saying so would pass them, and
then meet options that cannot work with it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from ..core.method import Traits, traits
from ..core.types import Round
from ..errors import bad

Need = Callable[[Traits, Any], dict[str, Any]]  # (traits, round) -> what they lack; nothing where all is said
DEFAULT = Traits()


def _says(**want: Any) -> Need:
    return lambda said, _: {name: value for name, value in want.items() if getattr(said, name) != value}


def _neighbors(said: Traits, _: Round) -> dict[str, Any]:
    return {} if said.gossips else {"channel": "neighbors"}


def _server(said: Traits, _: Round) -> dict[str, Any]:
    return {} if said.served else {"channel": "server"}


def _now_and_then(said: Traits, round: Round) -> dict[str, Any]:
    return _uploads(said, round) if said.served else {"server": "all" if round.n == round.n_all else round.n}


def _uploads(said: Traits, round: Round) -> dict[str, Any]:
    """No fewer nodes upload than the traits say: so many values a rule is sure to get."""
    if not said.served:
        return {"channel": "server"}
    some = said.cohort if said.server is None else said.server
    if round.n >= (round.n_all if some in (None, "all") else min(round.n_all, int(some))):
        return {}
    return {"cohort" if said.server is None else "server": round.n}


def _both(*needs: Need) -> Need:
    return lambda said, round: {name: value for need in needs for name, value in need(said, round).items()}


def _raw(said: Traits, round: Round) -> dict[str, Any]:
    """A source of experience may look at raw losses where nothing is to be kept private."""
    if round.within is not None and round.network.privacy is None:
        return {}
    return _says(raw_losses=True)(said, round)


NEEDS: dict[str, Need] = {  # verb, or verb(argument) where the argument is given
    "gradient": _says(learns=True),
    "gradient(per_example)": _says(per_example=True),
    "batch": _says(learns=True),
    "loss": _says(learns=True),
    "losses": _says(learns=True),
    "forward": _says(learns=True),
    "loss(batch)": _raw,
    "losses(batch)": _raw,
    "forward(batch)": _raw,
    "gossip": _neighbors,
    "gossip(weights)": lambda said, _: {} if said.needs_sums else {"needs_sums": "why no rule may replace its weights"},
    "gossip(mask)": _says(masks=True),
    "gossip(heard)": _says(footprint="neighbors"),
    "exchange": _neighbors,
    "exchange(heard)": _says(footprint="neighbors"),
    "exchange(per_edge)": _says(channel="edges"),
    "links": _neighbors,
    "neighbors": _neighbors,
    "degree": _neighbors,
    "edges": _says(channel="edges"),
    "edge_slot": _says(channel="edges"),
    "pull": _both(_neighbors, _says(pulls=True)),
    "ask": _says(channel="edges", asks=True),
    "average": _uploads,
    "average(groups)": _says(groups=True),
    "average(mask)": _says(masks=True),
    "merge": _now_and_then,
    "gather": _both(_uploads, _says(gathers=True)),
    "scatter": _both(_server, _says(gathers=True)),
    "broadcast": _server,
} | {  # a codec of the method's own
    f"{verb}(codec)": lambda said, _: {} if said.own_codec else {"own_codec": "the name of its field"}
    for verb in ("gossip", "exchange", "average", "merge", "gather")
}  # fmt: skip


def check(round: Any, verb: str, given: dict[str, Any]) -> None:
    """Raise where the method calls a verb, with these arguments, that its traits do not say.

    Raises:
      FieldError: names verb, method and trait, and the line to write.
    """
    method = round.method
    if method is None:
        return
    calls = [verb, *(f"{verb}({name})" for name, value in given.items() if value is not None and value is not False)]
    said = traits(method)
    for call in calls:
        lacks = NEEDS[call](said, round) if call in NEEDS else {}
        if lacks:
            raise _missing(round, call, type(method).__name__, said, lacks)


def _missing(round: Round, call: str, method: str, said: Traits, lacks: dict[str, Any]) -> Exception:
    words = ", ".join(f"{name}={value!r}" for name, value in lacks.items())
    verb, _, argument = call.rstrip(")").partition("(")
    with_it = f" with {argument}=" if argument and argument != "batch" else " on private samples" if argument else ""
    if round.within is not None:
        says = f"is called{with_it} by Problem.source {round.within}"
        why, way = f"but the method {method} does not say {words}", "collect without it, or use a method that says so"
        return bad(verb, owner="round", says=says, why=why, instead=way)
    own = {f.name: getattr(said, f.name) for f in dataclasses.fields(said)} | lacks
    line = ", ".join(f"{name}={value!r}" for name, value in own.items() if value != getattr(DEFAULT, name))
    why, way = f"but {method} does not say {words}", f"write traits = dejax.Traits({line}) in its class"
    return bad(verb, owner="round", says=f"is called{with_it}", why=why, instead=way)


__all__ = ["NEEDS", "check"]
