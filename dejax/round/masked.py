"""Parts of models: every entry is combined over those who hold it, and they alone send it."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from ..compression.apply import only
from ..core import tree
from ..core.types import Codec, Round, Tree, Values
from ..errors import bad
from . import channel, wrong
from .received import Received


def gossip(
    round: Round, name: str, value: Tree, mask: Tree, weights: Any, mask_bits: int, codec: Codec, heard: bool
) -> Any:
    """See `Round.gossip`: what it does without a mask, of every entry among those who hold it."""
    if heard:
        why, way = "beside mask: what was heard last may be other entries", "leave one of them out"
        raise bad("heard", heard, owner="round.gossip", why=why, instead=way)
    size, owned = wrong.mask_bits("gossip", mask, mask_bits), _owned(round, "gossip", value, mask, codec)
    got = channel.exchange(round, name, only(owned, value), codec, owned=owned, mask_bytes=size)
    mean, there = _over_holders(got, weights)
    # entries that the node does not hold move from its own value, which it did not send
    own = lambda x: tree.map(jnp.where, owned, x, value)
    got.base, got.own = (own(got.base),) * 2 if got.base is got.own else (own(got.base), own(got.own))
    return tree.map(jnp.where, there, got.moved(mean), value)


def average(
    round: Round, name: str, value: Tree, mask: Tree, weights: Values, mask_bits: int, codec: Codec, groups: Tree,
    num_groups: int | None, downloads: int,
) -> Any:  # fmt: skip
    """See `Round.average`: of every entry over those who hold it, 0 where nobody does."""
    size, owned = wrong.mask_bits("average", mask, mask_bits), _owned(round, "average", value, mask, codec)
    _, got = channel.uploaded(
        round, name, only(owned, value), weights, codec, groups, num_groups, downloads, owned, size
    )
    mean, there = _over_holders(got, None)
    mean = only(there, mean)
    return mean if groups is not None else tree.map(lambda x: x[0], mean)


def _owned(round: Round, verb: str, value: Tree, mask: Tree, codec: Any) -> Any:
    """The mask in the shape of the value.

    Raises:
      FieldError: a rule or codec of whole values; a mask that does not fit the value.
    """
    network = round.network if codec is None else dataclasses.replace(round.network, codec=codec)
    for field in ("rule", "codec"):
        if not getattr(network, field).masks:
            why, way = "but the method sends parts of models, and this acts on whole ones", "leave it out"
            raise bad("network." + field, getattr(network, field), why=why, instead=way)
    return wrong.mask(verb, value, mask)


def _over_holders(got: Received, weights: Any) -> tuple[Any, Any]:
    """(every entry combined over those who hold it, where somebody does).

    Under W, or `weights`: what the others would weigh goes to the holders, in proportion. So the mean
    of an entry that all hold is the one without masks, bit for bit.
    """
    numbers = lambda owns: None if owns is None else tree.map(lambda m, x: m.astype(x.dtype), owns, got.sent)
    held, owned = got.links.with_neighbors(numbers(got.held)), numbers(got.owned)
    if not got.rule.linear:
        here = got.mask.astype(tree.leaves(got.sent)[0].dtype)
        count = got.links.weighted(held, here, jnp.ones_like(here, shape=here.shape[:1]), owned)
        return got.combine(), tree.map(lambda b: b > 0, count)
    if weights is None:
        over, (w, own) = got.combine(), (got.weights, got.self_weights)
    else:
        over, (w, own) = got.average(*weights), got._given_back(*weights)
    holders = got.links.weighted(held, jnp.where(got.mask, w, 0), own, owned)
    whole = own + jnp.where(got.mask, w, 0).sum(1)

    def mean(a: jax.Array, b: jax.Array, held: jax.Array, *owned: jax.Array) -> jax.Array:
        everybody = jnp.stack([x.all(0, keepdims=True) for x in (held, *owned)]).all(0)
        return jnp.where(everybody, a, a / jnp.where(b > 0, b, 1) * tree.over(whole, a).astype(a.dtype))

    both = (got.held,) if got.owned is None else (got.held, got.owned)
    return tree.map(mean, over, holders, *both), tree.map(lambda b: b > 0, holders)


__all__ = ["average", "gossip"]
