"""The channel: the stages between the node that sends a value and the rule that combines it.

    sender: privacy, codec    adversary    server: its own clipping    links: loss, audit, delay    meter, clock    receiver: the network's rule

A stage takes the wire and the message and returns the message changed. The wire says what the rows
are (nodes or directed edges), who hears them and whose memory the network keeps (`wires`). A new
stage is one entry of `STAGES`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..compression import direct, identity
from ..compression.apply import only
from ..core import tree
from ..core.checks import natural, whole
from ..core.kinds import check_option
from ..core.shapes import check_rows
from ..core.stacks import held
from ..core.types import Codec, Round, Tree, Values
from ..errors import RefusedError, bad
from ..problem.roles import average_statistics
from . import audit, clocks, delay, wrong
from .live import fixed
from .message import Message
from .received import Received, ReceivedRows
from .wires import CopiesPerEdge, Edges, Heard, Neighbors, Server, Wire


def private(wire: Wire, m: Message) -> Message:
    """Clip and noise at the sender: messages, or uploads that nodes clip by themselves."""
    privacy = wire.network.privacy
    if _of_uploads(privacy) and privacy.at_nodes:
        return _clipped(wire, m._replace(base=m.value, own=m.value, sent=m.value))
    if privacy is None or privacy.hook != "message":
        return m._replace(base=m.value, own=m.value, sent=m.value)
    wire.round.store.ask()
    base, own, sent = privacy.message(wire.value_context("privacy"), m.value)
    if m.owned is not None:  # no noise where a node has nothing; what was one object stays one
        apart = {id(x): only(m.owned, x) for x in (base, own, sent)}
        base, own, sent = apart[id(base)], apart[id(own)], apart[id(sent)]
    return m._replace(base=base, own=own, sent=sent)


def encoded(wire: Wire, m: Message) -> Message:
    """Compress at the sender, rebuild at the receiver."""
    return wire.encode(m)


def attacked(wire: Wire, m: Message) -> Message:
    """Let adversaries rewrite what receivers would rebuild of theirs."""
    attack = wire.network.attack
    if attack is None or attack.hook != "message":
        return m
    return wire.attack(m, attack)


def bounded(wire: Wire, m: Message) -> Message:
    """Clip what the server rebuilt of each upload, whoever sent it, where privacy acts there."""
    privacy = wire.network.privacy
    return _clipped(wire, m) if _of_uploads(privacy) and not privacy.at_nodes else m


def _of_uploads(privacy: Any) -> bool:
    return privacy is not None and privacy.hook == "upload"


def _clipped(wire: Any, m: Message) -> Message:
    wire.round.store.ask(wire.round._ids)  # one draw of the cohort serves all uploads of its nodes
    return wire.bound(m)


def lossy(wire: Wire, m: Message) -> Message:
    """Lose what links lose in this phase, and give its weight back."""
    return wire.lose(m)


def metered(wire: Wire, m: Message) -> Message:
    """Count what awake nodes send, lost or not."""
    wire.meter(m)
    return m


def awaited(wire: Wire, m: Message) -> Message:
    """Move the clocks of those who wait for what arrives."""
    if wire.network.clock is not None:
        wire.wait(m)
    return m


Stage = Callable[[Any, Message], Message]
STAGES: tuple[Stage, ...] = (private, encoded, attacked, bounded, lossy, audit.stage, delay.stage, metered, awaited)


def send(wire: Wire, message: Message) -> Message:
    """What receivers hold of a message, stage after stage."""
    if (stacks := held(message.value)) is not None:
        says = f"holds models of several architectures ({', '.join(stacks)})"
        way = "send what has one form, such as answers on public rows (round.forward)"
        raise bad(
            "value", owner=f"round ({wire.name})", says=says, why="and no node can read those of another", instead=way
        )
    for stage in STAGES:
        message = stage(wire, message)
    return message


def _codec(round: Round, given: Any) -> Any:
    """The codec of a call: the network's, or the one that the method hands over."""
    if given is None:
        return round.network.codec
    check_option("codec", given, "round")
    return given


