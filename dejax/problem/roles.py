"""Roles of leaves: which parts of a model a method sees, and what becomes of the others.

    shared      trained by the method; the only leaves that it sees, and that travel (default)
    personal    trained at each node by `Problem.personal_lr` or `personal_optimizer`; never leave it
    frozen      neither trained nor sent
    statistics  written by the model itself as it sees batches (running means of batch normalization)

The task says which leaves are statistics. What a user says of a leaf wins: frozen statistics stay
as they start, and personal ones are written by the model but never leave their node, so that
`{"norm": "personal"}` is FedBN: scale, bias and statistics stay.

The leaves that a method does not see lie in slots of the round, are joined to its own for every
gradient, and are updated by it. So FedPer is D-PSGD with a personal head, and codecs, privacy and
push-sum weights act on shared leaves alone. Under a server statistics start every round from the
server's copy and are averaged with the models: as they are, beside codec and attack, because a
variance that was compressed or turned round may be negative. Elsewhere they stay at their node.
Reference: Arivazhagan et al., Federated learning with personalization layers, 2019; Li et al.,
FedBN, 2021.
"""

import difflib
from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.abstract import model_like
from ..core.kinds import ADAM
from ..core.method import traits
from ..core.parts import joint, matched
from ..core.tree import join, path_of
from ..core.types import Keys, Method, Problem, Round, Tree
from ..errors import Words, bad, keyword

ROLES = ("shared", "personal", "frozen", "statistics")
SLOT = "role/"  # + a role: the leaves of that role in a run's slots

Patterns = tuple[tuple[str, str], ...]


class Rules(NamedTuple):
    """Paths and roles: what the task brings, and what the user gave, which wins."""

    brought: Patterns
    given: Patterns

    def __bool__(self) -> bool:
        return bool(self.brought or self.given)

    def words(self) -> dict[str, str]:
        """All of them, for messages."""
        return dict(self.brought) | dict(self.given)


class Split(NamedTuple):
    """A tree by role: trees of one structure, with None where a leaf has another role."""

    shared: Any
    personal: Any
    frozen: Any
    statistics: Any
    own_statistics: Any  # statistics that are personal


class WithRoles(NamedTuple):
    """The end of a run whose model has roles: the method's state, and what it did not see."""

    state: Any
    personal: Any  # [n, ...]
    frozen: Any  # [1, ...] where all nodes have the same, else [n, ...]
    statistics: Any  # [n, ...]; at a server equal rows
    own_statistics: Any = None  # [n, ...], those that are personal


