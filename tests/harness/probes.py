"""Members that stand for all others, and options whose doings carry a mark.

A mark is an input of the program that changes everything the option returns.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

import dejax as dj

METHODS = (
    "dsgd_awc",
    "gradient_tracking",
    "relaysgd",
    "ad_psgd",
    "scaffold",
    "ifca",
)  # every verb that any method calls
MORE = (
    "proxskip",
    "pens",
    "fedmd",
    "k_core",
    "quadratic_energy",
    "semi_decentralized_s2a",
    "dimat",
    "fedes",
    "pfedhn",
    "l2c",
    "one_nn",
    "dbw",
)  # verbs that few methods call
FAMILIES = (
    "exact_diffusion",
    "choco",
    "local_sgd",
    "sgp",
    "feddyn",
    "ditto",
    "kgt",
    "local_only",
    *MORE,
)  # others like them: at night
OPTIONS = (  # every hook that any option has
    "copies_rand_k", "alie", "label_flip", "trimmed_mean", "gaussian_gradient", "gaussian_message", "user_level", "churn", "delay_drawn", "clock"
)  # fmt: skip
HOOKS = {  # what the library calls of an option of each kind while a round is traced
    "codec": ("encode", "change"),
    "privacy": ("gradient", "message", "clipped"),
    "attack": ("batch", "gradient", "message", "server"),
    "faults": ("arrives", "awake", "uploads", "ages"),
    "rule": ("combine",),
    "clock": ("compute", "messages", "server"),
}


def _touched(mark: Any, made: Any) -> Any:
    def touch(x: Any) -> Any:
        if not isinstance(x, jax.Array) or jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return x
        return x ^ (mark != 0) if x.dtype == bool else x + jnp.asarray(mark).astype(x.dtype)

    return jax.tree.map(touch, made)


def _marking(hook: Any) -> Any:
    @functools.wraps(hook)
    def marked(self: Any, *args: Any, **kw: Any) -> Any:
        return _touched(self.mark, hook(self, *args, **kw))

    return marked


@functools.cache
def _marked_class(cls: type, kind: str) -> type:
    """The option's class with one number more, `mark`, which is added to all that its hooks return."""
    hooks = {name: _marking(getattr(cls, name)) for name in HOOKS[kind] if callable(getattr(cls, name, None))}
    body = {"__annotations__": {"mark": float}, "mark": 0.0, "__module__": cls.__module__, "__doc__": cls.__doc__}
    return dj.struct(type(cls.__name__, (cls,), body | hooks))


def marked(options: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of a network, with a `mark` (0.0) among the leaves of each option."""

    def one(kind: str, option: Any) -> Any:
        if isinstance(option, tuple):
            return tuple(one(kind, each) for each in option)
        return _marked_class(type(option), kind)(**vars(option)) if kind in HOOKS else option

    return {kind: one(kind, option) for kind, option in options.items()}
