"""What compressors and codecs must satisfy."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..compression.encoding import Size
from ..core import tree
from ..core.types import Tree
from ..round.context import Context
from . import toys
from .promise import Promises, close, equal, require, rounding, same

D, ROWS, DRAWS = 40, 4, 1500
MEMORIES = ("none", "sender", "copies")


def check_compressor(compressor: Any, bits: Callable[[int, int], int] | None = None) -> None:
    """Check that a compressor keeps its bounds, acts on each row alone, and counts its bits.

    Args:
      compressor: what `dejax.compression.Compressor` describes; it must be able to act on rows of
        40 numbers.
      bits: (d, width) -> bits of a row of d numbers of `width` bits, as the paper counts them, to
        hold `compressor.bits` against.
    Raises:
      PromiseError: which promise broke, what was seen, and how to mend it. Means are tested at five
        standard errors.
    Example:
      >>> check_compressor(dejax.compression.top_k(ratio=0.1))
    """
    promises = Promises(compressor)
    with promises("says what it is", "set the attributes of dejax.compression.Compressor"):
        require(compressor.scope in ("global", "leaf"), f"scope is {compressor.scope!r}, not 'global' or 'leaf'")
        for name in ("unbiased", "lossless"):
            require(isinstance(getattr(compressor, name), bool), f"{name} is no truth value")
        compressor.check(D)
    _shapes(promises, compressor)
    apply = jax.jit(lambda keys, x: compressor.apply(keys, x))
    _rows(promises, compressor, apply)
    _bounds(promises, compressor, apply)
    _bits(promises, compressor, apply, bits)
    if callable(getattr(compressor, "held", None)):
        _held(promises, compressor, apply)


def _held(promises: Promises, compressor: Any, apply: Callable[..., Any]) -> None:
    """Some entries of each row alone: all, half, none."""
    keys = jax.random.split(jax.random.key(6), ROWS)
    x = jnp.asarray(np.random.default_rng(2).standard_normal((ROWS, D)), toys.width())
    mask = jnp.arange(D)[None] < jnp.array([D, D // 2, 1, 0])[:, None]
    out, size = jax.jit(compressor.held)(keys, jnp.where(mask, x, 0), mask)
    with promises("held gives rows and their bytes", "return (C(x), int32 [n]), both for every row"):
        require((out.shape, out.dtype) == (x.shape, x.dtype), f"{x.dtype}{x.shape} became {out.dtype}{out.shape}")
        fits = (jnp.shape(size), jnp.result_type(size)) == ((ROWS,), jnp.int32)
        require(fits, f"bytes are {jnp.result_type(size)}{jnp.shape(size)}")
    with promises("held of all entries is apply", "count and draw as apply does, where the mask is True everywhere"):
        same(out[:1], apply(keys, x)[0][:1], "C(x) is another")
        whole = -(-compressor.bits(D, x.dtype.itemsize * 8) // 8)
        require(int(size[0]) == whole, f"bytes are {int(size[0])}, but bits say {whole}")
    with promises("held leaves the other entries out", "give 0 where the mask is False, and no bytes for it"):
        same(jnp.where(mask, 0, out), 0 * out, "entries that are not held are not 0")
        require(bool((jnp.diff(size) <= 0).all()), f"bytes are {size.tolist()}, but fewer and fewer entries are held")


def _shapes(promises: Promises, compressor: Any) -> None:
    keys = jax.random.split(jax.random.key(0), ROWS)
    with promises("shapes and dtypes are kept", "compute in float32 if need be, then cast to x.dtype"):
        for dtype in {"float32", "bfloat16", toys.width()}:
            out, units = jax.eval_shape(compressor.apply, keys, jax.ShapeDtypeStruct((ROWS, D), dtype))
            require((out.shape, out.dtype) == ((ROWS, D), dtype), f"{dtype}[{ROWS}, {D}] became {out.dtype}{out.shape}")
            if units is not None:
                fits = (units.shape, units.dtype) == ((ROWS,), jnp.int32)
                require(fits, f"units are {units.dtype}{units.shape}, not int32[{ROWS}]")


def _rows(promises: Promises, compressor: Any, apply: Callable[..., Any]) -> None:
    """Zero, jit, and each row by its own key."""
    key = jax.random.key(3)
    keys, others = jax.random.split(key, ROWS), jax.random.split(jax.random.key(4), ROWS)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((ROWS, D)), toys.width())
    out = apply(keys, x)[0]
    with promises("zero gives zero", "guard divisions by the norm: jnp.where(norm == 0, 1, norm)"):
        same(apply(keys, 0 * x)[0], 0 * x, "C(0) is not 0")
    with promises("the same numbers with and without jit", "draw from the keys alone, and read no state of Python"):
        close(compressor.apply(keys, x)[0], out, "with jit C(x) is another")
    if compressor.lossless:
        with promises("lossless is the identity", "return x itself, or set lossless = False"):
            same(out, x, "C(x) is not x")
    with promises("rows do not see each other", "reduce over axis 1 alone, and draw row i from keys[i]"):
        mixed = jnp.concatenate([keys[:1], others[1:]])
        moved = jnp.concatenate([x[:1], x[1:] + 1])
        same(apply(mixed, moved)[0][:1], out[:1], "other rows and keys change row 0")
        broken = apply(keys, x.at[1].set(jnp.nan))[0]
        same(broken[:1], out[:1], "a NaN in row 1 changes row 0")
    with promises("rows have draws of their own", "draw row i from keys[i], not from one key for all"):
        many = jax.random.split(key, DRAWS)
        draws = np.asarray(apply(many, jnp.broadcast_to(x[:1], (DRAWS, D)))[0])
        again = np.asarray(apply(jax.random.split(jax.random.key(9), DRAWS), jnp.broadcast_to(x[:1], (DRAWS, D)))[0])
        random = not equal(draws, again)
        require(not random or (draws != draws[0]).any(), "equal rows with other keys are compressed alike")


def _vectors() -> dict[str, np.ndarray]:
    """Inputs that are hard for somebody."""
    rng = np.random.default_rng(1)
    return {
        "one entry": np.eye(D)[D // 2],
        "equal entries": np.full(D, -0.7),
        "normal entries": rng.normal(size=D),
        "a heavy tail": rng.standard_t(1.1, size=D),
        "one large entry": np.r_[1.0, np.full(D - 1, 1 / (1 + math.sqrt(D)))],
    }


def _bounds(promises: Promises, compressor: Any, apply: Callable[..., Any]) -> None:
    """Delta and omega, in the mean over draws."""
    delta, omega = compressor.delta(D), compressor.omega(D)
    with promises(
        "delta and omega are possible", "give 0 <= delta <= 1 (0: no such bound), omega >= 0, inf where biased"
    ):
        require(0 <= delta <= 1, f"delta({D}) is {delta!r}")
        require(omega >= 0, f"omega({D}) is {omega!r}")
        require(
            compressor.unbiased == (omega < math.inf), f"unbiased is {compressor.unbiased}, omega({D}) is {omega!r}"
        )
    keys = jax.random.split(jax.random.key(5), DRAWS)
    for name, x in _vectors().items():
        given = jnp.asarray(x, toys.width())
        out = np.asarray(apply(keys, jnp.broadcast_to(given, (DRAWS, D)))[0], np.float64)
        x, norm = np.asarray(given, np.float64), float((x**2).sum())
        error = ((out - x) ** 2).sum(1) / norm
        slack = 5 * error.std() / math.sqrt(DRAWS) + rounding(given.dtype)
        if delta > 0:
            with promises("contracts by delta", "give the delta(d) that is proved, or 0"):
                most = 1 - delta
                require(
                    error.mean() <= most + slack, f"on {name} the error is {error.mean():.4g} > 1 - delta = {most:.4g}"
                )
        if not compressor.unbiased:
            continue
        with promises("unbiased", "scale what is kept so that its mean is x, or set unbiased = False"):
            off = np.abs(out.mean(0) - x) - 5 * out.std(0) / math.sqrt(DRAWS)
            require(
                off.max() <= rounding(given.dtype) * math.sqrt(norm), f"on {name} the mean is off by {off.max():.4g}"
            )
        with promises("errors are below omega", "give the omega(d) that is proved"):
            require(error.mean() <= omega + slack, f"on {name} the error is {error.mean():.4g} > omega = {omega:.4g}")


def _bits(promises: Promises, compressor: Any, apply: Callable[..., Any], formula: Any) -> None:
    """Bits are whole, and pay for what arrives."""
    mend = "count values at `width` bits and all that decoding needs: positions that depend on x, signs, levels, norms"
    with promises("bits are the size of the encoding", mend):
        for d in (1, 2, 7, D, 1000):
            try:
                compressor.check(d)
            except ValueError:
                continue
            for width in (16, 32, 64):
                count = compressor.bits(d, width)
                require(isinstance(count, int) and count > 0, f"bits({d}, {width}) is {count!r}, no whole number > 0")
                if compressor.lossless:
                    require(count >= d * width, f"bits({d}, {width}) is {count}, but d numbers take {d * width}")
                if formula is not None:
                    want = formula(d, width)
                    require(count == want, f"bits({d}, {width}) is {count}, but the encoding takes {want}")
        keys = jax.random.split(jax.random.key(6), ROWS)
        rng = np.random.default_rng(2)
        x = jnp.asarray(rng.standard_normal((ROWS, D)), toys.width())
        out, units = (None if y is None else np.asarray(y) for y in apply(keys, x))
        if units is not None or out is None:
            return  # sizes vary with the value
        full = (compressor.bits(D, 64) - compressor.bits(D, 32)) // 32  # numbers sent as they are
        ratio = out / np.asarray(x)
        kept = int((ratio[0] != 0).sum())
        if not np.allclose(ratio[ratio != 0], ratio[ratio != 0].flat[0], rtol=1e-4):
            return  # rounded: how entries are encoded is not seen
        require(full >= kept, f"{kept} entries arrive as they are, but bits(d, width) pays for {full} of `width` bits")
        elsewhere = np.asarray(apply(keys, jnp.asarray(rng.standard_normal((ROWS, D)), toys.width()))[0])
        if kept < D and ((elsewhere != 0) != (out != 0)).any():  # positions depend on x, so they are sent
            places, need = compressor.bits(D, 32) - 32 * full, math.log2(math.comb(D, kept))
            require(
                places >= need, f"positions of {kept} among {D} take {need:.1f} bits or more, but {places} are counted"
            )


def check_codec(codec: Any) -> None:
    """Check a codec: its memory is a fixed point, it acts on each node alone, its size is true.

    Args:
      codec: a member of `dejax.compression` or your own, able to act on messages of 10 numbers in
        two leaves of 6 and 4.
    Raises:
      PromiseError: which promise broke, what was seen, and how to mend it.
    Example:
      >>> check_codec(dejax.compression.copies(dejax.compression.top_k(k=2), gamma=0.3))
    """
    import chex

    promises = Promises(codec)
    with promises(
        "says what it is", "set memory to 'none', 'sender' or 'copies', lossless to a truth value, and gamma"
    ):
        require(codec.memory in MEMORIES, f"memory is {codec.memory!r}")
        require(isinstance(codec.lossless, bool), f"lossless is {codec.lossless!r}")
        require(0 < float(codec.gamma) <= 1, f"gamma is {codec.gamma!r}, not in (0, 1]")
    with promises(
        "memory is a fixed point of types", "keep errors and copies in the dtypes of `init`, values in x.dtype"
    ):
        for dtype in ("float32", "bfloat16"):
            value = _value(dtype)
            memory = jax.eval_shape(codec.init, value)
            decoded, new, _ = jax.eval_shape(lambda m, v: codec.encode(_context(), m, v), memory, value)
            chex.assert_trees_all_equal_structs(memory, new)
            chex.assert_trees_all_equal_shapes_and_dtypes(memory, new)
            chex.assert_trees_all_equal_structs(decoded, value)
            chex.assert_trees_all_equal_shapes_and_dtypes(decoded, value)
    encode = jax.jit(lambda memory, value, round=0: codec.encode(_context(round), memory, value))
    value = _value(toys.width())
    memory = codec.init(value)
    decoded, new, size = encode(memory, value)
    if codec.memory == "none":
        with promises("memory 'none' keeps nothing", "return () as memory, or say what it keeps"):
            require(not jax.tree.leaves(memory), "init returns arrays")
    if codec.lossless:
        with promises("lossless is the identity", "return the value itself, or set lossless = False"):
            same(decoded, value, "what receivers hold is not the value")
    with promises("bits are the size of the encoding", "let `bits(value)` be the `Size.bits` that encode returns"):
        require(isinstance(size, Size), f"encode returns {type(size).__name__} as size; give dejax.compression.Size")
        require(isinstance(size.bits, int) and size.bits > 0, f"Size.bits is {size.bits!r}")
        require(size.bits == codec.bits(value), f"bits(value) is {codec.bits(value)}, encode says {size.bits}")
    with promises("zero gives zero", "start memory at zero, and compress 0 to 0"):
        nothing = tree.zeros(value)
        silent = encode(codec.init(nothing), nothing)
        same(silent[0], nothing, "receivers hold another value than 0")
        same(silent[1], codec.init(nothing), "memory has changed")
    with promises("nodes do not see each other", "work on rows alone: memory and value are [n, ...], row i of node i"):
        moved = tree.map(lambda x: x.at[1:].add(1), value)
        other = encode(memory, moved)
        same(_row(other[0]), _row(decoded), "other nodes' values change what node 0 sends")
        same(_row(other[1]), _row(new), "other nodes' values change node 0's memory")
    if codec.memory == "copies":
        with promises("copies approach a value that stays", "add what was sent to the copies, at both ends"):
            memory, gaps = codec.init(value), []
            for t in range(40):
                held, memory, _ = encode(memory, value, t)
                gaps.append(float(np.sqrt(np.asarray(tree.sq_norm(tree.sub(held, value))).sum())))
            require(
                gaps[-1] < 0.5 * gaps[0] or gaps[-1] < 1e-3, f"the gap was {gaps[0]:.3g} and is {gaps[-1]:.3g} after 40"
            )
    if codec.memory == "sender":
        with promises("what was dropped is sent later", "keep value + memory - sent as the next memory"):
            memory, total = codec.init(value), tree.zeros(value)
            for t in range(40):
                held, memory, _ = encode(memory, value, t)
                total = tree.add(total, held)
            mean = tree.map(lambda x: x / 40, total)
            off = math.sqrt(float(np.asarray(tree.sq_norm(tree.sub(mean, value))).sum()))
            size_ = math.sqrt(float(np.asarray(tree.sq_norm(value)).sum()))
            require(off < 0.5 * size_, f"the mean of 40 messages of one value is off by {off / size_:.2f} of its norm")


def _value(dtype: str) -> Any:
    rng = np.random.default_rng(8)
    draw = lambda *shape: jnp.asarray(rng.standard_normal((ROWS, *shape)), dtype)
    return {"a": draw(2, 3), "b": draw(4)}


def _context(round: Any = 0) -> Context:
    key = jax.random.fold_in(jax.random.key(1), round)
    ids = jnp.arange(ROWS, dtype=jnp.int32)
    return Context(jnp.int32(round), ids, key, jax.random.split(key, ROWS))


def _row(values: Tree) -> Any:
    return tree.map(lambda x: x[:1], values)


__all__ = ["check_codec", "check_compressor"]
