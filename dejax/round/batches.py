"""Batches: a node's own samples, rows set aside, rows that all nodes hold.

Augmentation and attacks on data act here.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from ..core import tree
from ..core.checks import whole
from ..core.random import draw_index, fold_name, uniform
from ..core.types import Round, Tree
from ..data.augmentations.augment import augmented
from ..data.sampling import Full, Replacement
from ..errors import bad
from ..problem import Batch, roles
from ..xla.take_rows import fetch_rows
from . import wrong

OF = ("train", "validation", "public")  # whose rows a batch may hold


def batch(
    round: Round, name: str, of: str = "train", size: int | None = None, params: Tree = None, places: bool = False
) -> Batch:
    """One batch per node of the view; its source's memory moves where the node computes."""
    if places and of != "train":
        why = f"but rows of of={of!r} stand in no list of a node's own"
        raise bad("places", True, owner="round.batch", why=why, instead="leave places out")
    if of == "public":
        return public_batch(round, name, size)
    if of == "validation":
        return validation_batch(round, name, size)
    if of not in OF:
        raise bad("of", of, owner="round.batch", instead="give 'train', 'validation' or 'public'")
    if size is not None:
        raise bad(
            "size",
            size,
            owner="round.batch",
            why="but nodes draw Problem.batch_size of their own samples",
            instead="leave it out",
        )
    drawn = collect(round, name, params, places)
    if drawn.rows:
        source, weight, fetch = looked_up(round, name, drawn)
        data = fetch(source) if not round.problem.augment else jax.vmap(fetch)(source)
        drawn = Batch(data, weight, places=drawn.places)
    return attacked(round, name, drawn)


def attacked(round: Round, name: str, drawn: Batch) -> Batch:
    """The batch, of adversaries as an attack on data leaves it."""
    attack = round.network.attack
    if attack is not None and attack.hook == "batch":
        ctx = round._context(round.key(name + ".attack"), is_adversary=rows_of_adversaries(round))
        drawn = Batch(attack.batch(ctx, drawn.data), drawn.weight, places=drawn.places)
    return drawn


def public_batch(round: Round, name: str, size: int | None) -> Batch:
    """Draw `size` public rows with replacement, or take all in their order: for all nodes alike.

    Raises:
      ValueError: the data have no public rows; size < 1.
    """
    public = round.problem.data.public
    if public is None:
        instead = "set rows aside, e.g. data.partition(dejax.data.iid(), nodes=8, public=100)"
        raise bad(
            "of", "public", owner="round.batch", why="but the problem's data have no public rows", instead=instead
        )
    if size is None:
        return Batch(round.problem.data.seen(tree.map(jnp.asarray, public)), public=True)
    rows = tree.leaves(public)[0].shape[0]
    at = draw_index(uniform(round.key(name), (whole("round.batch.size", size),)), jnp.int32(rows))
    return Batch(round.problem.data.seen(tree.map(lambda x: jnp.asarray(x)[at], public)), public=True)


def validation_batch(round: Round, name: str, size: int | None) -> Batch:
    """Draw `size` validation rows per node with replacement: its own ones, or common ones.

    Raises:
      ValueError: the data have no validation part; size < 1.
    """
    data = round.problem.data
    if data.validation is None:
        instead = "set rows aside, e.g. data.split(validation=0.1)"
        why = "but the problem's data have no validation part"
        raise bad("of", "validation", owner="round.batch", why=why, instead=instead)
    if data.validation_index is None:
        total = tree.leaves(data.validation)[0].shape[0]
        index = jnp.broadcast_to(jnp.arange(total, dtype=jnp.int32), (round.n, total))
        count = jnp.full((round.n,), total, jnp.int32)
    else:
        index, count = round._rows(data.validation_index), round._rows(data.validation_count)
    size = round.problem.batch_size if size is None else whole("round.batch.size", size)
    sampler = Full(even=data.validation_index is None) if size is None else Replacement(size)
    rows, weight, _ = sampler.draw((), count, index, round.node_keys(name), round.node_keys(name))
    return Batch(data.seen(tree.map(lambda x: fetch_rows(jnp.asarray(x), rows), data.validation)), weight)


def collect(round: Round, name: str, params: Tree, places: bool = False) -> Batch:
    """What the problem's source gives for `name`; memory moves where the node computes.

    params: tree of [n, ...], with which to act; None where the caller has none. places: say them, too.
    """
    problem, source = round.problem, round.problem.experience
    if round.within is not None:
        says, why = f"is drawn by Problem.source {round.within}", "which would ask itself"
        raise bad("batch", owner="round", says=says, why=why, instead="hand one over: batch=..., or of='public'")
    if source.acts and params is None:
        says, why = "is not given", f"but {type(source).__name__} acts with the nodes' models"
        raise bad("params", owner="round.batch", says=says, why=why, instead="hand them over: round.batch(params=x)")
    memory, write = round.slot("source", lambda n: _memory(round, source, n))
    view = round._child(round.store, round._key, round._prefix + name + "/", within=type(source).__name__)
    models = roles.whole_models(round, params) if source.acts else None
    drawn, new = wrong.collected(source, source.collect(problem.task, models, memory, view), memory, round.n)
    if places and round.places:  # which refuses other sources than samples
        drawn = replace(drawn, places=source.places(memory, view))
    write(round.keep(new, memory))
    return jax.lax.stop_gradient(drawn) if source.acts else drawn


def _memory(round: Round, source: Any, n: int) -> Any:
    """The memory [n, ...] of a source before its first batch, its rows where the nodes stand."""
    memory = source.init(fold_name(round.run_key, "source"), n)
    for x in tree.leaves(memory):
        if jnp.shape(x)[:1] != (n,):
            says, way = f"gives a leaf of shape {jnp.shape(x)}", f"give one row per node: ({n}, ...)"
            raise bad(f"{type(source).__name__}.init", says=says, instead=way)
    return memory if round._order is None else tree.map(lambda x: x[round._order], memory)


def looked_up(round: Round, name: str, drawn: Batch) -> tuple[Any, Any, Any]:
    """Return drawn rows as (source [n, ...], weights [n, B], source_i -> batch_i).

    Samples are looked up, made floats and changed where a node's batch is computed, and nowhere held for all nodes.
    """
    problem = round.problem
    if not problem.augment:
        return drawn.data, drawn.weight, problem.fetch
    keys, mixes = round.node_keys(name + ".augment"), any(getattr(m, "mixes", False) for m in problem.augment)

    def one(source: Any) -> tuple[Any, Any]:
        rows, weight, key = source
        return augmented(problem.augment, key, problem.fetch(rows), weight)

    source = drawn.data, drawn.weight, keys
    weight = jax.vmap(lambda s: one(s)[1])(source) if mixes else drawn.weight
    return source, weight, lambda source: one(source)[0]


def rows_of_adversaries(round: Round) -> jax.Array:
    """Bool [n] of this view's rows: who is an adversary."""
    return round.by_id(round.network.attack.is_adversary(round.n_all))


__all__ = ["attacked", "batch", "collect", "looked_up", "public_batch", "rows_of_adversaries", "validation_batch"]
