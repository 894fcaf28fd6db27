"""What compressors that keep k of d entries have in common."""

import jax
import jax.numpy as jnp

from ...core.checks import Whole, in_, or_none
from ...core.kinds import Compressor
from ...core.struct import static, struct
from ...errors import Words, bad, keyword, spelled
from ..encoding import SCOPE

KEEP = or_none(Whole(words="a whole number >= 1 of entries to keep"), "or ratio for a share")
SHARE = or_none(in_(0, 1, "(]", "the share of entries that is kept,"), "or k for a number of them")


@struct
class Sparsifier(Compressor):
    """Keep k of d entries, of the whole message or of each leaf.

    Args:
      k: how many. ratio: instead of k, the share of them. scope: "global" or "leaf".
    """

    k: int | None = static(default=None, check=KEEP)
    ratio: float | None = static(default=None, check=SHARE)
    scope: str = static(default="global", check=SCOPE)

    def __post_init__(self) -> None:
        if (self.k is None) == (self.ratio is None):
            k, ratio = spelled(self.k), spelled(self.ratio)
            says = f"is {k} and {type(self).__name__}.ratio is {ratio}"
            way = "give exactly one of them, e.g. " + keyword("ratio", 0.01)
            raise bad("k", self.k, owner=self, says=says, instead=way)

    @property
    def lossless(self) -> bool:
        """Keeps everything."""
        return self.ratio == 1

    def check(self, d: int) -> None:
        """ValueError if k > d."""
        if self.k is not None and self.k > d:
            what = "the smallest leaf" if self.scope == "leaf" else "the message"
            way = f"give k <= {d}, or " + Words("ratio=", "ratio in place of k")
            raise bad("k", self.k, owner=self, why=f"but {what} has d = {d} numbers", instead=way)

    def kept(self, d: int) -> int:
        """Entries kept of d: `k`, or max(1, round(ratio d))."""
        if self.ratio is not None:
            return max(1, min(d, round(self.ratio * d)))
        assert self.k is not None  # one of both is given
        return self.k

    def kept_of(self, d: int, count: jax.Array) -> jax.Array:
        """Entries kept of `count` [n], where a whole row has d: at most as many as there are."""
        if self.ratio is None:
            return jnp.minimum(self.kept(d), count)
        share = jnp.maximum(1, jnp.round(self.ratio * count.astype(float))).astype(jnp.int32)
        return jnp.minimum(jnp.where(count == d, self.kept(d), share), count)


__all__ = ["Sparsifier"]
