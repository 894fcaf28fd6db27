"""What the stages of the channel ask of a wire."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ...compression import Size
from ...compression.apply import only
from ...core import tree
from ...core.types import Attack, Fault, Round, Tree
from ..context import Context
from ..message import Message
from ..received import Received

Slot = tuple[Any, Callable[[Any], None]]


class Wire(ABC):
    """What the stages ask of a wire; rows are nodes unless it says otherwise."""

    mask_bytes = 0  # that say which entries a message holds

    def __init__(self, round: Round, name: str, codec: Any):
        self.round, self.name, self.codec, self.network = round, name, codec, round.network

    # ---- rows and their memory
    def context(self, purpose: str, **kw: Any) -> Context:
        """What options may know of the rows on the wire."""
        return self.round._context(self.round.key(f"{self.name}.{purpose}"), **kw)

    def value_context(self, purpose: str) -> Context:
        """What options may know of the rows that the method handed over."""
        return self.context(purpose)

    def memory(self, purpose: str, init: Callable[[int], Any], frozen: bool = True) -> Slot:
        """Return the memory of the wire's rows, made by `init(rows)`, and a setter.

        Rows of sleeping nodes stay as they are if `frozen`.
        """
        return self.round.slot(f"{self.name}.{purpose}", init, frozen=frozen)

    def receiver_memory(self, purpose: str, init: Callable[[int], Any]) -> Slot:
        """Memory of the receivers, made by `init(n)`."""
        return self.round.slot(f"{self.name}.{purpose}", init)

    def deliver(self, rows: Tree) -> Any:
        """Rows where their receivers find them."""
        return rows

    # ---- stages
    def encode(self, m: Message) -> Message:
        """Through the codec, with one memory per row."""
        codec, sent = self.codec, m.sent
        # `init` may check the value and refuse it, so it is called even where there is no memory
        memory, write = codec.init(sent), None
        if tree.leaves(memory):
            memory, write = self.memory("codec", lambda rows: codec.init(_zeros(sent, rows)))
        decoded, memory, size = codec.encode(self.context("codec", held=m.owned), memory, sent)
        if write is not None:
            write(memory)
        if m.owned is not None:
            decoded, size = only(m.owned, decoded), Size(size.bits, size.units + self.mask_bytes)
        if codec.lossless:
            return m._replace(sent=self.deliver(sent), size=size)
        return m._replace(own=decoded, sent=self.deliver(decoded), size=size)

    @abstractmethod
    def attack(self, m: Message, attack: Attack) -> Message:
        """With the messages of adversaries rewritten."""

    @abstractmethod
    def lose(self, m: Message) -> Message:
        """With the mask of what arrives in this phase."""

    @abstractmethod
    def arrivals(self) -> Any:
        """Bool, as `mask`: the messages that links do not lose in this phase; None: all."""

    @abstractmethod
    def due(self) -> jax.Array:
        """Bool, as `mask`: the messages that awake nodes send in this phase."""

    @abstractmethod
    def ages(self, fault: Fault) -> jax.Array:
        """int32, as `mask`: by how many phases each message is late, where that is drawn."""

    def pick(self, m: Message, last: tuple[Tree, Tree], which: jax.Array) -> Message:
        """With the rows at place `which` of the last few of (sent, held), [rows, depth, ...]."""
        sent, held = tree.map(lambda x: x[jnp.arange(x.shape[0]), which], last)
        return m._replace(sent=sent, held=held)

    def arrive(self, m: Message, mask: jax.Array) -> Message:
        """With another mask of what arrives: messages that are not there yet are not lost."""
        return m._replace(mask=mask)

    @abstractmethod
    def meter(self, m: Message) -> None:
        """Count messages."""

    @abstractmethod
    def wait(self, m: Message) -> None:
        """Move clocks."""

    @abstractmethod
    def received(self, m: Message) -> Received:
        """What the rule sees."""


def judges(round: Round, hostile: Tree) -> Any:
    """Bool [n]: the receivers whose judgement an audit counts, honest and awake; None: all."""
    awake = round.awake
    if hostile is None:
        return awake
    return ~hostile if awake is None else awake & ~hostile


def claimed(m: Message, hostile: jax.Array) -> Any:
    """The entries that senders say they hold: adversaries claim all."""
    return None if m.held is None else tree.where(hostile, tree.map(jnp.ones_like, m.held), m.held)


def own_rows(m: Message, hostile: jax.Array) -> Message:
    """An adversary's own row is neither noised nor compressed."""
    return m._replace(own=tree.where(hostile, m.value, m.own), base=tree.where(hostile, m.value, m.base))


def _zeros(value: Tree, rows: int) -> Any:
    """Zeros [rows, ...] in the shape of a view's value."""
    return tree.map(lambda x: jnp.zeros((rows, *x.shape[1:]), x.dtype), value)


__all__ = ["Slot", "Wire", "claimed", "judges", "own_rows"]
