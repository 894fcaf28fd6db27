"""Convolution and pooling for models that live under a node axis.

`jax.vmap` turns a convolution whose weights differ between nodes into one grouped convolution with
a group per node, which is 10 to 40 times slower than it need be on CPU. `conv_general_dilated` here
has the same numbers and arguments as `lax.conv_general_dilated` and a batching rule of its own; it
is the argument that keeps a user's module plain flax:

    nnx.Conv(16, 32, (5, 5), conv_general_dilated=dejax.tasks.conv.conv_general_dilated, rngs=rngs)

How it works. A convolution is linear in the input x and in the weights w, so with a cotangent g of
its output there is one number <g, conv(x, w)> linear in all three, and the convolution and its two
gradients are what is left when one of the three is taken out. They are one primitive with the
missing one as its `role`; derivatives of a member of the family are members of it, at any order,
forward or reverse. Batching:

    x alone has the node axis      it joins the batch axis of x: one convolution
    w alone (a shared test set)    it joins the output features: one convolution
    both                           CPU: one node after another (`lax.map`), by patches of x or by a plain convolution;
                                   GPU and TPU: patches of x, and one batched matrix product

What all nodes share is not copied: in weight gradients of one x, and with groups, the nodes'
operand alone is looped over.

The CPU choice is measured (docs/performance-log.md), the choice for GPU and TPU is reasoned: a
grouped convolution with thousands of small groups leaves matrix units idle, a batched product does
not.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from ..core.types import Precision, Tree, Values
from .pool import avg_pool as avg_pool, max_pool as max_pool

KINDS = ("x", "w", "g")  # input, weights, (cotangent of the) output
conv_p = Primitive("dejax_conv")


def conv_general_dilated(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Any,
    padding: Any,
    lhs_dilation: Any = None,
    rhs_dilation: Any = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Precision = None,
    preferred_element_type: Any = None,
    **more: Any,
) -> jax.Array:
    """Convolve as `lax.conv_general_dilated`, fast where every node has its own weights.

    Its batching rule under `vmap` makes it so. Same arguments, same numbers up to rounding. A wider
    `preferred_element_type` (sums of bfloat16 in float32) is the convolution of both operands in
    that type. `batch_group_count` other than 1, non-floating dtypes, and convolutions whose output
    is empty (a window larger than x) are passed on to lax.

    Example:
      >>> x, w = jnp.ones((4, 2, 8, 8, 3)), jnp.ones((4, 5, 5, 3, 6))  # 4 nodes, 2 images each
      >>> conv = lambda x, w: conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
      >>> jax.vmap(conv)(x, w).shape
      (4, 2, 8, 8, 6)
    """
    wanted = jax.dtypes.canonicalize_dtype(lhs.dtype if preferred_element_type is None else preferred_element_type)
    floating = jnp.issubdtype(lhs.dtype, jnp.floating) and jnp.issubdtype(wanted, jnp.floating)
    plain = lhs.dtype == rhs.dtype and floating and jnp.promote_types(lhs.dtype, wanted) == wanted
    more = {k: v for k, v in more.items() if v is not None}  # e.g. out_sharding, which not every version knows
    if batch_group_count != 1 or not plain or more:
        return lax.conv_general_dilated(
            lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count,
            batch_group_count, precision, preferred_element_type, **more,
        )  # fmt: skip
    lhs, rhs = lhs.astype(wanted), rhs.astype(wanted)
    numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    d = lhs.ndim - 2
    lhs_dilation = tuple(lhs_dilation or (1,) * d)
    rhs_dilation = tuple(rhs_dilation or (1,) * d)
    window_strides = tuple(window_strides)
    if isinstance(padding, str):
        if max(lhs_dilation, default=1) > 1:
            raise ValueError(
                f"padding is {padding!r} with lhs_dilation {lhs_dilation}; give padding as pairs (low, high)"
            )
        spatial = [lhs.shape[i] for i in numbers.lhs_spec[2:]]
        window = [(rhs.shape[i] - 1) * r + 1 for i, r in zip(numbers.rhs_spec[2:], rhs_dilation, strict=True)]
        padding = lax.padtype_to_pads(spatial, window, window_strides, padding)
    call = {
        "window_strides": window_strides,
        "padding": tuple((int(a), int(b)) for a, b in padding),
        "lhs_dilation": lhs_dilation,
        "rhs_dilation": rhs_dilation,
        "dimension_numbers": numbers,
        "feature_group_count": feature_group_count,
        "precision": tuple(precision) if isinstance(precision, list) else precision,
    }
    if jax.eval_shape(functools.partial(_native, call=call), lhs, rhs).size == 0:  # there are no patches to take
        return _native(lhs, rhs, call)
    return _bind("g", {"x": lhs, "w": rhs}, nodes=(), shapes=(lhs.shape, rhs.shape), call=tuple(call.items()))


def _bind(role: str, operands: dict[str, Any], *, nodes: tuple[str, ...], shapes: Tree, call: Any) -> Any:
    """Bind the member of the family whose result is of kind `role`.

    The operands named in `nodes` have a leading node axis, and so has the result if any has;
    `shapes` are those of x and w without it.
    """
    a, b = (operands[k] for k in _operands(role))
    return conv_p.bind(a, b, role=role, nodes=nodes, shapes=shapes, call=call)


def _operands(role: str) -> tuple[str, ...]:
    return tuple(k for k in KINDS if k != role)


def _native(x: Values, w: Values, call: Any) -> Any:
    return lax.conv_general_dilated(x, w, **dict(call))


def _patches(x: Values, w: Values, call: Any) -> Any:
    """Compute the convolution as one matrix product with the patches of x.

    Its operations are plain and batch well.
    """
    opt = dict(call)
    numbers, groups = opt["dimension_numbers"], opt["feature_group_count"]
    d = x.ndim - 2
    x = x.transpose(_images(numbers.lhs_spec))
    w = w.transpose(_window(numbers.rhs_spec))
    pads = [
        (0, 0, 0),
        *((lo, hi, k - 1) for (lo, hi), k in zip(opt["padding"], opt["lhs_dilation"], strict=True)),
        (0, 0, 0),
    ]
    x = lax.pad(x, jnp.zeros((), x.dtype), pads)
    window, cin, out = w.shape[:d], w.shape[d], w.shape[d + 1]
    pick, strides, dilation = [], opt["window_strides"], opt["rhs_dilation"]
    size = [(x.shape[1 + i] - (window[i] - 1) * dilation[i] - 1) // strides[i] + 1 for i in range(d)]
    for offset in _offsets(window):
        low = [o * r for o, r in zip(offset, dilation, strict=True)]
        high = [a + (s - 1) * st + 1 for a, s, st in zip(low, size, strides, strict=True)]
        pick.append(lax.slice(x, (0, *low, 0), (x.shape[0], *high, x.shape[-1]), (1, *strides, 1)))
    if groups == 1:
        rows = jnp.concatenate(pick, -1).reshape(-1, len(pick) * cin)
        y = jnp.matmul(rows, w.reshape(-1, out), precision=opt["precision"])
    else:
        rows = jnp.stack(pick, -2).reshape(-1, len(pick), groups, cin)
        y = jnp.einsum("rkgc,kcgo->rgo", rows, w.reshape(-1, cin, groups, out // groups), precision=opt["precision"])
    return y.reshape(x.shape[0], *size, out).transpose(_back(_images(numbers.out_spec)))


def _images(spec: Any) -> tuple[int, ...]:
    """Axes of images in the order [B, spatial, C]."""
    return (spec[0], *spec[2:], spec[1])


def _window(spec: Any) -> tuple[int, ...]:
    """Axes of weights in the order [window, C / groups, O]."""
    return (*spec[2:], spec[1], spec[0])


def _back(order: tuple[int, ...]) -> tuple[int, ...]:
    """The inverse of a permutation of axes."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def _plain_gradient(role: str, a: Values, b: Values, call: Any) -> Any:
    """Compute a gradient of a plain convolution as another such convolution.

    It is that of x from (w, g), or of w from (x, g); plain means no strides, dilation or groups.

    d/dx: g under the window turned round, input and output channels swapped. d/dw: channels of x as
    images, its images as channels, under g as the window.
    """
    opt = dict(call)
    numbers, pads = opt["dimension_numbers"], opt["padding"]
    d = len(pads)
    g = b.transpose(_images(numbers.out_spec))
    if role == "x":
        w = a.transpose(_window(numbers.rhs_spec))
        lhs, rhs = g, jnp.flip(w, tuple(range(d))).swapaxes(d, d + 1)
        pads = [(k - 1 - lo, k - 1 - hi) for k, (lo, hi) in zip(w.shape, pads, strict=False)]
    else:
        x = a.transpose(_images(numbers.lhs_spec))
        lhs, rhs = x.swapaxes(0, d + 1), jnp.moveaxis(g, 0, d)
    plain = lax.ConvDimensionNumbers((0, d + 1, *range(1, d + 1)), (d + 1, d, *range(d)), (0, d + 1, *range(1, d + 1)))
    y = lax.conv_general_dilated(lhs, rhs, (1,) * d, pads, dimension_numbers=plain, precision=opt["precision"])
    if role == "x":
        return y.transpose(_back(_images(numbers.lhs_spec)))
    return jnp.moveaxis(y, 0, d).transpose(_back(_window(numbers.rhs_spec)))


