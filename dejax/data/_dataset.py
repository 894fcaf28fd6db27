"""A data set on the host, before it is split among nodes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._nodes import NodeData
from ._parts import Parts, check_count


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Arrays for training and testing on the host; `partition` hands them to nodes.

    Args:
      train: name -> [N, ...], by convention "x" and "y".
      test: the same names, [M, ...], or None.
      num_classes: labels are 0 .. num_classes - 1; 0 for regression.
      name, source: what it is called; where it comes from and under which licence.
      groups, test_groups: int [N] and [M], the writer or user of each sample, or None.
    """

    train: dict[str, np.ndarray]
    test: dict[str, np.ndarray] | None = None
    num_classes: int = 0
    name: str = "data"
    source: str = ""
    groups: np.ndarray | None = None
    test_groups: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Training samples, N."""
        return len(next(iter(self.train.values())))

    @property
    def labels(self) -> np.ndarray:
        """What partitioners see: "y", or zeros [N] where there are none."""
        return self.train["y"] if "y" in self.train else np.zeros(self.size, np.int32)

    def partition(self, partitioner: Callable[..., Any], nodes: int, seed: int = 0) -> NodeData:
        """Split the training samples among nodes.

        Args:
          partitioner: `p(labels [N], nodes, rng, groups) -> index array per node`: a member of `dejax.data`, or yours.
          nodes: number of nodes, >= 1.
          seed: of the NumPy generator that the partitioner draws from; the same seed gives the same split anywhere.
        Returns:
          NodeData, with arrays on JAX's default device.
        Raises:
          ValueError: the split is impossible (the partitioner says why), or some node would be empty.
        Example:
          >>> letters().partition(dirichlet(alpha=0.3), nodes=1024).n
          1024
        """
        check_count(self, "partition(nodes)", nodes)
        if not callable(partitioner):
            raise TypeError(f"partitioner is {partitioner!r}; give dirichlet(alpha=0.3), iid(), or your own function")
        parts = partitioner(self.labels, int(nodes), np.random.default_rng(seed), self.groups)
        parts = parts if isinstance(parts, Parts) else Parts.from_lists(parts)
        parts.check(self.size, int(nodes))
        return node_data(self, parts)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{k} {v.dtype}{list(v.shape)}" for k, v in self.train.items())
        tests = 0 if self.test is None else len(next(iter(self.test.values())))
        return f"Dataset({self.name!r}: train {shapes}; {tests} test samples; {self.num_classes} classes)"


def node_data(dataset: Dataset, parts: Parts, own_test: Parts | None = None) -> NodeData:
    """Hand `parts` of the data set to the device."""
    import jax.numpy as jnp

    index, count = parts.padded()
    test_index, test_count = own_test.padded() if own_test is not None else (None, None)
    put = lambda tree: None if tree is None else {k: jnp.asarray(v) for k, v in tree.items()}
    return NodeData(
        arrays=put(dataset.train),
        index=jnp.asarray(index),
        count=jnp.asarray(count),
        test=put(dataset.test),
        test_index=None if test_index is None else jnp.asarray(test_index),
        test_count=None if test_count is None else jnp.asarray(test_count),
        facts={k: jnp.asarray(v, jnp.int32 if v.dtype.kind in "iu" else jnp.float32) for k, v in parts.facts.items()},
        num_classes=dataset.num_classes,
        name=dataset.name,
        even=bool((count == count[0]).all()),
    )
