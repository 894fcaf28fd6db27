"""What each field of a network holds: classes to inherit from, and one table of them.

An option says of itself, as class attributes or fields, the few facts that decide which methods it
goes with. Its base class has their defaults and meanings; one that inherits from none must say them
all.
"""

import dataclasses
import difflib
import functools
import inspect
from typing import Any, NamedTuple

from ..errors import Words, a_name, bad, call
from .types import Context, Keys, Task, Tree, Values


class Codec:
    """Compress values on the wire.

    `init(value) -> memory`; `encode(ctx, memory, value) -> (what receivers hold, memory, size)`.
    """

    memory = "none"  # what both ends keep: "none", "sender" (errors), or "copies" of what receivers hold
    lossless = False  # receivers hold exactly what was sent
    per_edge = False  # one memory for every directed edge, so that a lost message is truly lost
    masks = False  # compresses those entries alone that `ctx.held` marks, and counts no others


class Compressor:
    """Make a vector short.

    `apply(keys, x) -> (reconstruction, None)`, `bits(d)`, `check(d)`, `delta(d)`, `omega(d)`. For parts of models also
    `held(keys, x, mask) -> (reconstruction, int32 [n] bytes)` of the entries that `mask` [n, d] marks; x is 0 elsewhere.
    """

    lossless = False  # the reconstruction is x itself
    unbiased = False  # its mean is x
    scope = "global"  # "global": the message as one vector; "leaf": each tensor on its own


class Rule:
    """Combine what a receiver has into one value.

    `combine(ctx, received)`, `check(degree, server=False)`, and for audits
    `rejected(ctx, received)`.
    """

    linear = False  # a sum under W
    needs_own = False  # measures received values against the receiver's own, which a server has not
    masks = False  # combines every entry on its own, so that senders may hold some of them

    def check(self, degree: int, server: bool = False) -> None:
        """Raise ValueError where so few values are too few; by default any number will do."""
        del degree, server


class Attack:
    """Be hostile: `is_adversary(n) -> bool [n]`, and the method that `hook` names."""

    hook = "message"  # what is rewritten: "message", "gradient" or "batch"
    needs_spread = False  # hides in the spread of several values that estimate one quantity


class Privacy:
    """Clip and add noise, by the method that `hook` names.

    `message(ctx, value) -> (base, own, sent)`. `gradient(ctx, grads, weight) -> gradients [n, ...]`; under `sampling="poisson"` it is
    also given `size=`, float32 [n], the expected number of examples, by which to divide. Those of uploads to a server have `clipped`,
    `weights`, `released` and `client_sampling`, as `dejax.privacy.user_level` has them.
    """

    hook = "message"  # where: "message", "gradient" or "upload"
    per_example = False  # clips the gradient of every single example
    gaussian = False  # its noise is Gaussian, of deviation noise_multiplier x sensitivity: what accounts can read
    at_nodes = False  # hook "upload": nodes clip by themselves, before codec and adversaries


class LearningRule:
    """Find the direction that a node descends along.

    `direction(task, params, batch, key, memory) -> (loss, direction, memory)` of one node (see
    `dejax.problem.lesson`); `init(params, key) -> memory`; `check(task)` refuses a task. Where a class
    has it, `finish(params, memory, key) -> (params, memory)` ends every local step, on what it moved.
    """

    per_example = True  # may be asked for one example at a time, as clipping per example does
    any_loss = True  # descends along whatever loss a method asks for, not the task's or one of its own alone

    @property
    def work(self) -> float:
        """Time of one direction, in gradients, as the clock counts it."""
        return 1.0

    def init(self, params: Tree, key: Keys) -> Any:
        """No memory."""
        del params, key
        return ()

    def check(self, task: Task) -> None:
        """Raise ValueError or TypeError for a task that the rule cannot teach; by default none."""
        del task

    def finish(self, params: Tree, memory: Any, key: Keys) -> tuple[Any, Any]:
        """End a local step; by default nothing is left to do."""
        del key
        return params, memory


class Experience:
    """Find the samples that a node learns from in a round.

    `init(key, n) -> memory`, a tree of [n, ...]; `collect(task, params, memory, round) -> (batch, memory)` for the rows of a view.
    """

    acts = True  # collects with the nodes' present models, so that whoever draws a batch must hand them over
    even = True  # no batch is padded

    def init(self, key: Keys, n: int) -> Any:
        """No memory."""
        del key, n
        return ()

    def expected(self, count: int | Values) -> Any:
        """Return the public sizes [n] of batches; None: what their weights say."""
        del count


