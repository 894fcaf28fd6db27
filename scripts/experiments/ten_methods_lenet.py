"""Ten methods on 16 nodes of unequal Fashion-MNIST, LeNets (one seed, 25 rounds).

As [with MLPs on 64 nodes](ten_methods_mlp.md): accuracy against rounds, bytes and virtual seconds, for labels split by Dirichlet(0.1),
Dirichlet(1) and IID. A round of `local_sgd`, `fedavg` and `scaffold` is five local steps, of all others one.

*Better* means by more than 1 point.

**One seed and 25 rounds**, for convolutions are slow on a processor: the beginning of a training, and nothing here says how much
another seed would change. What corrects for unequal data pays later, if at all.
"""

import dejax as dj

from . import _ten
from ._page import Result

FLOAT64 = False


def run(short: bool) -> Result:
    """16 nodes; two methods and few images where short."""
    return _ten.compare(
        short, n=16, task=dj.tasks.lenet(), made="lenet()", rounds=4 if short else 25, lr=0.2, seeds=range(1),
        rows=(1024, 100) if short else (16384, 500), nodes=4,
    )  # fmt: skip
