"""What a method is: two pure functions, and traits that the engine and network read."""

import dataclasses
import difflib
import inspect
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import jax

from ..errors import FieldError, bad
from .arguments import called_with, worded
from .types import Round, Tree

Channel = Literal["neighbors", "edges", "server", "none"]
Stochastic = Literal["doubly", "row", "column"]


@runtime_checkable
class Method(Protocol):
    """Two pure functions, `init` and `step`, in a class with `dejax.struct`.

    What is evaluated is `state.params`, or `model(state)` where the class has it; and each tree of `views(state)`, by name. What the network
    may do with it are its `Traits`. Where the class has `start(state, round) -> state`, it is
    called once before round 0, for all nodes, asleep or not: it sees the graph (`round.degree`,
    `round.neighbors`), and neither learns nor sends.
    """

    def init(self, params: Tree, key: jax.Array) -> Any:
        """The state before round 0."""
        ...

    def step(self, state: Tree, round: Round) -> Any:
        """The state after a round."""
        ...


@dataclasses.dataclass(frozen=True)
class Traits:
    """Say what a network may do with a method: `traits = Traits(...)` in its class.

    Where they depend on fields of the method, `traits` is a property.

    Args:
      channel: one message for all "neighbors" (default), another one on every one of the "edges", a
        "server", or "none".
      weights: kinds of W that it can work with: "doubly" (default), "row", "column" stochastic.
      graph: "any" (default), or "tree" if the graph may have no cycle.
      symmetric: W must equal its transpose in every phase; default False.
      spectrum: a number that every eigenvalue of a symmetric W must exceed, as a method that subtracts the last iterate needs; above -1 also
        that W may not change from round to round; None (default): any.
      server: whose values are averaged at a server where more nodes work, "all" or so many sampled ones: of a method that gossips and
        meets at a server now and then, or one at a server whose nodes go on while others upload; None (default): the cohort, or nobody.
      cohort: at a server, nodes sampled per round; None (default): all.
      pooled: one model for all nodes, though there is no server; default False.
      groups: it averages by groups, keeping several models at the server; default False.
      own_starts: its models are told apart by their starts, so that these may not be equal; default
        False.
      footprint: what one event touches, so that events may drive it: "pair" if the two nodes that meet,
        "neighbors" if one node, with what it heard of its neighbors (`heard=True` of `exchange` and
        `gossip`); None (default): no events may.
      needs_events: it runs on events alone: True on any of its footprint, "apart" on those that tell gradients from meetings;
        default False.
      needs_clock: it acts on who is first by the clock; default False.
      keeps_snapshot: it carries itself what a node saw when it began its gradient (stale events);
        default False.
      own_codec: its field that holds a compressor or codec of its own, in place of the network's;
        None (default): it has none.
      averages: it averages models; False: it sends answers or the like, so that models need no mean; default True.
      needs_sums: why no rule but a sum may stand in for W, the end of a sentence that users read;
        "" (default): any rule may.
      gathers: it looks at single uploads (`round.gather`), or sends every node a value of its own
        (`round.scatter`), so that the server may not form sums alone; default False.
      masks: it sends parts of models (`mask=` of `gossip` or `average`); default False.
      pulls: it chooses whom it hears (`round.pull`); default False.
      asks: it asks neighbors, which answer within the phase (`round.ask`); default False.
      per_example: it keeps gradients of single samples (`round.gradient(per_example=True)`); default False.
      heads: at a server, it keeps parts of the models, or with `averages=False` all of them, at their nodes, so that `model`
        gives one per node; default False.
      raw_losses: it acts on `round.loss`, which no mechanism of privacy noises; default False.
      learns: it computes gradients or losses of samples; False: of the graph or of messages alone, so that no attack on data and no
        noise on gradients would ever act; default True.
      one_update: at a server, all that a node uploads is one update, its model's change since the server's, weighted by numbers of
        samples or alike (not by own weights), so that privacy may clip it; default False.
      sums_keep: what sums under W keep and a robust rule does not, which a run then warns of, such as
        "mean(y) = mean(g)"; "" (default).
      needs_exact: why messages may not be compressed, noised or attacked, likewise; "" (default):
        they may.
    Raises:
      ValueError: a value that a trait cannot have.
    """

    channel: Channel = "neighbors"
    weights: tuple[Stochastic, ...] = ("doubly",)
    graph: Literal["any", "tree"] = "any"
    symmetric: bool = False
    spectrum: float | None = None
    server: int | Literal["all"] | None = None
    cohort: int | None = None
    pooled: bool = False
    groups: bool = False
    own_starts: bool = False
    footprint: Literal["pair", "neighbors"] | None = None
    needs_events: bool | Literal["apart"] = False
    needs_clock: bool = False
    keeps_snapshot: bool = False
    own_codec: str | None = None
    gathers: bool = False
    masks: bool = False
    pulls: bool = False
    asks: bool = False
    averages: bool = True
    needs_sums: str = ""
    needs_exact: str = ""
    per_example: bool = False
    heads: bool = False
    raw_losses: bool = False
    learns: bool = True
    one_update: bool = False
    sums_keep: str = ""

    def __post_init__(self) -> None:
        for name, (fits, want) in _VALUES.items():
            value = getattr(self, name)
            if not fits(value):
                raise bad(name, value, owner=self, instead=f"give {want}")
        if self.server is not None and self.channel == "none":
            raise bad("server", self.server, owner=self, why="but channel is 'none'", instead="leave it out")

    @property
    def gossips(self) -> bool:
        """Whether it talks to the neighbors of a topology."""
        return self.channel in ("neighbors", "edges")

    @property
    def rows(self) -> bool:
        """Whether it sends or keeps rows per edge."""
        return self.channel == "edges" or (self.gossips and self.footprint == "neighbors")

    @property
    def served(self) -> bool:
        """Whether it averages at a server, always or now and then."""
        return self.channel == "server" or self.server is not None

    @property
    def one_model(self) -> bool:
        """Whether one model is kept for all, at a server or pooled."""
        return (self.channel == "server" and not self.heads) or self.pooled


