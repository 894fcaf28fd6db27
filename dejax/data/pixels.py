"""Images stay bytes until a batch is drawn; then a task sees floats."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core.struct import option, struct
from ..errors import bad

Normalize = bool | tuple[Sequence[float], Sequence[float]]
ROWS = 1024  # images whose bytes are counted at a time


@struct
class Pixels:
    """Make float32 of bytes: x / 255, or (x / 255 - mean) / std.

    `Dataset.pixels` and `NodeData.pixels` hold one. Arrays stay uint8 on the host and on the device, a quarter of
    float32; the rows of a batch become floats after they are drawn, inside jit, and so do test rows where they are
    evaluated. Losses, metrics, attacks on samples and methods see floats alone.

    Args:
      mean, std: float32, one number or [C] over the last axis of x, std > 0; None: neither.
    """

    mean: Any = option(default=None)
    std: Any = option(default=None)

    def floats(self, x: Any) -> jax.Array:
        """Float32 of bytes, any shape."""
        x = jnp.asarray(x).astype(jnp.float32) / 255
        if self.mean is None:
            return x
        wide = lambda v: jnp.expand_dims(v, tuple(range(x.ndim - jnp.ndim(v))))
        return (x - wide(self.mean)) / wide(self.std)


def pixels_of(x: np.ndarray, normalize: Normalize, owner: str) -> Pixels:
    """Return how the images x [N, H, W] or [N, H, W, C], uint8, become floats.

    Args:
      normalize: False: x / 255. True: also less the mean and over the standard deviation of every channel of x. Or
        (mean, std), each [C], of x / 255.
    Raises:
      ValueError: numbers of another length than there are channels, a std that is not > 0, or one value in a whole channel.
    """
    if isinstance(normalize, (bool, np.bool_)):
        return Pixels(*_moments(x, owner)) if normalize else Pixels()
    channels = x.shape[3] if x.ndim == 4 else 1
    try:
        mean, std = (np.asarray(v, np.float32).reshape(-1) for v in normalize)
    except (TypeError, ValueError):
        mean, std = np.zeros(0), np.zeros(0)
    if not (mean.shape == std.shape == (channels,) and (std > 0).all() and np.isfinite([mean, std]).all()):
        instead = f"give true, false, or [mean, std] with {channels} number{'s' * (channels > 1)} each, of pixels in [0, 1], std > 0"
        raise bad("normalize", normalize, owner=owner, instead=instead)
    return Pixels(mean, std) if x.ndim == 4 else Pixels(mean[0], std[0])


def _moments(x: np.ndarray, owner: str) -> tuple[Any, Any]:
    """Mean and standard deviation of x / 255 for each channel, from exact counts of bytes."""
    flat = x.reshape(len(x), -1, x.shape[3] if x.ndim == 4 else 1)
    count = np.zeros((flat.shape[2], 256), np.int64)
    for start in range(0, len(flat), ROWS):
        for c in range(flat.shape[2]):
            count[c] += np.bincount(flat[start : start + ROWS, :, c].reshape(-1), minlength=256)
    value, total = np.arange(256) / 255, count.sum(1)
    mean = count @ value / total
    std = np.sqrt(np.maximum(count @ value**2 / total - mean**2, 0))
    if (std < 1e-6).any():
        why = f"but all pixels of channel {int(std.argmin())} are equal"
        raise bad("normalize", True, owner=owner, why=why, instead="leave it out")
    mean, std = mean.astype(np.float32), std.astype(np.float32)
    return (mean, std) if x.ndim == 4 else (mean[0], std[0])


__all__ = ["Normalize", "Pixels", "pixels_of"]
