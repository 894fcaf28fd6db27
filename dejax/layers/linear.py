"""The linear layer under a node axis, fast where every node has its own weights.

`dot_general` goes into anybody's flax layers. dejax's own models take `affine` and `activations`,
which besides save passes over memory on CPUs: product, bias and activation are one loop, and so are
the product of the gradient and the activation's derivative.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from ..core.types import Tree
from ..xla.materialize import materialize
from .matmul import APART, LONGEST, matmul


def dot_general(
    lhs: jax.Array,
    rhs: jax.Array,
    dimension_numbers: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
    **kwargs: Any,
) -> jax.Array:
    """Multiply as `lax.dot_general`, fast for weights that differ between nodes.

    For flax: `Linear(dot_general=...)`. Same numbers as `lax.dot_general` up to rounding;
    differentiable any number of times, forward and reverse. Only x [..., a] @ w [a, b] of one
    floating dtype is treated specially, everything else is passed on. Tasks put it into plain
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
    out = matmul("nn", lax.collapse(lhs, 0, lhs.ndim - 1), rhs, precision)
    return out.reshape(*lhs.shape[:-1], rhs.shape[1])


def affine(layer: nnx.Linear, x: jax.Array, apart: tuple[str, ...] = APART) -> jax.Array:
    """Compute `layer(x)`, x [B, a], with the bias added in the loop of the product.

    `apart`: as for `matmul`. Subclasses of `nnx.Linear` are called as they are.

    For small batches the bias is a product with a column of ones, so that its gradient is written
    out like that of the weights.
    """
    if type(layer) is not nnx.Linear or layer.dtype is not None or layer.bias is None or x.ndim != 2:
        return layer(x)
    w, b = layer.kernel[...], layer.bias[...]
    if not x.dtype == w.dtype == b.dtype or not jnp.issubdtype(x.dtype, jnp.floating):
        return layer(x)
    product = matmul("nn", x, w, layer.precision, apart)
    if x.shape[0] > LONGEST:
        return product + b[None]
    return product + matmul("nn", jnp.ones((x.shape[0], 1), x.dtype), b[None], lax.Precision.HIGHEST, ())


def _known_by_output(fn: Callable[[jax.Array], jax.Array], slope: Callable[[jax.Array, jax.Array], jax.Array]) -> Any:
    """Make an activation h = fn(z) whose tangent is `slope(h, dz)`.

    z is not kept; h and the tangent are written to memory.
    """

    @jax.custom_jvp
    def activation(z: jax.Array) -> jax.Array:
        return materialize(fn(z))

    @activation.defjvp
    def _(primals: Tree, tangents: Tree) -> Any:
        h = activation(*primals)
        return h, slope(h, materialize(tangents[0]))

    return activation


BY_OUTPUT: dict[str, Any] = {
    "relu": _known_by_output(jax.nn.relu, lambda h, dz: jnp.where(h > 0, dz, 0)),
    "tanh": _known_by_output(jnp.tanh, lambda h, dz: (1 - h * h) * dz),
}
activations = {**BY_OUTPUT, "gelu": jax.nn.gelu, "silu": jax.nn.silu}
