"""The error feedback codec: what the compressor dropped is added to the next value.

    v_i = x_i + e_i      q_i = C(v_i)      e_i <- v_i - q_i      receivers use q_i

e_i starts at 0.
Reference: Seide et al., 1-bit stochastic gradient descent, 2014; for whole models in gossip, Tang
et al., DeepSqueeze, 2019.
"""

from typing import Any

from ...core import tree
from ...core.checks import in_
from ...core.kinds import Codec, Slot
from ...core.struct import number, option, struct
from ...core.types import Context, FloatLike, NodeTree
from ..apply import accumulator, check_contractive, compress, message_bits, takes_masks
from ..encoding import Size


@struct
class ErrorFeedback(Codec):
    """Add the errors of earlier messages to the next value, then compress (error feedback).

    In gossip on models this is DeepSqueeze. It is right for sums of updates at a server. On whole
    models in gossip it is no safe default: with top-k the error memory grows as large as the model,
    and only a small gamma stays stable, at an error floor; `copies` has none.

    Args:
      compressor: what is done to value plus error.
      gamma: step of gossip, in (0, 1]; published runs on models used 0.01 to 0.05.
    Raises:
      ValueError: gamma out of range; a compressor that cannot act on the message (by `init`).
    Memory: one error per sender, in at least float32, zero before the first round. Value plus error
      is compressed and sent in that precision.
    Identity: the sum of all messages sent plus the present error is the sum of all values.
    Reference: Seide et al., 1-bit stochastic gradient descent, 2014; Tang et al., DeepSqueeze,
      2019.
    Example:
      >>> ErrorFeedback(TopK(ratio=0.5), gamma=0.05).memory
      'sender'
    """

    compressor: Any = option(check=Slot("compressor"))
    gamma: FloatLike = number(check=in_(0, 1, "(]"))

    memory = "sender"

    @property
    def masks(self) -> bool:
        """Whether the compressor can act on some entries alone; errors of others stay as they are."""
        return takes_masks(self.compressor)

    def init(self, value: NodeTree) -> NodeTree:
        """The errors, zero; checks that the compressor can act on values like this one."""
        check_contractive(self, value)
        return accumulator(value)

    def encode(self, ctx: Context, memory: NodeTree, value: NodeTree) -> tuple[NodeTree, NodeTree, Size]:
        """(what receivers hold, the new errors, size of a message)."""
        corrected = tree.map(lambda x, e: x.astype(e.dtype) + e, value, memory)
        sent, size = compress(self.compressor, ctx, corrected)
        return tree.map(lambda q, x: q.astype(x.dtype), sent, value), tree.sub(corrected, sent), size

    def bits(self, value: NodeTree) -> int:
        """Bits of one message, from shapes alone."""
        return message_bits(self.compressor, value, least=32)
