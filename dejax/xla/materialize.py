"""Parts of a program that XLA on CPUs must not fuse into what comes after."""

from typing import Any

import jax
from jax.core import ShapedArray
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

written_p = Primitive("dejax_written")


def materialize(value: Any) -> Any:
    """Write `value` to memory, so that XLA:CPU does not recompute it in every reader.

    Elsewhere it is just `value`. Nothing is copied. Where a loop reads an element several times
    (three neighbors on a ring, 64 columns that share a row number), XLA fuses what makes that
    element into the loop and computes it each time. Optimization barriers do not help: the CPU back
    end drops them before it fuses. A call of a function that is not inlined does. The derivative is
    written to memory, too.
    """
    return jax.tree.map(written_p.bind, value)


def _written(value: Any) -> Any:
    return value


def _call(value: Any) -> Any:
    with set_xla_metadata(inlineable="false"):
        return jax.jit(_written)(value)


written_p.def_impl(_written)
written_p.def_abstract_eval(lambda x: ShapedArray(x.shape, x.dtype))
ad.deflinear2(written_p, lambda ct, _: [written_p.bind(ct)])
batching.defvectorized(written_p)
mlir.register_lowering(written_p, mlir.lower_fun(_call, multiple_results=False), platform="cpu")
mlir.register_lowering(written_p, lambda ctx, x: [x])

__all__ = ["materialize"]