def _offsets(window: tuple[int, ...]) -> list[tuple[int, ...]]:
    out: list[tuple[int, ...]] = [()]
    for k in window:
        out = [(*o, i) for o in out for i in range(k)]
    return out


def _one(a: Values, b: Values, *, role: str, shapes: Tree, call: Any, conv: Any) -> Any:
    """One member of the family, without node axis, from a function conv(x, w)."""
    if role == "g":
        return conv(a, b, call)
    like = jax.ShapeDtypeStruct(shapes[KINDS.index(role)], a.dtype)
    fn = (lambda x: conv(x, a, call)) if role == "x" else (lambda w: conv(a, w, call))
    return jax.linear_transpose(fn, like)(b)[0]


def _cpu(a: Values, b: Values, *, role: str, nodes: tuple[str, ...], shapes: Tree, call: Any) -> Any:
    if _library_wins(role, shapes, call):
        one = (lambda a, b: _native(a, b, call)) if role == "g" else (lambda a, b: _plain_gradient(role, a, b, call))
    else:
        one = functools.partial(_one, role=role, shapes=shapes, call=call, conv=_patches)
    if not nodes:
        return one(a, b)
    operands = dict(zip(_operands(role), (a, b), strict=True))
    return lax.map(lambda own: one(*(operands | own).values()), {k: operands[k] for k in nodes})


