"""Models of text: a character LSTM, and a small decoder transformer."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from ...core.checks import in_, whole
from ...core.made import recorded
from ...errors import bad
from ...layers.linear import dot_general
from ..adapters._flax import from_module
from ..objectives import classifier_loss, classifier_metrics
from ..sized import Sized
from ._series import put, series


class LSTM(nnx.Module):
    """Embedding, layers of LSTM, scores of the next symbol at every place: [B, T] to [B, T, V]."""

    def __init__(self, vocabulary: int, embedding: int, hidden: int, layers: int, *, rngs: nnx.Rngs):
        self.embed, self.hidden = nnx.Embed(vocabulary, embedding, rngs=rngs), hidden
        widths = [embedding, *[hidden] * layers]
        dense = lambda a, b, bias: nnx.Linear(a, b, use_bias=bias, dot_general=dot_general, rngs=rngs)
        put(self, "inward", [dense(a, 4 * hidden, True) for a in widths[:-1]])
        put(self, "around", [dense(hidden, 4 * hidden, False) for _ in range(layers)])
        self.out = dense(hidden, vocabulary, True)

    def features(self, x: jax.Array) -> jax.Array:
        """What the last layer remembers at every place: [B, T, H]."""
        y = self.embed(_symbols(x))
        for inward, around in zip(series(self, "inward"), series(self, "around"), strict=True):
            y = self._layer(inward(y), around)
        return y

    def head(self, features: jax.Array) -> jax.Array:
        """The scores."""
        return self.out(features)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.features(x))

    def _layer(self, given: jax.Array, around: nnx.Linear) -> jax.Array:
        """One layer over the places; given: [B, T, 4 H], what the gates hear from below."""

        def step(carry: Any, z: jax.Array) -> Any:
            h, c = carry
            i, f, g, o = jnp.split(z + around(h), 4, -1)
            c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)  # gates of memory start open
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        start = jnp.zeros((given.shape[0], self.hidden), given.dtype)
        return jax.lax.scan(step, (start, start), given.swapaxes(0, 1))[1].swapaxes(0, 1)


class Decoder(nnx.Module):
    """A decoder transformer, norms before its parts: [B, T <= length] to [B, T, V]."""

    def __init__(
        self, vocabulary: int, length: int, width: int, heads: int, layers: int, dropout: float, *, rngs: nnx.Rngs
    ):
        self.embed, self.place = nnx.Embed(vocabulary, width, rngs=rngs), nnx.Embed(length, width, rngs=rngs)
        put(self, "block", [_Attention(width, heads, dropout, rngs) for _ in range(layers)])
        self.norm, self.length = nnx.LayerNorm(width, rngs=rngs), length
        self.out = nnx.Linear(width, vocabulary, use_bias=False, dot_general=dot_general, rngs=rngs)

    def features(self, x: jax.Array) -> jax.Array:
        """What the last block gives, normalized, at every place: [B, T, width]."""
        if x.shape[1] > self.length:
            why = f"but the model has places for {self.length}"
            raise bad(
                "x", x.shape, says=f"holds {x.shape[1]} symbols", why=why, instead="give shorter windows, or length="
            )
        y = self.embed(_symbols(x)) + self.place(jnp.arange(x.shape[1]))[None]
        for block in series(self, "block"):
            y = block(y)
        return self.norm(y)

    def head(self, features: jax.Array) -> jax.Array:
        """The scores."""
        return self.out(features)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.features(x))


class _Attention(nnx.Module):
    """Causal self-attention, then two linear layers, each added to what it read."""

    def __init__(self, width: int, heads: int, dropout: float, rngs: nnx.Rngs):
        dense = lambda a, b: nnx.Linear(a, b, dot_general=dot_general, rngs=rngs)
        self.heads, self.norm1, self.norm2 = heads, nnx.LayerNorm(width, rngs=rngs), nnx.LayerNorm(width, rngs=rngs)
        self.qkv, self.mix, self.up, self.down = (
            dense(width, 3 * width),
            dense(width, width),
            dense(width, 4 * width),
            dense(4 * width, width),
        )
        self.dropout = nnx.Dropout(dropout, rngs=rngs) if dropout else None

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self._drop(self.mix(self._attend(self.norm1(x))))
        return x + self._drop(self.down(nnx.gelu(self.up(self.norm2(x)))))

    def _attend(self, x: jax.Array) -> jax.Array:
        q, k, v = (z.reshape(*x.shape[:2], self.heads, -1) for z in jnp.split(self.qkv(x), 3, -1))
        scores = jnp.einsum("bthd,bshd->bhts", q, k) / q.shape[-1] ** 0.5
        seen = jnp.tril(jnp.ones(scores.shape[-2:], bool))
        share = jax.nn.softmax(jnp.where(seen[None, None], scores, jnp.finfo(scores.dtype).min), -1)
        return jnp.einsum("bhts,bshd->bthd", share, v).reshape(x.shape)

    def _drop(self, x: jax.Array) -> jax.Array:
        return x if self.dropout is None else self.dropout(x)


def _symbols(x: jax.Array) -> jax.Array:
    """x, where it holds symbols."""
    if not jnp.issubdtype(x.dtype, jnp.integer):
        why = "but symbols of a text are whole numbers"
        raise bad("x", x.dtype.name, says=f"holds {x.dtype}", why=why, instead="give x int [., T], or another task")
    return x


def _places(module: Any, batch: Any) -> Any:
    """The module, or for labels of one symbol [B] its answer at the last place."""
    return module if batch["y"].ndim > 1 else lambda x: module(x)[:, -1]


def symbols_loss(module: Any, batch: Any) -> jax.Array:
    """Cross entropy [B] of the symbol after each place, y [B, T], or after all, y [B]."""
    return classifier_loss(_places(module, batch), batch)


def symbols_metrics(module: Any, batch: Any) -> dict[str, jax.Array]:
    """Loss and accuracy [B] of the same."""
    return classifier_metrics(_places(module, batch), batch)


@recorded()
def lstm(
    embedding: int = 8, hidden: int = 256, layers: int = 2, length: int | None = None, vocabulary: int | None = None
) -> Any:
    """Predict the next symbol of a text with a stacked LSTM.

    As the character model of the FedAvg paper: an embedding of 8, two layers of 256 units. (Counts of
    parameters differ with the vocabulary and with how gates are biased.)

    Args:
      embedding, hidden, layers: widths, and number of layers, each >= 1.
      length, vocabulary: places of a window (any: the model does not depend on it), and number of
        symbols; those of the data when left out.
    Returns:
      A task, or, while sizes are missing, a `Sized` that waits for data: x int [B, T], y the next
      symbol at every place, int [B, T], or the one after all, int [B].
    Reference: McMahan et al., Communication-efficient learning of deep networks from decentralized
      data, 2017; Hochreiter and Schmidhuber, Long short-term memory, 1997.
    Example:
      >>> lstm(hidden=16, layers=1, length=20, vocabulary=80)
      FlaxTask(LSTM, loss=symbols_loss)
    """
    sizes = [whole(f"lstm.{name}", x) for name, x in (("embedding", embedding), ("hidden", hidden), ("layers", layers))]

    def make(length: int, vocabulary: int) -> Any:
        del length
        return from_module(lambda rngs: LSTM(vocabulary, *sizes, rngs=rngs), symbols_loss, symbols_metrics)

    return Sized(make, _window, length, vocabulary, "length").ready()


@recorded()
def transformer(
    width: int = 128,
    heads: int = 4,
    layers: int = 2,
    dropout: float = 0.0,
    length: int | None = None,
    vocabulary: int | None = None,
) -> Any:
    """Predict the next symbol of a text with a small decoder transformer.

    Args:
      width: of each symbol's vector; heads divide it. layers: >= 1. dropout: 0 <= dropout < 1.
      length, vocabulary: places of a window, and number of symbols; those of the data when left out.
    Returns:
      As `lstm`.
    Raises:
      ValueError: heads that do not divide the width.
    Reference: Vaswani et al., Attention is all you need, 2017; norms before each part as in Radford
      et al., Language models are unsupervised multitask learners, 2019.
    Example:
      >>> transformer(32, heads=2, length=20, vocabulary=80)
      FlaxTask(Decoder, loss=symbols_loss)
    """
    given = (("width", width), ("heads", heads), ("layers", layers))
    width, heads, layers = (whole(f"transformer.{name}", x) for name, x in given)
    dropout = in_(0, 1, "[)")("transformer.dropout", dropout)
    if width % heads:
        raise bad(
            "heads", heads, owner="transformer", why=f"which do not divide width {width}", instead="give a divisor"
        )

    def make(length: int, vocabulary: int) -> Any:
        return from_module(
            lambda rngs: Decoder(vocabulary, length, width, heads, layers, dropout, rngs=rngs),
            symbols_loss,
            symbols_metrics,
        )

    return Sized(make, _window, length, vocabulary, "length").ready()


def _window(shape: tuple[int, ...]) -> int:
    """The places of x [B, T]."""
    if len(shape) != 1:
        raise bad(
            "x",
            shape,
            says=f"has examples of shape {shape}",
            why="but text is [T] symbols",
            instead="give x int [., T]",
        )
    return shape[0]


__all__ = ["LSTM", "Decoder", "lstm", "transformer"]