worded(Traits)


def _one_of(*values: Any) -> tuple[Any, str]:
    return lambda v: isinstance(v, (str, bool, type(None))) and v in values, " or ".join(map(repr, values))


def _text(v: Any) -> bool:
    return isinstance(v, str)


_KINDS = get_args(Stochastic)
_WHY = "the reason as text, which users will read, or '' where there is none"
_VALUES = {
    "channel": _one_of(*get_args(Channel)),
    "weights": (
        lambda v: isinstance(v, tuple) and v != () and all(_text(k) and k in _KINDS for k in v),
        f"a tuple of {' or '.join(map(repr, _KINDS))}",
    ),
    "graph": _one_of("any", "tree"),
    "symmetric": _one_of(True, False),
    "spectrum": (
        lambda v: v is None or (isinstance(v, (int, float)) and not isinstance(v, bool) and -1 <= v < 1),
        "a number in [-1, 1) or None",
    ),
    "server": (
        lambda v: v is None or v == "all" or (isinstance(v, int) and not isinstance(v, bool) and v >= 1),
        "'all', a whole number >= 1, or None",
    ),
    "cohort": (lambda v: v is None or (isinstance(v, int) and not isinstance(v, bool)), "a whole number or None"),
    "pooled": _one_of(True, False),
    "groups": _one_of(True, False),
    "own_starts": _one_of(True, False),
    "footprint": _one_of("pair", "neighbors", None),
    "needs_events": _one_of(True, False, "apart"),
    "needs_clock": _one_of(True, False),
    "keeps_snapshot": _one_of(True, False),
    "own_codec": (lambda v: v is None or _text(v), "the name of a field or None"),
    "gathers": _one_of(True, False),
    "masks": _one_of(True, False),
    "pulls": _one_of(True, False),
    "asks": _one_of(True, False),
    "averages": _one_of(True, False),
    "needs_sums": (_text, _WHY),
    "needs_exact": (_text, _WHY),
    "per_example": _one_of(True, False),
    "heads": _one_of(True, False),
    "raw_losses": _one_of(True, False),
    "learns": _one_of(True, False),
    "one_update": _one_of(True, False),
    "sums_keep": (_text, "what sums keep as text, or '' where that is nothing"),
}

