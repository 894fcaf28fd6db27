"""The copies codec: compress the difference to the copy that receivers hold.

    q_i = C(x_i - h_i)      h_i <- h_i + q_i      receivers use h_i

h_i starts at 0 everywhere. Gossip with it, x <- x + gamma (W h - h), is CHOCO; it is linear
convergent for every contractive C and small gamma.
Reference: Koloskova, Stich and Jaggi, Decentralized stochastic optimization and gossip algorithms
with compressed communication, 2019.
"""

from typing import Any

from ...core import tree
from ...core.checks import in_
from ...core.kinds import Codec, Slot
from ...core.struct import number, option, static, struct
from ...core.types import Context, FloatLike, NodeTree
from ..apply import accumulator, check_contractive, compress, message_bits, takes_masks
from ..encoding import Size


@struct
class Copies(Codec):
    """Compress the difference to a copy that every receiver keeps, and update the copy.

    As in CHOCO and EF21. It needs a contractive compressor: `top_k`, `rand_k`, `qsgd`, not the
    unbiased forms. One copy per sender stands for the equal copies of all its neighbors, so every
    neighbor must receive every message: late, not lost.

    Args:
      compressor: what is done to the difference.
      per_edge: False: one copy per sender stands for all its neighbors, and a message is late
        rather than lost. True: one copy per directed edge at either end, and a lost message is lost
        without the sender's knowledge, so that the two part; static. Needs a fixed undirected graph
        and memory for two models per edge.
      gamma: step of gossip, in (0, 1]. No default is right for all: on a ring of 8 published runs
        used 0.04 for top-1 %, 0.34-0.45 for quantizers; too large diverges.
    Raises:
      ValueError: gamma out of range; a compressor that cannot act on the message (by `init`).
    Memory: one copy of the value, in at least float32, zero before the first round. The difference
      is compressed and sent in the copy's precision.
    Identity: with W doubly stochastic the mean of x is kept whatever C does.
    Reference: Koloskova, Stich and Jaggi, Decentralized stochastic optimization and gossip
      algorithms with compressed communication, 2019.
    Example:
      >>> Copies(TopK(ratio=0.5), gamma=0.4).bits({"w": jnp.zeros((3, 10), jnp.float32)})
      170
    """

    compressor: Any = option(check=Slot("compressor"))
    gamma: FloatLike = number(check=in_(0, 1, "(]"))
    per_edge: bool = static(default=False)

    memory = "copies"

    @property
    def masks(self) -> bool:
        """Whether the compressor can act on some entries alone; copies of others stay as they are.

        Not per edge: after a lost message a receiver would not know which entries its copy has.
        """
        return not self.per_edge and takes_masks(self.compressor)

    def init(self, value: NodeTree) -> NodeTree:
        """The copies, zero; checks that the compressor can act on values like this one."""
        check_contractive(self, value)
        return accumulator(value)

    def encode(self, ctx: Context, memory: NodeTree, value: NodeTree) -> tuple[NodeTree, NodeTree, Size]:
        """(the new copies in the value's dtype, the new copies, size of a message)."""
        change, size = self.change(ctx, memory, value)
        copies = tree.add(memory, change)
        return tree.map(lambda h, x: h.astype(x.dtype), copies, value), copies, size

    def change(self, ctx: Context, memory: NodeTree, value: NodeTree) -> tuple[NodeTree, Size]:
        """What is sent, C(value - copy), and the size of a message."""
        wide = tree.map(lambda x, h: x.astype(h.dtype), value, memory)
        return compress(self.compressor, ctx, tree.sub(wide, memory))

    def bits(self, value: NodeTree) -> int:
        """Bits of one message, from shapes alone."""
        return message_bits(self.compressor, value, least=32)