def _library_wins(role: str, shapes: Tree, call: Any) -> bool:
    """Return whether XLA's convolution is faster than patches for one member of the family.

    This is for a CPU, inside a loop. As every round is in a loop, gradients must be plain
    convolutions: XLA computes others there by a loop over elements (40 ms for 16 images 14x14x16
    and a window of 5x5x32; 0.9 by patches, 0.45 as a plain convolution). Patches of a small window
    are a small copy, and few channels give the library little to do: the bounds are those of a scan
    of 7 layers (docs/performance-log.md).
    """
    opt = dict(call)
    numbers, groups = opt["dimension_numbers"], opt["feature_group_count"]
    strides, dilations = opt["window_strides"], (*opt["lhs_dilation"], *opt["rhs_dilation"])
    channels, wide = shapes[1][numbers.rhs_spec[1]], math.prod(shapes[1][i] for i in numbers.rhs_spec[2:]) > 9
    if groups > 1 or max((*strides, *dilations), default=1) > 1:
        return role == "g" and (channels > 1 or groups > 1)
    return (wide or channels == 1) if role == "w" else wide and channels >= 8


def _accelerator(a: Values, b: Values, *, role: str, nodes: tuple[str, ...], shapes: Tree, call: Any) -> Any:
    one = functools.partial(_one, role=role, shapes=shapes, call=call, conv=_patches if nodes else _native)
    return jax.vmap(one, tuple(0 if k in nodes else None for k in _operands(role)))(a, b) if nodes else one(a, b)


def _abstract(a: Tree, b: Tree, *, role: str, nodes: tuple[str, ...], shapes: Tree, call: Any) -> Any:
    x, w = (jax.ShapeDtypeStruct(s, a.dtype) for s in shapes)
    out = {"x": x, "w": w}.get(role) or jax.eval_shape(lambda x, w: _native(x, w, call), x, w)
    size = [x.shape[0] for k, x in zip(_operands(role), (a, b), strict=True) if k in nodes][:1]
    return jax.core.ShapedArray((*size, *out.shape), a.dtype)


