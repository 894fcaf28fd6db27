"""The direct codec: compress the value, keep no memory."""

from typing import Any

from ...core.checks import in_
from ...core.kinds import Codec, Slot
from ...core.struct import number, option, struct
from ...core.types import Context, FloatLike, NodeTree, Tree
from ..apply import check_message, compress, message_bits, takes_masks
from ..encoding import Size


@struct
class Direct(Codec):
    """Compress each value as it stands; no memory at either end.

    Receivers hold C(x). With a lossy compressor gossip then moves by gamma (W C(x) - C(x)): the
    mean is kept, but nodes stop at a distance from each other that does not vanish. A yardstick for
    the codecs with memory.

    Args:
      compressor: what is done to a value.
      gamma: step of gossip with it, in (0, 1]; 1 is right when nothing is lost.
    Raises:
      ValueError: gamma out of range; a compressor that cannot act on the message (by `init`).
    Example:
      >>> Direct(Identity()).bits({"w": jnp.zeros((3, 10), jnp.float32)})
      320
    """

    compressor: Any = option(check=Slot("compressor"))
    gamma: FloatLike = number(default=1.0, check=in_(0, 1, "(]"))

    @property
    def lossless(self) -> bool:
        """Receivers hold exactly what was sent."""
        return self.compressor.lossless

    @property
    def masks(self) -> bool:
        """Whether the compressor can act on some entries alone."""
        return takes_masks(self.compressor)

    def init(self, value: NodeTree) -> tuple[()]:
        """Check that the compressor can act on values like this one; no memory."""
        check_message(self.compressor, value)
        return ()

    def encode(self, ctx: Context, memory: Tree, value: NodeTree) -> tuple[NodeTree, Any, Size]:
        """(what receivers hold, memory, size of a message)."""
        decoded, size = compress(self.compressor, ctx, value)
        return decoded, memory, size

    def bits(self, value: NodeTree) -> int:
        """Bits of one message, from shapes alone."""
        return message_bits(self.compressor, value)
