"""The engine's programs for several runs at once, and carries that hold a row of each run."""

import inspect
from collections.abc import Callable
from functools import cache, lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from .. import engine
from ..core import tree
from ..core.random import seeded
from ..core.types import Keys, Method, Network, Place, Problem, Tree, Values
from ..core.views import by_id
from ..devices import placement


class Static:
    """A tree of flags as a static argument: equal where the trees are."""

    def __init__(self, value: Tree):
        self.value = value
        leaves, self._structure = jax.tree.flatten(value)
        self._leaves = tuple(leaves)

    def __hash__(self) -> int:
        return hash((self._leaves, self._structure))

    def __eq__(self, other: Any) -> bool:
        return (self._leaves, self._structure) == (other._leaves, other._structure)


@partial(jax.jit, static_argnums=(0, 1, 2))
def move(which: str, lead: int, axes: Static, place: Place | None, values: Tree) -> Any:
    """`place.in_order` or `place.to_places` of values with `lead` axes before that of nodes."""
    return getattr(place, which)(axes.value, values, lead)


def views(method: Method, place: Place | None, state: Tree, in_order: Callable[[], Tree]) -> dict[str, Any]:
    """Further models to evaluate; on a mesh, those that are read by node id on every device.

    in_order: the state by node id.
    """
    found = engine.views(method, state)
    if place is None or not any(map(by_id, found.values())):
        return found
    ordered = engine.views(method, in_order())
    return {name: _everywhere(place, ordered[name]) if by_id(view) else view for name, view in found.items()}


@jax.jit
def _everywhere(place: Place, values: Tree) -> Any:
    return place.replicate(values)


@cache
def over_lanes(name: str, mesh: bool, varying: tuple[int, ...]) -> Any:
    """Map `start`, `run_chunk` or `model` of the engine over runs.

    Mapped are carry, key, and the `varying` leaves of (method, network).
    """
    vmap = partial(jax.vmap, spmd_axis_name=placement.RUNS) if mesh else jax.vmap
    plain: Any = inspect.unwrap(getattr(engine, name))

    def of(method: Method, network: Network, values: Tree) -> Any:
        leaves, shape = jax.tree.flatten((method, network))
        for i, value in zip(varying, values, strict=True):
            leaves[i] = value
        return jax.tree.unflatten(shape, leaves)

    def start(method: Method, problem: Problem, network: Network, values: Tree, keys: Keys, params: Tree) -> Any:
        def one(values: Tree, key: Keys) -> Any:
            own, graph = of(method, network, values)
            return plain(own, problem, graph, key, params)

        return vmap(one)(values, keys)

    def run_chunk(
        method: Method, problem: Problem, network: Network, carry: Tree, values: Tree, keys: Keys,
        first: Any, count: Any, length: int, horizon: int | Values,
    ) -> Any:  # fmt: skip
        def one(carry: Tree, values: Tree, key: Keys) -> Any:
            own, graph = of(method, network, values)
            return plain(own, problem, graph, carry, key, first, count, length, horizon)

        return vmap(one)(carry, values, keys)

    def model(method: Method, problem: Problem, network: Network, carry: Tree, values: Tree) -> Any:
        del problem
        return vmap(lambda carry, values: engine.model(of(method, network, values)[0], engine.state_of(carry)))(
            carry, values
        )

    if name == "run_chunk":
        return jax.jit(run_chunk, static_argnums=8, donate_argnums=3)
    return jax.jit({"start": start, "model": model}[name])


@partial(jax.jit, static_argnums=1)
def stacked(values: list[list[Any]], times: int) -> list[jax.Array]:
    """Stack each list of arrays along a new leading axis, every row `times` times in a row.

    Python numbers stay weakly typed.
    """
    return [jnp.repeat(jnp.stack(rows), times, axis=0) for rows in values]


@jax.jit
def lane(values: Tree, at: Tree) -> Any:
    """One run's row of values [runs, ...]."""
    return tree.map(lambda x: x[at], values)


@jax.jit
def copied(values: Tree) -> Any:
    """The same values in buffers of their own."""
    return tree.map(jnp.copy, values)


@partial(jax.jit, static_argnums=(0, 1))
def refilled(lanes: int, width: int, carry: Tree) -> Any:
    """The first `lanes` runs, and the last of them as often as it takes to make `width`."""
    return tree.map(lambda x: x[jnp.minimum(jnp.arange(width), lanes - 1)], carry)


@lru_cache(maxsize=1024)
def key_of(seed: int) -> jax.Array:
    """The key of a seed, made once."""
    return seeded(seed)


__all__ = ["Static", "copied", "key_of", "lane", "move", "over_lanes", "refilled", "stacked", "views"]
