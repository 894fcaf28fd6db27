"""Training methods by family; each is two pure functions, init and step."""

from . import (
    asynchronous,
    bandits,
    baselines,
    bilevel,
    clustered,
    compressed,
    distilled,
    exact,
    federated,
    gossip,
    graphs,
    merging,
    personal,
    push,
    submodular,
    tracking,
)
from .asynchronous import *
from .bandits import *
from .baselines import *
from .bilevel import *
from .clustered import *
from .compressed import *
from .distilled import *
from .exact import *
from .federated import *
from .gossip import *
from .graphs import *
from .merging import *
from .personal import *
from .push import *
from .submodular import *
from .tracking import *

__all__ = [
    *asynchronous.__all__,
    *bandits.__all__,
    *baselines.__all__,
    *bilevel.__all__,
    *clustered.__all__,
    *compressed.__all__,
    *distilled.__all__,
    *exact.__all__,
    *federated.__all__,
    *gossip.__all__,
    *graphs.__all__,
    *merging.__all__,
    *personal.__all__,
    *push.__all__,
    *submodular.__all__,
    *tracking.__all__,
]
