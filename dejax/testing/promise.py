"""How a check says which promise broke."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ..core.types import Dtype, Tree
from ..errors import PromiseError


class Promises:
    """The promises of one member.

    Each check is run under the name of a promise, with what would mend it.
    """

    def __init__(self, member: Any):
        self.member = type(member).__name__

    @contextlib.contextmanager
    def __call__(self, promise: str, mend: str) -> Iterator[None]:
        """Turn whatever goes wrong inside into a `PromiseError` that names the promise."""
        try:
            yield
        except PromiseError:
            raise
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            found = " ".join(lines[:3])[:400] or type(error).__name__
            if not isinstance(error, AssertionError):
                found = f"{type(error).__name__}: {found}"
            raise PromiseError(self.member, promise, found, mend) from error


def require(holds: Any, found: str) -> None:
    """Raise AssertionError with what was found unless `holds`."""
    if not holds:
        raise AssertionError(found)


def same(a: Tree, b: Tree, found: str) -> None:
    """Raise AssertionError unless two trees have equal bits (NaNs in equal places)."""
    import chex

    try:
        chex.assert_trees_all_equal(host(a), host(b))
    except AssertionError as error:
        raise AssertionError(f"{found} ({_gap(a, b)})") from error


def close(a: Tree, b: Tree, found: str) -> None:
    """Raise AssertionError unless two trees agree to the rounding of their dtypes."""
    import chex

    try:
        chex.assert_trees_all_equal_structs(a, b)
        for x, y in zip(jax.tree.leaves(host(a)), jax.tree.leaves(host(b)), strict=True):
            scale = max(1.0, float(np.max(np.abs(y.astype(np.float64)), initial=0, where=np.isfinite(y))))
            chex.assert_trees_all_close(x, y, rtol=0, atol=rounding(x.dtype) * scale)
    except AssertionError as error:
        raise AssertionError(f"{found} ({_gap(a, b)})") from error


def equal(a: Tree, b: Tree) -> bool:
    """Whether two trees of one structure have equal bits."""
    pairs = zip(jax.tree.leaves(host(a)), jax.tree.leaves(host(b)), strict=True)
    return all(x.tobytes() == y.tobytes() for x, y in pairs)


def host(tree: Tree) -> Any:
    """The tree as arrays of NumPy; keys as their words."""

    def one(x: Tree) -> np.ndarray:
        if isinstance(x, jax.Array) and jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        x = np.asarray(x)
        return x.astype(np.float32) if x.dtype == jax.numpy.bfloat16 else x

    return jax.tree.map(one, tree)


def rounding(dtype: Dtype) -> float:
    """What sums of some dozen numbers may be off by, relative to the largest."""
    if not np.issubdtype(dtype, np.floating):
        return 0.0
    return 200 * float(np.finfo(dtype).eps)


def _gap(a: Tree, b: Tree) -> str:
    """The largest difference in words."""
    try:
        pairs = zip(jax.tree.leaves(host(a)), jax.tree.leaves(host(b)), strict=True)
        gaps = [float(np.max(np.abs(np.subtract(x, y, dtype=np.float64)), initial=0)) for x, y in pairs]
        return f"largest difference {max(gaps, default=0.0):.3g}"
    except (TypeError, ValueError):
        return "structures or shapes differ"


__all__ = ["Promises", "close", "equal", "host", "require", "rounding", "same"]
