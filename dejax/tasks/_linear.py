"""The linear layer of models that live under a node axis: `lax.dot_general` for flax, fast where every node has its own weights."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._matmul import matmul


def dot_general(
    lhs: jax.Array,
    rhs: jax.Array,
    dimension_numbers: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
    **kwargs: Any,
) -> jax.Array:
    """`lax.dot_general`, fast for weights that differ between nodes; what flax's `Linear(dot_general=...)` takes.

    Same numbers as `lax.dot_general` up to rounding; differentiable any number of times, forward and reverse. Only
    x [..., a] @ w [a, b] of one floating dtype is treated specially, everything else is passed on. Tasks put it into plain
    `nnx.Linear` layers by themselves.

    Args:
      lhs, rhs, dimension_numbers, precision, preferred_element_type: as for `lax.dot_general`.
    Example:
      >>> from flax import nnx
      >>> nnx.Linear(16, 64, dot_general=dot_general, rngs=nnx.Rngs(0))(jnp.ones((2, 16))).shape
      (2, 64)
    """
    kwargs = {k: v for k, v in kwargs.items() if v is not None}  # e.g. out_sharding, which not every version knows
    contract, batch = dimension_numbers
    last = ((lhs.ndim - 1,), (0,))
    wanted = None if preferred_element_type is None else jnp.dtype(preferred_element_type)
    if (
        kwargs
        or any(map(len, batch))
        or tuple(map(tuple, contract)) != last
        or rhs.ndim != 2
        or lhs.ndim < 2
        or lhs.shape[-1] != rhs.shape[0]  # lax says what is wrong
        or lhs.dtype != rhs.dtype
        or wanted not in (None, lhs.dtype)
        or not jnp.issubdtype(lhs.dtype, jnp.floating)
    ):
        return lax.dot_general(lhs, rhs, dimension_numbers, precision, preferred_element_type, **kwargs)
    precision = tuple(precision) if isinstance(precision, list) else precision
    out = matmul("nn", lhs.reshape(-1, lhs.shape[-1]), rhs, precision)
    return out.reshape(*lhs.shape[:-1], rhs.shape[1])