def exchange(
    round: Round, name: str, value: Tree, codec: Any, *, heard: bool = False, owned: Tree = None, mask_bytes: int = 0
) -> Received:
    """See `Round.exchange`.

    owned: bool tree like `value`, which is 0 elsewhere. mask_bytes: of a message, to say so.
    """
    codec = _codec(round, codec)
    if round._ids is not None:
        says, way = "is called within a cohort", "call it on the whole round: of a cohort there is no graph"
        if round.plan is not None and round.within is not None:
            says = (
                f"is called by Problem.source {round.within} at those nodes alone that act in this round of a timetable"
            )
            way = "collect without it, or use synchronous rounds"
        raise bad("exchange", owner="round", says=says, instead=way)
    _check_heard(round, heard, codec)
    wire = (Heard if heard else CopiesPerEdge if codec.per_edge else Neighbors)(round, name, codec)
    wire.mask_bytes = mask_bytes
    got = wire.received(send(wire, wire.message(value)._replace(owned=owned, held=owned)))
    got.codec, got.fixed = codec, fixed(round)
    return got


def _check_heard(round: Round, heard: bool, codec: Any) -> None:
    """Raise where a call asks for what was heard and has no memory of it, or does not ask."""
    if heard and codec.per_edge:
        why = f"beside {type(codec).__name__} with copies per edge"
        raise bad("heard", heard, owner="round.exchange", why=why, instead="leave per_edge out of the codec")
    if round.plan is not None and heard != (round.network.events.footprint == "neighbors"):
        what = "where two nodes meet" if heard else "where a node acts on what it heard of its neighbors"
        instead = "leave heard out" if heard else "give heard=True"
        raise bad("heard", heard, owner="round.exchange", why="in a timetable " + what, instead=instead)


def exchange_rows(round: Round, name: str, rows: Tree, codec: Any, only: Any = None) -> ReceivedRows:
    """See `Round.exchange(per_edge=True)`. only: bool [m], the rows that are sent; None: all."""
    wire = Edges(round, name, _codec(round, codec))
    if only is not None:
        wire.send_only(only)
    return wire.rows_received(send(wire, wire.message(rows)))


def ask(
    round: Round, name: str, query: Tree, answer: Callable[..., Any], own: tuple[Any, ...], to: Tree
) -> ReceivedRows:
    """See `Round.ask`."""
    for x in (query, *own):
        check_rows("round.ask", x, round.n)
    wrong.arguments("round.ask", "answer", answer, "query", *wrong.extra(len(own)))
    edges, mine = round.edges, lambda x: tree.map(lambda leaf: leaf[round.edges.receiver], x)
    asked = exchange_rows(round, name + "/query", edges.of_nodes(query), None, only=to)
    answers = jax.vmap(answer)(asked.rows, *map(mine, own))
    return exchange_rows(round, name + "/answer", answers, None, only=asked.mask)


def _mean_as_they_are(round: Round, name: str, value: Tree, weights: Values, otherwise: Tree) -> Any:
    """Average values that must stay in their range; `otherwise` where none arrives.

    They travel lossless, and no adversary rewrites them.
    """
    wire = Server(round, name, direct(identity()), None, 1)
    wire.network = dataclasses.replace(round.network, attack=None)
    message = send(wire, wire.message(value, weights, None))
    out = tree.map(lambda x: x[0], wire.received(message).combine())
    return out if message.mask is None else tree.map(lambda x, o: jnp.where(message.mask.any(), x, o), out, otherwise)


def average(
    round: Round, name: str, value: Tree, weights: Values, codec: Codec,
    groups: Tree = None, num_groups: int | None = None, downloads: int = 1,
) -> Any:  # fmt: skip
    """See `Round.average`: one receiver, or one per group, whose slots are the n senders."""
    wire, got = uploaded(round, name, value, weights, codec, groups, num_groups, downloads, None, 0)
    out = got.combine()
    # where nothing arrived, or what did has no weight, there is nothing to combine
    if not got.plain or groups is not None or weights is not None:
        out = tree.where(got.mask.any(1), out, tree.zeros(out))
    if _of_uploads(round.network.privacy):
        out = tree.map(lambda x: x[0], out)
        return round.network.privacy.released(round.key(name + ".noise"), out, wire.total)
    return out if groups is not None else tree.map(lambda x: x[0], out)