NAMES = tuple(f.name for f in dataclasses.fields(Traits))
# As attributes of their own these names mean nothing, but look as if they did.
LOOSE = {
    "channel": "channel='server'", "weights": "weights=('doubly', 'row')", "accepts": "weights=('doubly', 'row')",
    "graph": "graph='tree'", "needs_tree": "graph='tree'", "symmetric": "symmetric=True", "spectrum": "spectrum=-1 / 3", "server": "server='all'", "cohort": "cohort=10", "clients": "cohort=10", "pooled": "pooled=True",
    "groups": "groups=True", "own_starts": "own_starts=True", "per_edge": "channel='edges'", "footprint": "footprint='pair'",
    "needs_events": "needs_events=True", "needs_clock": "needs_clock=True", "keeps_snapshot": "keeps_snapshot=True", "own_codec": "own_codec='compressor'",
    "gathers": "gathers=True", "masks": "masks=True", "pulls": "pulls=True", "asks": "asks=True", "averages": "averages=False", "needs_sums": "needs_sums='why'", "robust": "needs_sums='why'", "robust_reason": "needs_sums='why'",
    "per_example": "per_example=True", "heads": "heads=True", "raw_losses": "raw_losses=True", "learns": "learns=False", "one_update": "one_update=True", "sums_keep": "sums_keep='what'", "needs_exact": "needs_exact='why'", "lossy": "needs_exact='why'", "lossy_reason": "needs_exact='why'",
}  # fmt: skip
CALLS = {
    "init": ("params", "key"),
    "step": ("state", "round"),
    "model": ("state",),
    "views": ("state",),
    "start": ("state", "round"),
}  # what the engine calls, and with what
FIELDS = {
    "clients",
    "cohort",
    "graph",
    "groups",
    "server",
    "spectrum",
    "symmetric",
    "weights",
}  # a method may well have numbers or structure of these names


def traits(method: Method) -> Traits:
    """The traits of a method; the defaults where it does not say any."""
    return getattr(method, "traits", _DEFAULT)


_DEFAULT = Traits()


def check_method(method: Method) -> None:
    """A method has `init` and `step`, and says what else it is in `traits`.

    Raises:
      TypeError: no method, or functions of other arguments; traits of another kind, or written as loose attributes.
      ValueError: traits that name a field which the method does not have.
    """
    if isinstance(method, type) or not isinstance(method, Method):
        raise bad("method", method, instead="give an object with init and step, e.g. dejax.methods.dsgd(lr=0.1)")
    cls = type(method).__name__
    for name, want in CALLS.items():
        fn = getattr(method, name, None)
        if callable(fn) and (takes := called_with(fn, *want)):
            arguments = ", ".join(want)
            why, instead = f"but is called with ({arguments})", f"write def {name}(self, {arguments})"
            raise bad(name, owner=cls, says=takes, why=why, instead=instead)
    fields = {f.name: f for f in dataclasses.fields(method)} if dataclasses.is_dataclass(method) else {}
    if "traits" in fields and not fields["traits"].metadata.get("static"):
        instead = "write it without a type: traits = dejax.Traits(...)"
        raise bad("traits", traits(method), owner=cls, says="stands among the numbers", instead=instead)
    said = traits(method)
    if not isinstance(said, Traits):
        raise bad("traits", said, owner=cls, instead="write traits = dejax.Traits(channel='server') or the like")
    for name in fields:
        if name in LOOSE and name not in FIELDS:
            raise _loose(cls, name, name)
    for name, value in inspect.getmembers_static(type(method)):
        if name in fields or name == "traits" or name.startswith("_") or callable(value):
            continue
        if isinstance(value, (staticmethod, classmethod, property)):
            continue
        near = difflib.get_close_matches(name, LOOSE, 1, 0.8)
        if near or isinstance(value, Traits):
            raise _loose(cls, name, near[0] if near else "channel")
    if said.own_codec is not None and not hasattr(method, said.own_codec):
        why = f"which is none of its fields: {', '.join(fields) or 'none'}"
        raise bad("traits", said, owner=cls, says=f"has own_codec={said.own_codec!r}", why=why)


def _loose(cls: str, name: str, near: str) -> FieldError:
    return bad(
        name,
        owner=cls,
        says="says nothing of a method where it stands",
        instead=f"write traits = dejax.Traits({LOOSE[near]}) in the class. Traits are {', '.join(NAMES)}; an attribute of your own may "
        "begin with an underscore",
    )


__all__ = ["Method", "Traits", "check_method", "traits"]
