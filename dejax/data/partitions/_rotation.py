"""Feature shift: nodes see the same world turned by quarter turns."""

from typing import Any

import numpy as np

from ...core.checks import Whole, or_none, whole
from ...core.struct import frozen, number, static
from ...core.types import Ids
from ...errors import bad
from ..parts import Parts, check_disjoint, deal, even_sizes
from ._dirichlet import ALPHA, skewed


@frozen
class Rotation:
    """Feature shift: all images of a node are turned by the same number of quarter turns.

    That number is between 0 and turns - 1. Turns are dealt evenly to nodes at random
    (`facts["turn"]`: the true clusters). Quarter turns permute pixels, so nothing is interpolated
    or lost. The test images come in every turn, and `test_index` lists those of the node's own
    turn. Equal sizes; every sample is used once.

    Args:
      turns: number of different turns, 1 to 4; default 4. With 2, turns are 0 and 90 degrees.
      alpha: concentration > 0 of a Dirichlet class mix per node (as in `dirichlet`), or None for no
        label skew.
      test_rows: at most this many own test rows per node, drawn; default 512.
    Raises:
      ValueError: turns outside 1..4, more nodes than samples, x that is not images [N, H, W] or
        [N, H, W, C] with H = W.
    Reference: Ghosh et al., An efficient framework for clustered federated learning, 2020 (rotated
      MNIST).
    Example:
      >>> digits().partition(rotation(turns=4), nodes=8).facts["turn"].shape
      (8,)
    """

    turns: int = static(default=4, check=Whole(1, 4, "1 to 4 quarter turns"))
    alpha: float | None = number(default=None, check=or_none(ALPHA))
    test_rows: int = static(default=512, check=whole)

    def __call__(self, labels: np.ndarray, nodes: int, rng: np.random.Generator, groups: Ids = None) -> Parts:
        """Parts of `labels` [N] for `nodes` nodes."""
        del groups
        check_disjoint(self, len(labels), nodes)
        sizes = even_sizes(len(labels), nodes, rng)
        parts = (
            deal(rng.permutation(len(labels)), sizes)
            if self.alpha is None
            else skewed(labels, sizes, self.alpha, rng, self)
        )
        turn = rng.permutation(np.arange(nodes) % self.turns)
        return Parts(parts.rows, parts.offsets, {**parts.facts, "turn": turn}, shift=self)

    def transform(self, x: np.ndarray, parts: Parts) -> np.ndarray:
        """Training images [N, H, W, ...], each turned as its node wants."""
        self._check_images(x)
        x = x.copy()
        turn = parts.facts["turn"][parts.owner]
        for t in range(1, self.turns):
            rows = parts.rows[turn == t]
            x[rows] = np.rot90(x[rows], t, axes=(1, 2))
        return x

    def transform_test(
        self, test: dict[str, np.ndarray], parts: Parts, rng: np.random.Generator
    ) -> tuple[dict[str, np.ndarray], Parts]:
        """Test samples in every turn (turn after turn), and the rows of each node's own turn."""
        self._check_images(test["x"])
        rows = len(test["x"])
        turned = {k: np.concatenate([v] * self.turns) for k, v in test.items()}
        turned["x"] = np.concatenate([np.rot90(test["x"], t, axes=(1, 2)) for t in range(self.turns)])
        take = min(rows, self.test_rows)
        chosen = (
            rng.permutation(rows)[:take] if take < rows else np.arange(rows)
        )  # one choice for all nodes: comparable
        return turned, Parts.from_matrix(chosen[None, :] + rows * parts.facts["turn"][:, None])

    def _check_images(self, x: Any) -> None:
        if isinstance(x, dict):
            why = f"but x is a dict of {', '.join(x)}"
            raise bad(
                "rotation",
                says="turns square images",
                why=why,
                instead="give one array [N, H, H], or turn them yourself",
            )
        if x.ndim not in (3, 4) or x.shape[1] != x.shape[2]:
            raise bad(
                "rotation",
                list(x.shape),
                says="turns square images",
                why=f"but x is {list(x.shape)}",
                instead="give [N, H, H] or [N, H, H, C], e.g. digits()",
            )