@functools.lru_cache(maxsize=512)
def _eager(**params: Any) -> Any:
    return jax.jit(functools.partial(conv_p.bind, **params))


def _transpose(
    which: int, ct: Values, a: Values, b: Values, *, role: str, nodes: tuple[str, ...], **params: Any
) -> Any:
    """Transpose: <ct, member(a, b)> is linear in the operand that is missing.

    The result is the member of the family with that operand as its role, summed over the nodes
    where they share that operand.
    """
    first, second = _operands(role)
    missing, other = (first, second) if which == 0 else (second, first)
    operands = {role: ct, other: b if which == 0 else a}
    out = _bind(missing, operands, nodes=nodes and tuple(k for k in operands if k == role or k in nodes), **params)
    return out.sum(0) if nodes and missing not in nodes else out


def _batch(args: Tree, dims: Tree, *, role: str, nodes: tuple[str, ...], shapes: Tree, call: Any) -> tuple[Any, int]:
    size = next(x.shape[d] for x, d in zip(args, dims, strict=True) if d is not None)
    kinds = _operands(role)
    numbers = dict(call)["dimension_numbers"]
    batched = [k for k, d in zip(kinds, dims, strict=True) if d is not None]
    if not nodes:
        if (
            len(batched) == 1 and batched[0] != "w" and role != "w"
        ):  # role g with x, or role x with g: join the batch axis
            spec = {"x": numbers.lhs_spec, "g": numbers.out_spec}
            place, back = spec[batched[0]][0], spec[role][0]
            ops = {k: _join(a, d, place) if k == batched[0] else a for k, a, d in zip(kinds, args, dims, strict=True)}
            rows = list(shapes[0])
            rows[numbers.lhs_spec[0]] *= size
            out = _bind(role, ops, nodes=(), shapes=(tuple(rows), shapes[1]), call=call)
            return _split(out, back, size), back
        if batched == ["w"] and role == "g" and dict(call)["feature_group_count"] == 1:  # join the output features
            place, back = numbers.rhs_spec[0], numbers.out_spec[1]
            wide = list(shapes[1])
            wide[place] *= size
            ops = {"x": args[0], "w": _join(args[1], dims[1], place)}
            return _split(_bind(role, ops, nodes=(), shapes=(shapes[0], tuple(wide)), call=call), back, size), back
    ops = {k: a if d is None else jnp.moveaxis(a, d, 0) for k, a, d in zip(kinds, args, dims, strict=True)}
    every = tuple(k for k in kinds if k in (*nodes, *batched))
    if not nodes:
        return _bind(role, ops, nodes=every, shapes=shapes, call=call), 0
    inner = next(ops[k].shape[k in batched] for k in nodes)
    for k in every:  # a second node axis (runs x nodes) joins the first
        if k not in batched:
            ops[k] = jnp.broadcast_to(ops[k], (size, *ops[k].shape))
        if k not in nodes:
            ops[k] = jnp.broadcast_to(ops[k][:, None], (size, inner, *ops[k].shape[1:]))
        ops[k] = lax.collapse(ops[k], 0, 2)
    out = _bind(role, ops, nodes=every, shapes=shapes, call=call)
    return out.reshape(size, inner, *out.shape[1:]), 0


def _join(x: Values, axis: int, place: int) -> Any:
    """The node axis becomes the slow part of axis `place` (counted without the node axis)."""
    x = jnp.moveaxis(x, axis, place)
    return x.reshape(*x.shape[:place], x.shape[place] * x.shape[place + 1], *x.shape[place + 2 :])


def _split(x: Values, place: int, size: int) -> Any:
    return x.reshape(*x.shape[:place], size, x.shape[place] // size, *x.shape[place + 1 :])


conv_p.def_impl(lambda a, b, **params: _eager(**params)(a, b))
conv_p.def_abstract_eval(_abstract)
ad.defbilinear(conv_p, functools.partial(_transpose, 0), functools.partial(_transpose, 1))
batching.primitive_batchers[conv_p] = _batch
mlir.register_lowering(conv_p, mlir.lower_fun(_cpu, multiple_results=False), platform="cpu")
mlir.register_lowering(conv_p, mlir.lower_fun(_accelerator, multiple_results=False))