class Fault:
    """Fail between nodes: `awake`, `arrives`, `uploads`, `absent` are None where nothing does.

    A fault that delays says its `span`. Where least and most differ it also has `ages(key, receivers, senders, n) -> int32` of the
    shape of `receivers`: by how many phases the messages of these directed edges (ids of their ends, below n) are late; key is the
    run's, so that the answer is the same in all phases.
    """

    symmetric = True  # a link fails in both directions at once
    sleeps = False  # nodes sleep, and nothing that an awake node sends is lost
    span = (0, 0)  # (least, most) phases that messages come late; a fault that delays loses nothing

    def awake(self, ctx: Context) -> Any:
        """Bool [n], who takes part in this round; None: everybody."""
        del ctx

    def arrives(self, ctx: Context, links: Any) -> Any:
        """Bool [n, k], which slots deliver in this phase; None: all."""
        del ctx, links

    def absent(self, index: Any, n: int) -> Any:
        """Bool [n] by node id: who is not there in round `index`, for metrics; None: all are."""
        del index, n

    def newcomers(self, n: int) -> Any:
        """Bool [n] by id: who begins from its neighbors' models when it joins; None: nobody."""
        del n

    def uploads(self, ctx: Context) -> Any:
        """Bool [n], whose uploads reach a server; None: everybody's."""
        del ctx


class Events:
    """Say who acts, and meets whom: `plan(topology, rounds)`, or `at(round, n)` of a drawn plan.

    Those of the footprint "neighbors" have `age`: the most updates of a neighbor not heard of yet.
    """

    stale = False  # gradients at the value after the node's own last event
    apart = False  # an event is a gradient or a meeting, not both
    footprint = "pair"  # what an event touches: the "pair" that meets, or a node that heard its "neighbors"


def _has(value: object, *names: str) -> bool:
    """Whether an object, of any class, has all attributes of these names."""
    return all(hasattr(value, name) for name in names)


class Interface(NamedTuple):
    """What an option must have (one name of each group) and may not have, in words."""

    has: tuple[tuple[str, ...], ...]
    word: str
    example: str
    lacks: tuple[str, ...] = ()
    base: type | None = None  # its facts with their defaults
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()  # of facts that are words; all others are True or False

    def fits(self, value: object) -> bool:
        """Whether a user's object has what such an option must have, and nothing that it may not."""
        return all(any(_has(value, name) for name in names) for names in self.has) and not any(
            _has(value, name) for name in self.lacks
        )


TOUCHES = (("footprint", ("pair", "neighbors")),)
KINDS = {
    "topology": Interface((("links", "build"),), "topology", call("dejax.topology.ring", 8)),
    "codec": Interface(
        (("encode",), ("init",)),
        "codec",
        call("dejax.compression.direct", call("dejax.compression.top_k", k=10), gamma=0.5),
        base=Codec,
        values=(("memory", ("none", "sender", "copies")),),
    ),
    "privacy": Interface(
        (("hook",),),
        "privacy mechanism",
        call("dejax.privacy.gaussian_message", clip=1.0, noise_multiplier=0.1),
        ("is_adversary",),
        Privacy,
        (("hook", ("message", "gradient", "upload")),),
    ),
    "attack": Interface(
        (("is_adversary",),),
        "attack",
        call("dejax.attacks.sign_flip", adversaries=1),
        base=Attack,
        values=(("hook", ("message", "gradient", "batch")),),
    ),
    "faults": Interface((("arrives",), ("uploads",)), "fault", call("dejax.faults.churn", p=0.1), base=Fault),
    "rule": Interface((("combine",),), "combination rule", call("dejax.aggregation.coordinate_median"), base=Rule),
    "clock": Interface((("compute",), ("messages",)), "clock", call("dejax.faults.clock", latency=0.01)),
    "events": Interface((("plan", "at"),), "timetable", call("dejax.events.poisson"), base=Events, values=TOUCHES),
}


ADAM = Words("dejax.optimizer(optax.adam, learning_rate=1e-3)", "{adam: {learning_rate: 0.001}}")
INNER = {  # what other objects hold in such fields
    "compressor": Interface(
        (("apply",), ("bits",)),
        "compressor",
        call("dejax.compression.top_k", k=10),
        ("encode",),
        Compressor,
        (("scope", ("global", "leaf")),),
    ),
    "prox": Interface((("prox",),), "proximal operator", call("dejax.proximal.l1", strength=1e-4)),
    "optimizer": Interface((("make",),), "optimizer", ADAM, ("update",)),
    "experience": Interface(
        (("collect",), ("init",), ("expected",)),
        "source of experience (inherit from dejax.Experience)",
        call("dejax.experience.acting", steps=16),
        base=Experience,
    ),
    "learning_rule": Interface(
        (("direction",), ("init",), ("check",), ("work",)),
        "learning rule (inherit from dejax.LearningRule)",
        call("dejax.learning_rules.evolution", sigma=0.1),
        base=LearningRule,
    ),
}