def uploaded(
    round: Round, name: str, value: Tree, weights: Values, codec: Codec, groups: Tree, num_groups: int | None,
    downloads: int, owned: Tree, mask_bytes: int,
) -> tuple[Any, Received]:  # fmt: skip
    """The wire, and what a server received for a mean, or one per group.

    owned, mask_bytes: as in `exchange`.
    """
    check_rows("round.average", value, round.n)
    wrong.groups(round, groups, num_groups)
    downloads = natural("round.average.downloads", downloads)
    codec = _codec(round, codec)
    if groups is not None:
        num_groups = whole("round.average.num_groups", num_groups)
    wire = Server(round, name, codec, num_groups if groups is not None else None, downloads)
    if groups is not None or owned is not None:
        does = "averages by groups" if owned is None else "averages parts of models"
        star(wire, does)
        _one_mean(round, does)
    wire.mask_bytes = mask_bytes
    message = send(wire, wire.message(value, weights, groups)._replace(owned=owned, held=owned))
    if groups is None:
        average_statistics(round, name, _mean_as_they_are, weights)
    return wire, wire.received(message)


def merge(round: Round, name: str, value: Tree, codec: Codec) -> Any:
    """See `Round.merge`: gossip's move, towards what the server makes of all that arrives."""
    check_rows("round.merge", value, round.n)
    _one_mean(round, "moves nodes towards a mean")
    used: Any = _codec(round, codec)
    wire: Any = Server(round, name, used, None, 1)
    message = send(wire, wire.message(value, None, None))
    average_statistics(round, name, _mean_as_they_are, None)
    mean = wire.received(message).combine()
    if used.lossless and message.base is message.own:
        out = tree.map(lambda x, r: jnp.broadcast_to(r, x.shape), value, mean)
    else:
        gamma = jnp.asarray(used.gamma)
        move = lambda b, r, o: b + gamma.astype(b.dtype) * (r - o)
        out = tree.map(move, message.base, mean, message.own)
    return out if message.mask is None else tree.where(message.mask, out, value)


def gather(round: Round, name: str, value: Tree, codec: Codec) -> tuple[Any, jax.Array]:
    """See `Round.gather`."""
    check_rows("round.gather", value, round.n)
    codec = _codec(round, codec)
    wire = Server(round, name, codec, None, 0)
    star(wire, "looks at single uploads")
    _one_mean(round, "looks at single uploads")
    if not round.network.rule.linear:
        why = "but the method combines single uploads itself, and would not use it"
        raise bad("network.rule", round.network.rule, why=why, instead="leave it out")
    message = send(wire, wire.message(value, None, None))
    average_statistics(round, name, _mean_as_they_are, None)
    arrived = jnp.ones((round.n,), bool) if message.mask is None else message.mask
    return message.sent, arrived


def broadcast(round: Round, name: str, value: Tree) -> Any:
    """See `Round.broadcast`."""
    _download(round, name, 8 * sum(x.size * x.dtype.itemsize for x in tree.leaves(value)))
    return tree.tile(value, round.n)


def scatter(round: Round, name: str, rows: Tree) -> Any:
    """See `Round.scatter`."""
    wrong = [jnp.shape(x) for x in tree.leaves(rows) if jnp.shape(x)[:1] != (round.n,)]
    if wrong:
        way = f"give one row per node of this view, ({round.n}, ...); `broadcast` sends one value to all"
        raise bad("rows", owner="round.scatter", says=f"has a leaf of shape {wrong[0]}", instead=way)
    _download(round, name, tree.dense_bits(rows))
    return rows


def _download(round: Round, name: str, bits: int) -> None:
    """Count one message of `bits` from the server to each awake node, and its time."""
    awake = round.awake
    count = jnp.ones((round.n,), jnp.int32) if awake is None else awake.astype(jnp.int32)
    round.meter("down/" + name, count, bits)
    clocks.server(round, name, jnp.zeros((round.n,), float), bits, awake, "star")


def star(wire: Server, does: str) -> None:
    """Raise where the nodes hold the server themselves, so that nobody sees a single upload."""
    if wire.kind != "star":
        says = f"is {wire.kind!r}, which forms sums alone"
        raise bad("network.server", wire.kind, says=says, why=f"but the method {does}", instead="leave server out")


def _one_mean(round: Round, does: str) -> None:
    """Raise where privacy acts on uploads, which covers `average` of one mean alone."""
    if _of_uploads(round.network.privacy):
        why = f"which covers one mean of all uploads, but the method {does}"
        instead = "leave one_update out of its traits, or privacy out of the network"
        raise bad("network.privacy", round.network.privacy, why=why, instead=instead, error=RefusedError)


__all__ = [
    "STAGES",
    "ask",
    "average",
    "broadcast",
    "exchange",
    "exchange_rows",
    "gather",
    "merge",
    "scatter",
    "send",
    "uploaded",
]
