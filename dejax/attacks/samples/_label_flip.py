"""Label flip: adversaries learn from mirrored labels, and follow the protocol otherwise.

Reference: Fang et al., Local model poisoning attacks to Byzantine-robust federated learning, 2020.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from ...core import checks, tree
from ...core.checks import Whole
from ...core.kinds import Attack
from ...core.struct import static, struct
from ...core.types import Context
from ...errors import bad
from ..adversaries import WHO, Adversaries, adversary_mask


@struct
class LabelFlip(Attack):
    """Adversaries train on labels num_classes - 1 - y instead of y (label flip, data poisoning).

    Weak on IID data with few adversaries, strong on heterogeneous data.

    Args:
      adversaries: how many (first of a permutation drawn from `seed`), what share of all nodes, or
        their ids.
      num_classes: labels are 0 .. num_classes - 1.
      seed: of the permutation.
    Raises:
      ValueError: adversaries out of range, num_classes < 2; batches without integer labels "y".
    Identity: flipping twice changes nothing.
    Reference: Fang et al., Local model poisoning attacks to Byzantine-robust federated learning,
      2020.
    Example:
      >>> LabelFlip(adversaries=1, num_classes=10).hook
      'batch'
    """

    adversaries: Adversaries = static(check=WHO)
    num_classes: int = static(check=Whole(2, words="the number of classes of the data, >= 2"))
    seed: int = static(default=0, check=checks.seed)

    hook = "batch"

    def is_adversary(self, n: int) -> np.ndarray:
        """Bool [n] over global ids."""
        return adversary_mask(self, n)

    def batch(self, ctx: Context, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch {"x": [n, B, ...], "y": [n, B]} with the labels of adversaries mirrored."""
        labels = batch.get("y") if isinstance(batch, dict) else None
        if labels is None or not jnp.issubdtype(labels.dtype, jnp.integer):
            raise bad(
                "LabelFlip",
                None,
                says="needs batches with integer labels 'y'",
                instead="regression data have none: use sign_flip",
            )
        return {**batch, "y": tree.where(ctx.is_adversary, self.num_classes - 1 - labels, labels)}
