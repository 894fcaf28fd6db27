"""The data of all nodes: shared arrays, and which rows belong to whom."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from ..core import checks
from ..core.checks import whole
from ..core.made import made, record
from ..core.struct import option, static, struct
from ..errors import FieldError, bad
from . import columns
from .partitions._overlapping import draw_rows
from .parts import Parts
from .pixels import Pixels
from .split import check_shares, held, joined, shares_of_nodes

NAMES = 8  # of classes, in a line


@struct
class NodeData:
    """The data of `nodes` nodes: arrays without a node axis, and a list of rows per node.

    Axis letters: N samples, M test samples, n nodes, s_max samples at the largest node.

    Args:
      arrays: name -> [N, ...] or a dict of such, by convention "x" (float32) and "y" (int32 labels, or float32
        targets).
      index: int32 [n, s_max], rows of every node, padded with its own first row.
      count: int32 [n], how many of them are real, >= 1.
      test: name -> [M, ...] that everybody is tested on, or None.
      test_index, test_count: int32 [n, m_max] and [n], rows of `test` that follow the node's own
        law, or None.
      validation: name -> [V, ...] by which runs are chosen (`split`), or None.
      validation_index, validation_count: int32 [n, v_max] and [n], rows of `validation` of each node, or None: common.
      public: name -> [P, ...], rows that every node holds, or None.
      pixels: how "x", kept as bytes, becomes the floats that tasks see (`seen`); None: it is what they see.
      facts: name -> [n], what the partitioner knows about nodes: "drift", "turn" (quarter turns),
        "group".
      num_classes: static; 0 for regression. name: static.
      class_names: static; what the classes 0, 1, ... were called where they come from, or ().
      even: static; all counts are equal, so that no batch needs padding.
    """

    arrays: dict[str, Any]
    index: Any
    count: Any
    test: dict[str, Any] | None = None
    test_index: Any = None
    test_count: Any = None
    public: dict[str, Any] | None = None
    facts: dict[str, Any] | None = None
    pixels: Pixels | None = option(default=None)
    validation: dict[str, Any] | None = None
    validation_index: Any = None
    validation_count: Any = None
    num_classes: int = static(default=0)
    name: str = static(default="data")
    even: bool = static(default=False)
    class_names: tuple[str, ...] = static(default=())

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.index.shape[0]

    @property
    def size(self) -> int:
        """Number of training rows that the arrays hold, N."""
        return columns.count(self.arrays)

    def seen(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return rows of `arrays`, `test` or `public` as tasks see them: bytes of images as floats."""
        return batch if self.pixels is None else {**batch, "x": self.pixels.floats(batch["x"])}

    def like(self, rows: int, of: dict[str, Any] | None = None) -> dict[str, Any]:
        """Shapes and dtypes of so many samples as tasks see them, of `arrays` or another part."""
        one = lambda x: jax.ShapeDtypeStruct((rows, *x.shape[1:]), x.dtype)
        return jax.eval_shape(self.seen, jax.tree.map(one, self.arrays if of is None else of))

    @property
    def labelled(self) -> bool:
        """Whether every sample has one class; not so in regression, nor for texts."""
        return self.num_classes > 0 and "y" in self.arrays and self.arrays["y"].ndim == 1

    def rows(self, node: int) -> np.ndarray:
        """Row numbers of one node, on the host: int32 [count[node]]."""
        if not -self.n <= node < self.n:
            raise IndexError(f"node {node} of {self.n}")
        return np.asarray(self.index[node])[: int(self.count[node])]

    def node(self, i: int) -> dict[str, np.ndarray]:
        """The training samples of one node, on the host, as they are stored: images as bytes."""
        rows = self.rows(i)
        return columns.taken(self.arrays, rows)

    def label_histogram(self) -> np.ndarray:
        """Samples per node and class, int64 [n, C], on the host.

        Raises:
          ValueError: the data have no classes.
        """
        if not self.labelled:
            raise FieldError(
                f"{self.name} has num_classes={self.num_classes}: no labels to count, one a sample; use it on classification data",
                field="num_classes",
            )
        count, classes = np.asarray(self.count, np.int64), self.num_classes
        real = np.arange(self.index.shape[1])[None, :] < count[:, None]
        node = np.repeat(np.arange(self.n), count)
        labels = np.asarray(self.arrays["y"])[np.asarray(self.index)[real]]
        return np.bincount(node * classes + labels, minlength=self.n * classes).reshape(self.n, classes)

    def split(self, validation: float = 0.0, test: float = 0.0, seed: int = 0) -> "NodeData":
        """Set random rows of every node aside, for its own validation and testing.

        Each node gives one row at least to a share > 0, and keeps one. Test rows join those of `test`; `arrays` keep the
        rows that are trained on. Common rows for all nodes: `Dataset.split`.

        Args:
          validation: share of each node's rows by which runs are chosen, 0 <= validation < 1.
          test: share of them on which its model is tested.
          seed: 0 to 2**32 - 1, of the choice.
        Raises:
          ValueError: shares that are none; a node with too few rows; nodes that share rows; validation or own test rows
            that there are already.
        Example:
          >>> digits().partition(iid(), nodes=8).split(validation=0.1).validation_count
          Array([18, 18, 18, 18, 18, 18, 18, 18], dtype=int32)
        """
        from ..core.arrays import device_array

        given = {"validation": validation, "test": test, "seed": seed}
        shares = check_shares("split", validation, test)
        for field, share, there in zip(("validation", "test"), shares, (self.validation, self.test_index), strict=True):
            if share and there is not None:
                why = (
                    f"but {self.name} gives nodes {'own test rows' if field == 'test' else 'a validation part'} already"
                )
                raise bad(field, share, owner="split", why=why, instead="leave it out")
        index, count = np.asarray(self.index), np.asarray(self.count)
        own = Parts(index[np.arange(index.shape[1]) < count[:, None]], np.concatenate([[0], np.cumsum(count)]))
        rng = np.random.default_rng([checks.seed("split.seed", seed), 3])
        kept, *away = shares_of_nodes(own, shares, rng, "validation" if validation else "test", "split")
        put = lambda arrays: jax.tree.map(device_array, arrays)
        train, kept = held(self.arrays, kept)
        left, some = kept.padded()
        changes: dict[str, Any] = {"arrays": put(train), "index": device_array(left), "count": device_array(some)}
        changes["even"] = bool((some == some[0]).all())
        for field, rows, share in zip(("validation", "test"), away, shares, strict=True):
            if share:
                part, own = joined(getattr(self, field), self.arrays, rows)
                at, number = own.padded()
                changes |= {
                    field: put(part),
                    f"{field}_index": device_array(at),
                    f"{field}_count": device_array(number),
                }
        return record(replace(self, **changes), NodeData.split, {"source": made(self), **given})

    def matched_test(self, rows: int = 100, seed: int = 0) -> "NodeData":
        """Give each node `rows` test rows in the proportions of its own labels (largest remainders).

        The result is the same data otherwise. That is right for label skew, where only the mix of
        classes differs between nodes; not for shifted features. Rows of a class repeat at a node
        only where it wants more than the test part has.

        Args:
          rows: per node, >= 1; default 100. seed: of the draw.
        Raises:
          ValueError: no test part, no classes, own test rows already, or a class of a node that the
            test part lacks.
        Example:
          >>> digits().partition(shards(), nodes=8).matched_test(rows=20).test_index.shape
          (8, 20)
        """
        if self.test is None or self.test_index is not None:
            what = "no test part" if self.test is None else "own test rows of its nodes already"
            raise FieldError(
                f"matched_test: {self.name} has {what}; use it on data with one common test part", field="test"
            )
        rows = whole("matched_test.rows", rows)
        h = self.label_histogram()
        labels = np.asarray(self.test["y"])
        pools = [np.flatnonzero(labels == c) for c in range(self.num_classes)]
        lacking = [c for c, p in enumerate(pools) if not len(p) and h[:, c].any()]
        if lacking:
            raise FieldError(
                f"matched_test: the test part has no sample of class {lacking[0]}, which nodes train on; add some",
                field="test",
            )
        kept = [c for c, p in enumerate(pools) if len(p)]
        exact = rows * h[:, kept] / h.sum(1, keepdims=True)
        counts = np.floor(exact).astype(np.int64)
        rank = np.argsort(np.argsort(counts - exact, axis=1, kind="stable"), axis=1)  # 0: largest remainder
        counts += rank < (rows - counts.sum(1))[:, None]
        index = draw_rows(
            counts, [pools[c] for c in kept], np.random.default_rng(checks.seed("matched_test.seed", seed))
        ).reshape(self.n, rows)
        from ..core.arrays import device_array

        full = device_array(np.full(self.n, rows), np.int32)
        return replace(self, test_index=device_array(index, np.int32), test_count=full)

    def plot(self, nodes: int = 40) -> Any:
        """Plot the samples per class (rows) at each of the first `nodes` nodes (columns).

        Returns:
          A matplotlib figure.
        """
        from matplotlib.figure import Figure

        h = self.label_histogram()[:nodes]
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(h.T, aspect="auto", cmap="Blues", interpolation="nearest")
        axes.set(
            xlabel="node", ylabel="class", title=f"{self.name}: samples per class, first {len(h)} of {self.n:,} nodes"
        )
        figure.colorbar(image, ax=axes, label="samples")
        return figure

    def summary(self) -> str:
        """Describe the data in a few lines.

        They give sizes, classes per node, distance to the overall mix, and drift of the
        partitioner.
        """
        count = np.asarray(self.count, np.int64)
        q = np.quantile(count, [0, 0.5, 1]).astype(int)
        lines = [
            f"{self.name}: {self.n:,} nodes, {self.size:,} training samples"
            + (f", {self.num_classes} classes" if self.num_classes else "")
        ]
        if self.class_names:
            lines.append(f"  classes 0 to {len(self.class_names) - 1}: {in_a_line(self.class_names)}")
        size = f"{q[0]}" if q[0] == q[2] else f"{q[0]} to {q[2]}, median {q[1]}"
        lines.append(f"  samples per node: {size}" + _reuse(count.sum(), self.size))
        real = np.arange(self.index.shape[1])[None, :] < count[:, None]
        holders = np.bincount(np.asarray(self.index)[real])
        if shared := int((holders > 1).sum()):
            often = f"{holders[holders > 1].mean():.1f} times each"
            lines.append(
                f"  shared: {shared:,} of {self.size:,} rows are dealt more than once ({often}), so nodes are not independent"
            )
        if self.labelled:
            h = self.label_histogram()
            mix = h / h.sum(1, keepdims=True)
            distinct = (h > 0).sum(1)
            far = 0.5 * np.abs(mix - h.sum(0) / h.sum()).sum(1).mean()
            lines.append(f"  classes per node: mean {distinct.mean():.1f}, {distinct.min()} to {distinct.max()}")
            lines.append(f"  distance to the overall mix (total variation, mean): {far:.2f}")
        if self.pixels is not None:
            how = "x / 255" if self.pixels.mean is None else "(x / 255 - mean) / std"
            lines.append(f"  images: kept as bytes; tasks see {how}")
        facts = {k: np.asarray(v) for k, v in (self.facts or {}).items()}
        if "drift" in facts:
            share = float((facts["drift"] * count).sum() / count.sum())
            lines.append(
                f"  drift: {share:.1%} of the samples are not what the node first drew (its class or node ran out)"
            )
        if "turn" in facts:
            lines.append(
                "  quarter turns: "
                + ", ".join(f"{t}: {c} nodes" for t, c in zip(*np.unique(facts["turn"], return_counts=True)))
            )
        if self.test is not None:
            own = (
                ""
                if self.test_index is None
                else f"; own rows per node: {int(np.min(self.test_count))} to {int(np.max(self.test_count))}"
            )
            lines.append(f"  test samples: {columns.count(self.test):,}{own}")
        if self.validation is not None:
            few = self.validation_count
            own = "" if few is None else f"; own rows per node: {int(np.min(few))} to {int(np.max(few))}"
            lines.append(f"  validation samples: {columns.count(self.validation):,}{own}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"NodeData({self.name!r}, nodes={self.n}, shapes={ {k: tuple(v.shape) for k, v in columns.named(self.arrays).items()} })"


def in_a_line(names: tuple[str, ...]) -> str:
    """Return names in a line, the last in place of those that are too many."""
    return ", ".join(names if len(names) <= NAMES else (*names[: NAMES - 2], "...", names[-1]))


def _reuse(total: int, rows: int) -> str:
    return "" if total == rows else f" ({total:,} in all, of {rows:,} rows)"