def check_option(field: str, value: Any, owner: str = "Network", kind: str | None = None) -> None:
    """Raise unless `value` is an option that a field may hold.

    None and placeholders of JAX pass.

    Args:
      kind: the kind of thing that the field holds, where it is not called as its kind is.
    Raises:
      TypeError: a class or function that was not called, a compressor where a codec is wanted, a
        name, or anything else; says what to write. Or an option that does not say a fact, or says
        one that looks misspelt.
      ValueError: a fact with a value that it cannot have.
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
    if wanted.fits(value):
        _check_facts(field, owner, value, wanted)
        return
    if field == "codec" and _has(value, "apply"):
        raise bad(
            field,
            value,
            owner=owner,
            why="a compressor, but a codec is wanted, which says what becomes of the part that was not sent",
            instead="wrap it: " + call("dejax.compression.copies", value, gamma=0.3) + ", or error_feedback, or direct",
        )
    if wanted is INNER["learning_rule"] and _has(value, "combine"):
        why = "a combination rule, which says how a node combines what it receives, but a learning rule is wanted"
        raise bad(field, value, owner=owner, why=why, instead="give it to the network: Network(rule=...)")
    if _has(value, "encode", "compressor"):
        raise bad(
            field,
            value,
            owner=owner,
            why="a codec, but a compressor is wanted",
            instead=f"give the one inside it: {value.compressor!r}",
        )
    if _has(value, "update", "init"):
        says = "is a finished optax optimizer"
        why = "which would compile anew for every rate"
        raise bad(field, value, owner=owner, says=says, why=why, instead="give " + wanted.example)
    if wanted.base is not None and isinstance(value, wanted.base):
        lacks = next((names for names in wanted.has if not any(_has(value, name) for name in names)), None)
        if lacks is not None:
            says, name = f"is {a_name(value)}", " or ".join(lacks)
            raise bad(
                field, value, owner=owner, says=says, why=f"which has no {name}", instead=f"write {name} in its class"
            )
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
    """Check a field that holds an option of some kind: `option(check=Slot("compressor"))`."""

    kind: str

    @property
    def want(self) -> str:
        """What fits."""
        return "e.g. " + (KINDS | INNER)[self.kind].example

    def __call__(self, field: str, value: object, leaf: bool = False) -> Any:
        """The option."""
        owner, _, name = field.rpartition(".")
        check_option(name, value, owner, self.kind)
        return value


def facts(base: type | None) -> dict[str, Any]:
    """The facts that options of a base class say, with their defaults."""
    said = {} if base is None else vars(base)
    return {k: v for k, v in said.items() if k[0] != "_" and not callable(v) and not isinstance(v, property)}


def _check_facts(field: str, owner: str, value: object, wanted: Interface) -> None:
    cls, words = type(value), dict(wanted.values)
    known = facts(wanted.base)
    missing, near = _spelling(cls, wanted.base)
    missing = [fact for fact in missing if not _has(value, fact)]
    if near:
        raise bad(
            near[0],
            getattr(cls, near[0]),
            owner=cls.__name__,
            says=f"is no fact of a {wanted.word}",
            instead=f"did you mean {near[1]}? Known: {', '.join(known)}. An attribute of your own may begin with an underscore",
        )
    if missing:
        assert wanted.base is not None
        raise bad(
            field,
            value,
            owner=owner,
            says=f"is {value!r} ({cls.__name__})",
            why=f"which does not say {missing[0]}",
            instead=f"let its class inherit from dejax.{wanted.base.__name__}, or give it {missing[0]} = {known[missing[0]]!r} or another "
            "value",
        )
    for fact in known:
        if isinstance(getattr(cls, fact, None), property):  # of a field, which may hold a placeholder of JAX
            continue
        said, allowed = getattr(value, fact), words.get(fact, (True, False))
        if isinstance(known[fact], tuple):
            if not (isinstance(said, tuple) and len(said) == 2 and 0 <= said[0] <= said[1]):
                raise bad(fact, said, owner=cls.__name__, instead="give (least, most), e.g. (0, 2)")
            continue
        if not isinstance(said, (bool, str)) or said not in allowed:
            raise bad(fact, said, owner=cls.__name__, instead=f"give {' or '.join(map(repr, allowed))}")


@functools.lru_cache(maxsize=512)
def _spelling(cls: type, base: type | None) -> tuple[list[str], tuple[str, str] | None]:
    """Find the facts that a class lacks, and an attribute that looks like a misspelt one."""
    known = facts(base)
    fields = {f.name for f in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    for name, value in inspect.getmembers_static(cls):
        plain = isinstance(value, (bool, str, int, tuple, type(None)))
        if name in fields or name in known or name.startswith("_") or not plain:
            continue
        near = difflib.get_close_matches(name, known, 1, 0.8)
        if near:
            return [], (name, near[0])
    return [fact for fact in known if not _has(cls, fact)], None


__all__ = [
    "ADAM", "INNER", "KINDS", "Attack", "Codec", "Compressor", "Events", "Experience", "Fault",
    "Interface", "LearningRule", "Privacy", "Rule", "Slot", "check_option", "facts",
]  # fmt: skip