def as_rules(roles: Any) -> Patterns:
    """A mapping path -> role (or its pairs) as a sorted tuple; None is no roles.

    Raises:
      TypeError: no mapping. ValueError: an unknown role.
    """
    pairs = () if roles is None else roles.items() if isinstance(roles, Mapping) else roles
    try:
        rules = tuple(sorted((str(path).strip("/"), role) for path, role in pairs))
    except (TypeError, ValueError):
        instead = "give paths and roles, e.g. " + Words("{'head': 'personal'}", "{head: personal}")
        raise bad("roles", roles, owner="Problem", instead=instead) from None
    for path, role in rules:
        if role not in ROLES:
            near = difflib.get_close_matches(str(role), ROLES, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            instead = f"give one of {', '.join(ROLES)}{hint}"
            raise bad("roles", role, owner="Problem", says=f"[{path!r}] is {role!r}", instead=instead)
    return rules


@lru_cache(maxsize=256)
def role_of(rules: Rules, path: str) -> str:
    """Return the field of `Split` that a leaf belongs to."""
    brought, given = _said(rules.brought, path), _said(rules.given, path)
    if brought != "statistics" or given == "frozen":
        return given or brought or "shared"
    return "own_statistics" if given == "personal" else "statistics"


def _said(rules: Patterns, path: str) -> str | None:
    """Return the role of the rule that says most about the path.

    Patterns name its first parts, * stands for one of them.
    """
    best: tuple[int, Any] = (0, None)
    for pattern, role in rules:
        if depth := matched(pattern, path):
            best = max(best, (depth, role), key=lambda b: b[0])
    return best[1]


def split(rules: Rules, values: Tree) -> Split:
    """A tree of any leaves by role."""
    found = jax.tree_util.tree_map_with_path(lambda p, _: role_of(rules, path_of(p)), values)
    return Split(*(tree.map(lambda x, r, role=role: x if r == role else None, values, found) for role in Split._fields))


def check_leaves(problem: Problem) -> None:
    """Check that leaves which are trained or averaged are real floating numbers.

    Frozen ones are anything.

    Raises:
      ValueError: names the path of the first that is not, and its dtype.
    """
    found = jax.tree_util.tree_leaves_with_path(split(problem.rules, model_like(problem.task))._replace(frozen=None))
    for (part, *path), x in found:
        fits = jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize > 1  # of 8 bits and fewer JAX adds none
        if fits or part.name == "own_statistics":
            continue
        name = path_of(tuple(path))
        what = "averaged at a server" if part.name == "statistics" else "trained and averaged"
        raise bad(
            "init",
            x.dtype.name,
            owner="task",
            says=f"makes {name!r} of dtype {x.dtype}" if name else f"makes one leaf of dtype {x.dtype}",
            why=f"which cannot be {what}",
            instead="make it frozen, "
            + keyword("roles", {name: "frozen"})
            + ", or give it a floating dtype of 16 bits or more",
        )


def check(problem: Problem) -> None:
    """Refuse roles that cannot work, whatever the method.

    Raises:
      ValueError: a path without leaves, nothing left to share, personal leaves without a step,
        statistics that nobody updates.
    """
    rules = problem.rules
    shapes = model_like(problem.task)
    paths = [path_of(p) for p, _ in jax.tree_util.tree_leaves_with_path(shapes)]
    for pattern, role in (*rules.brought, *rules.given):
        if not any(_said(((pattern, role),), path) for path in paths):
            near = difflib.get_close_matches(pattern, {"/".join(p.split("/")[:k]) for p in paths for k in (1, 2, 3)}, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            why = f"but the task's leaves are {', '.join(paths)}{hint}"
            raise bad("roles", rules.words(), owner="Problem", says=f"names {pattern!r}", why=why)
    parts = split(rules, shapes)
    if not tree.leaves(parts.shared):
        instead = f"let one leaf of {', '.join(paths)} be shared"
        says = f"{rules.words()} leaves nothing to share"
        raise bad("roles", rules.words(), owner="Problem", says=says, instead=instead)
    stepless = problem.personal_lr is None and problem.personal_optimizer is None
    if tree.leaves(parts.personal) and stepless:
        raise bad(
            "roles",
            rules.words(),
            owner="Problem",
            says="has personal leaves",
            why="but no step for them",
            instead="give " + keyword("personal_lr", 0.1) + ", or " + keyword("personal_optimizer", ADAM),
        )
    if not tree.leaves(parts.personal) and not stepless:
        field = "personal_lr" if problem.personal_optimizer is None else "personal_optimizer"
        why = "but no leaf has role personal"
        raise bad(field, getattr(problem, field), owner="Problem", says="is given", why=why, instead="leave it out")
    found = (path_of(p) for p, _ in jax.tree_util.tree_leaves_with_path(parts.statistics))
    unknown = [p for p in found if _said(rules.brought, p) != "statistics"]
    if unknown:
        raise bad(
            "roles",
            rules.words(),
            owner="Problem",
            says=f"makes {unknown[0]!r} statistics",
            why="but the task does not say how the model updates it",
            instead="give a flax module that holds it as nnx.BatchStat, or make it frozen",
        )


def present(problem: Problem) -> frozenset[str]:
    """The fields of `Split` that some leaf of the model belongs to."""
    if not problem.rules:
        return frozenset(("shared",))
    parts = split(problem.rules, model_like(problem.task))
    return frozenset(role for role, part in zip(Split._fields, parts, strict=True) if tree.leaves(part))


def start(problem: Problem, method: Method, population: Tree, store: Any, same: bool) -> Any:
    """Put what the method does not see into slots; returns what it sees."""
    if not problem.rules:
        return population
    parts = split(problem.rules, population)
    slots = {
        "frozen": tree.map(lambda x: x[:1], parts.frozen) if same else parts.frozen,
        "statistics": parts.statistics,
        "own_statistics": parts.own_statistics,
    }
    slots["personal"] = (
        parts.personal,
        personal_step(problem).init(parts.personal) if tree.leaves(parts.personal) else (),
    )
    rows = problem.n
    if traits(method).channel == "server":
        rows = traits(method).cohort or problem.n
        slots["statistics"] = tree.map(lambda x: x[:rows], parts.statistics)
        slots["statistics.server"] = tree.map(lambda x: x[0], parts.statistics)
    axes = {"personal": True, "own_statistics": True, "frozen": not same, "statistics": rows == problem.n}
    axes["statistics.server"] = False
    for role, value in slots.items():
        if tree.leaves(value):
            store.slots[SLOT + role] = store.initial[SLOT + role] = value
            store.per_node[SLOT + role] = axes[role]
    return parts.shared


def personal_step(problem: Problem) -> Any:
    """How personal leaves move."""
    from ..optimizers import LocalStep

    return LocalStep(problem.personal_lr, problem.personal_optimizer)


def over(fn: Callable[..., Any], pair: bool = False) -> Any:
    """fn of whole models, over (what is trained, batch, key, what stays, ...).

    pair: what is trained are two trees, (shared, personal).
    """

    @wraps(fn)  # whether it takes weight= is read off its signature
    def joined(trained: Tree, batch: Tree, key: Keys, fixed: Tree, *extra: Tree, **weight: Any) -> Any:
        parts = trained if pair else (trained,)
        return fn(join(*parts, *fixed), batch, key, *extra, **weight)

    return joined


def whole(trained: Tree, fixed: Tree, *extra: Tree) -> Any:
    """A model out of trained leaves (shared, personal) and fixed ones (frozen, statistics)."""
    del extra
    return join(*trained, *fixed)


def whole_models(round: Round, params: Tree) -> Any:
    """Whole models [n, ...] out of the leaves that a method holds."""
    if not round.problem.rules:
        return params
    joined = Joined(round, params)
    return join(params, joined.personal, *joined.fixed)


class Joined:
    """What a round joins to the leaves that a method sees, for one gradient.

    Rows are those of the view at hand.
    """

    def __init__(self, round: Round, shared: Tree):
        self.round = round
        self.like = tree.map(lambda x: None, shared, is_leaf=lambda x: x is None)
        none = (self.like, None)
        self.frozen, _ = self._rows("frozen", none)
        self.frozen = tree.map(lambda x: jnp.broadcast_to(x, (round.n, *x.shape[1:])), self.frozen)
        (self.personal, self.opt), self._put_personal = self._rows("personal", ((self.like, ()), None))
        self.statistics, self._put_statistics = self._rows("statistics", none, per_node=round.stays)
        self.own_statistics, self._put_own = self._rows("own_statistics", none)

    @property
    def fixed(self) -> tuple[Any, ...]:
        """What no gradient is taken of."""
        return self.frozen, self.statistics, self.own_statistics

    def _rows(self, role: str, default: Tree, per_node: bool = True) -> Any:
        slots = self.round.store.slots
        if SLOT + role not in slots:
            return default
        alone = role == "frozen" and tree.leaves(slots[SLOT + role])[0].shape[0] == 1
        return self.round.slot(SLOT + role, lambda n: None, per_node=per_node and not alone)

    def loss(self, fn: Callable[..., Any]) -> Any:
        """fn over ((shared, personal), batch, key, fixed, ...)."""

        return over(fn, pair=True)

    def update(self, grads: Tree) -> None:
        """One step of the personal leaves."""
        if self._put_personal is not None:
            step = personal_step(self.round.problem)
            self._put_personal(step(self.round, grads, self.opt, self.personal))

    def observe(self, new: Tree) -> None:
        """The statistics that the model wrote: of a `Split`."""
        for put, values, old in (
            (self._put_statistics, new.statistics, self.statistics),
            (self._put_own, new.own_statistics, self.own_statistics),
        ):
            if put is not None:
                put(self.round.keep(values, old))


def average_statistics(round: Round, name: str, mean: Callable[..., Any], weights: Tree) -> None:
    """Average the statistics, too, at a server, with the first average of a round.

    Everybody goes on from the result. Where nodes gossip, too, statistics stay at their nodes. An average
    of a source of experience, which only acts, is not the first.

    mean: (round, name, rows [m, ...], weights, what stands where nothing arrives) -> the mean.
    """
    slots, slot = round.store.slots, SLOT + "statistics"
    if round.stays or slot in round.store.used or round.within is not None:
        return
    round.store.used.add(slot)
    mine = lambda x: x if x.shape[0] == round.n else x[round._ids]  # of those who upload, where more nodes work
    rows, old = tree.map(mine, slots[slot]), slots[slot + ".server"]
    new = tree.map(lambda x, o: x.astype(o.dtype), mean(round, name + "/statistics", rows, weights, old), old)
    slots[slot], slots[slot + ".server"] = tree.map(lambda x, r: jnp.broadcast_to(x, r.shape), new, slots[slot]), new


def model(method: Method, own: Tree, end: WithRoles, one: bool) -> Any:
    """Return what is evaluated: leaves of the method's with those of the other roles.

    There is a node axis where any of them has one.

    Args:
      own: a model's leaves that the method holds. one: whether they are one model, without node axis.
    """
    said = traits(method)
    rows, single = [end.personal, end.own_statistics], []
    for part, alike in ((end.frozen, said.one_model), (end.statistics, said.channel == "server" or said.pooled)):
        alike = alike or any(x.shape[0] == 1 for x in tree.leaves(part))
        (single if alike else rows).append(part)
    single = [tree.map(lambda x: x[0], part) for part in single if part is not None]
    rows = [part for part in rows if tree.leaves(part)]
    if one:
        single.append(own)
    else:
        rows.append(own)
    if rows:
        n = tree.leaves(rows[0])[0].shape[0]
        single = [tree.tile(part, n) for part in single]
    return join(*rows, *single)


__all__ = [
    "ROLES",
    "Joined",
    "Rules",
    "Split",
    "WithRoles",
    "as_rules",
    "average_statistics",
    "check",
    "check_leaves",
    "join",
    "joint",
    "model",
    "over",
    "present",
    "role_of",
    "split",
    "start",
    "whole",
    "whole_models",
]
