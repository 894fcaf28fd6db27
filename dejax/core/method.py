"""What a method is: two pure functions, and what it says of itself for the engine and the network to read."""

import dataclasses
import difflib
import inspect
import types
import typing
from typing import Any, Literal, Protocol

import jax

Channel = Literal["edges", "server", "none"]
Kind = Literal["doubly", "row", "column"]


class Method(Protocol):
    """`init(params [n, ...], key) -> state` and `step(state, round) -> state`; a class of these two with `dejax.struct` is a method.

    What is evaluated is `state.params`, or `model(state)` where the class has it. What else the class says of itself are `Flags`.
    """

    def init(self, params: Any, key: jax.Array) -> Any:
        """The state before round 0."""
        ...

    def step(self, state: Any, round: Any) -> Any:
        """The state after a round."""
        ...


@dataclasses.dataclass(frozen=True)
class Flags:
    """What a method says of itself, as plain class attributes (`channel = "server"`); what it leaves out has the default.

    Args:
      channel: whom it talks to: "edges" (neighbors of a topology), "server", or "none" (nobody).
      accepts: kinds of W that it can work with: "doubly", "row", "column" stochastic.
      clients: at a server, nodes sampled per round; None: all. Usually a static field.
      pooled: one model for all nodes, though there is no server.
      own_starts: its models are told apart by their starts, so that these may not be equal.
      groups: it averages by groups, keeping several models at the server.
      per_edge: it sends another message on every edge (`round.exchange(per_edge=True)`).
      needs_tree: the graph must be a tree. Only with `per_edge`.
      footprint: "pair" if one event touches the two nodes that meet, so that events may drive it; None: they may not.
      needs_events: it runs on events alone.
      keeps_view: it carries itself what a node saw when it began its gradient (stale events).
      own_codec: its field that holds a compressor or codec of its own, in place of the network's.
      robust: a rule that is not linear may stand in for W; if not, `robust_reason` says why.
      lossy: messages may be compressed, noised or attacked; if not, `lossy_reason` says why.
    """

    channel: Channel = "edges"
    accepts: tuple[Kind, ...] = ("doubly",)
    clients: int | None = None
    pooled: bool = False
    own_starts: bool = False
    groups: bool = False
    per_edge: bool = False
    needs_tree: bool = False
    footprint: Literal["pair"] | None = None
    needs_events: bool = False
    keeps_view: bool = False
    own_codec: str | None = None
    robust: bool = True
    robust_reason: str = ""
    lossy: bool = True
    lossy_reason: str = ""

    @property
    def one_model(self) -> bool:
        """Whether one model is kept for all, at a server or pooled."""
        return self.channel == "server" or self.pooled


NAMES = tuple(f.name for f in dataclasses.fields(Flags))


def flags(method: Any) -> Flags:
    """The flags of a method."""
    return Flags(**{name: getattr(method, name) for name in NAMES if hasattr(method, name)})


def check_method(method: Any) -> None:
    """A method has `init` and `step`, and its flags are spelt right and have possible values.

    Raises:
      TypeError: no method; an attribute that looks like a misspelt flag, or a flag that is a pytree leaf.
      ValueError: a flag with a value that it cannot have, or a refusal without its reason.
    """
    if isinstance(method, type) or not (hasattr(method, "init") and hasattr(method, "step")):
        raise TypeError(f"method is {method!r}; give an object with init and step, e.g. dejax.methods.dsgd(lr=0.1)")
    cls = type(method)
    fields = {f.name: f for f in dataclasses.fields(method)} if dataclasses.is_dataclass(method) else {}
    for name in NAMES:
        if name in fields and not fields[name].metadata.get("static"):
            raise TypeError(
                f"{cls.__name__}.{name} is a flag, but stands among the numbers; write it without a type, or as static()"
            )
    for name, value in inspect.getmembers_static(cls):
        if (
            name in fields
            or name in NAMES
            or name.startswith("_")
            or callable(value)
            or isinstance(value, (staticmethod, classmethod))
        ):
            continue
        near = difflib.get_close_matches(name, NAMES, 1, 0.8)
        if near:
            raise TypeError(
                f"{cls.__name__}.{name} is no flag of a method; did you mean {near[0]}? Known: {', '.join(NAMES)}. "
                "An attribute of your own may begin with an underscore"
            )
    said = flags(method)
    hints = typing.get_type_hints(Flags)
    for name in NAMES:
        value = getattr(said, name)
        if not _fits(value, hints[name]):
            raise ValueError(f"{cls.__name__}.{name} is {value!r}; give {_spoken(hints[name])}")
    for name in ("robust", "lossy"):
        if not getattr(said, name) and not getattr(said, name + "_reason"):
            raise ValueError(f"{cls.__name__}.{name} is False; say why in {name}_reason, which users will read")
    if said.own_codec is not None and not hasattr(method, said.own_codec):
        raise ValueError(
            f"{cls.__name__}.own_codec is {said.own_codec!r}, which is none of its fields: {', '.join(fields) or 'none'}"
        )
    if said.needs_tree and not said.per_edge:
        raise ValueError(
            f"{cls.__name__}.needs_tree is True, but it does not send per edge; give per_edge = True, or leave it out"
        )


def _fits(value: Any, hint: Any) -> bool:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return isinstance(value, (str, type(None))) and value in args
    if origin is tuple:
        return isinstance(value, tuple) and value != () and all(_fits(v, args[0]) for v in value)
    if origin is types.UnionType or origin is typing.Union:
        return any(_fits(value, a) for a in args)
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool))


def _spoken(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return " or ".join(map(repr, args))
    if origin is tuple:
        return f"a tuple of {_spoken(args[0])}"
    if origin is types.UnionType or origin is typing.Union:
        return " or ".join(map(_spoken, args))
    return {bool: "True or False", int: "a whole number", str: "text", type(None): "None"}[hint]


__all__ = ["Flags", "Method", "check_method", "flags"]
