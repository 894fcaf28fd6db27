"""Ten methods on 64 nodes of unequal Fashion-MNIST, MLPs.

Accuracy against rounds, bytes and virtual seconds, for labels split by Dirichlet(0.1), Dirichlet(1) and IID. Local models, on common test
images. A round of `local_sgd`, `fedavg` and `scaffold` is five local steps, of all others one.

*Better* means by more than 1 point, and by more than the standard deviations of both methods over seeds together; for CHOCO at equal
bytes, where means are compared, by more than 1 point alone.
"""

import dejax as dj

from . import _ten
from ._page import Result

FLOAT64 = False


def run(short: bool) -> Result:
    """64 nodes; two methods and few images where short."""
    return _ten.compare(
        short, n=64, task=dj.tasks.mlp(hidden=[64]), made="mlp(hidden=[64])", rounds=10 if short else 150, lr=0.2,
        seeds=range(1 if short else 2), rows=(2048, 200) if short else (16384, 1000), nodes=16,
    )  # fmt: skip
