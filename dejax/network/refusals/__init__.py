"""What excludes what: named refusals, in the order in which they are read.

A method says its `Traits`, an option the facts of its kind (`dejax.core.kinds`). A refusal compares
them, and knows neither by name: a method or option of your own is refused where one of the library
would be.
"""

from .architectures import ARCHITECTURES
from .gossip import GOSSIP
from .late import LATE
from .messages import MESSAGES
from .parts import PARTS
from .problems import PROBLEMS
from .refusal import ADVICE as ADVICE, Refusal as Refusal
from .servers import SERVERS

REFUSALS: tuple[Refusal, ...] = (*ARCHITECTURES, *GOSSIP, *SERVERS, *MESSAGES, *PARTS, *LATE, *PROBLEMS)

__all__ = ["ADVICE", "REFUSALS", "Refusal"]
