"""A data set on the host, before it is split among nodes."""

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import jax
import numpy as np

from ..core import checks
from ..core.checks import whole
from ..core.made import made, record, recorded
from ..errors import FieldError, bad
from . import columns
from .nodes import NodeData, in_a_line
from .parts import Parts
from .pixels import Pixels
from .split import check_shares, held, joined, shares_of_nodes, shares_of_rows

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Arrays for training and testing on the host; `partition` hands them to nodes.

    Args:
      train: name -> [N, ...] or a dict of such, by convention "x" and "y".
      test: the same names, [M, ...], or None.
      num_classes: labels are 0 .. num_classes - 1; 0 for regression.
      name, source: what it is called; where it comes from and under which licence.
      groups, test_groups: [N] and [M], the writer or user of each sample, or None.
      validation: the same names, [V, ...], by which runs are chosen (`split`), or None.
      validation_groups: [V], as test_groups, or None.
      owners: what the numbers of `groups` stand for, where they are numbers of names.
      pixels: how "x", kept as bytes, becomes the floats that tasks see; None: x is what they see.
      class_names: what the classes 0, 1, ... were called where they come from, or ().
    """

    train: dict[str, np.ndarray]
    test: dict[str, np.ndarray] | None = None
    num_classes: int = 0
    name: str = "data"
    source: str = ""
    groups: np.ndarray | None = None
    test_groups: np.ndarray | None = None
    pixels: Pixels | None = None
    owners: tuple[str, ...] = ()
    validation: dict[str, np.ndarray] | None = None
    validation_groups: np.ndarray | None = None
    class_names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Training samples, N."""
        return columns.count(self.train)

    @property
    def labels(self) -> np.ndarray:
        """What partitioners see: "y", or zeros [N] where there are none."""
        return self.train["y"] if "y" in self.train else np.zeros(self.size, np.int32)

    def partition(
        self, partitioner: Callable[..., Any], nodes: int, seed: int = 0, holdout: float = 0.0, *, public: int = 0
    ) -> NodeData:
        """Split the training samples among nodes.

        Args:
          partitioner: `p(labels [N], nodes, rng, groups) -> index array per node`: a member of
            `dejax.data`, or yours.
          nodes: number of nodes, >= 1.
          seed: 0 to 2**32 - 1, of the NumPy generator that the partitioner draws from; the same seed
            gives the same split anywhere.
          holdout: share of each node's samples, 0 <= holdout < 1, that it keeps as its own test
            rows (at least one if > 0) instead of training on them; they join the rows of `test`.
          public: rows of the training part that no node owns and all nodes hold,
            `round.batch(of="public")`; 0 <= public < N.
        Returns:
          NodeData, with arrays on JAX's default device.
        Raises:
          ValueError: the split is impossible (the partitioner says why), or some node would be
            empty.
        Example:
          >>> letters().partition(dirichlet(alpha=0.3), nodes=1024).n
          1024
        """
        given = {"partition": partitioner, "nodes": nodes, "seed": seed, "holdout": holdout, "public": public}
        return record(
            self._split(partitioner, nodes, seed, holdout, public), Dataset.partition, {"source": made(self), **given}
        )

    def split(self, validation: float = 0.0, test: float = 0.0, seed: int = 0) -> "Dataset":
        """Set random rows of the training part aside for validation, and for testing.

        The parts are common to all nodes. Shares of every node's own rows: `NodeData.split`.

        Args:
          validation: share of the training rows by which runs are chosen, 0 <= validation < 1.
          test: share of them on which models are tested, where there is no test part.
          seed: 0 to 2**32 - 1, of the choice.
        Raises:
          ValueError: shares that are none, or leave no rows; a part that there is already.
        Example:
          >>> letters().split(validation=0.1)
          Dataset('letters': train x float32[14400, 16], y int32[14400]; 1600 validation samples; 4000 test samples; 26 classes)
        """
        given = {"validation": validation, "test": test, "seed": seed}
        shares = check_shares("split", validation, test)
        rng = np.random.default_rng([checks.seed("split.seed", seed), 2])
        for field, share in zip(("validation", "test"), shares, strict=True):
            if share and getattr(self, field) is not None:
                why = f"but {self.name} has a {field} part already"
                raise bad(field, share, owner="split", why=why, instead="leave it out")
        kept, *away = shares_of_rows(self.size, shares, rng, self.name)
        take = lambda rows: columns.taken(self.train, rows)
        of = lambda rows: None if self.groups is None else self.groups[rows]
        changes: dict[str, Any] = {"train": take(kept), "groups": of(kept)}
        for field, rows in zip(("validation", "test"), away, strict=True):
            if len(rows):
                changes |= {field: take(rows), f"{field}_groups": of(rows)}
        return record(replace(self, **changes), Dataset.split, {"source": made(self), **given})

    def _split(self, partitioner: Callable[..., Any], nodes: int, seed: int, holdout: float, public: int) -> NodeData:
        nodes = whole("nodes", nodes)
        if isinstance(partitioner, type):
            name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", partitioner.__name__).lower()
            why = "which was not called"
            raise bad("partitioner", partitioner, says=f"is {name}", why=why, instead=f"give {name}(...)")
        if not callable(partitioner):
            raise bad("partitioner", partitioner, instead="give dirichlet(alpha=0.3), iid(), or your own function")
        if not 0 <= holdout < 1:
            raise bad("holdout", holdout, instead="give the share of each node's samples to test on, 0 <= holdout < 1")
        seed = checks.seed("seed", seed)
        if public:
            kept, shared = _set_aside(self, public, seed)
            return replace(kept._split(partitioner, nodes, seed, holdout, 0), public=shared)
        rng = np.random.default_rng(seed)
        call, why = "p(labels, nodes, rng, groups)", "but a partitioner is called as "
        try:
            inspect.signature(partitioner).bind(self.labels, nodes, rng, self.groups)
        except TypeError as error:
            says = f"{partitioner!r} cannot be called with four arguments ({error})"
            raise bad("partitioner", partitioner, says=says, why=why + call, instead=f"write def {call}") from None
        except ValueError:  # a builtin without a signature
            pass
        parts = partitioner(self.labels, nodes, rng, self.groups)
        if not isinstance(parts, Iterable) or isinstance(parts, (str, bytes, dict)):
            says = f"{partitioner!r} returned {parts!r} ({type(parts).__name__})"
            raise bad("partitioner", partitioner, says=says, instead="return one array of row numbers per node")
        parts = parts if isinstance(parts, Parts) else Parts.from_lists(parts)
        parts.check(self.size, nodes)
        dataset, own = _own_tests(self, parts, rng)
        if holdout:
            if own is not None:
                raise bad(
                    "holdout",
                    holdout,
                    why=f"but {self.name} gives nodes own test rows already",
                    instead="leave holdout out",
                )
            parts, away = shares_of_nodes(parts, (holdout,), rng, "holdout")
            test, own = joined(dataset.test, dataset.train, away)
            train, parts = held(dataset.train, parts)
            dataset = replace(dataset, train=train, test=test)
        dataset, own_validation = _validation(dataset, parts, rng)
        return node_data(dataset, parts, own, own_validation)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {shape}" for name, shape in columns.shapes(self.train).items())
        tests = 0 if self.test is None else columns.count(self.test)
        more = "" if self.validation is None else f"{columns.count(self.validation)} validation samples; "
        named = f": {in_a_line(self.class_names)}" if self.class_names else ""
        return f"Dataset({self.name!r}: train {shapes}; {more}{tests} test samples; {self.num_classes} classes{named})"


def source(fn: F) -> F:
    """Mark a function that makes a `Dataset`.

    What it makes keeps the call. Its own `partition` raises, and says that the function was not called.
    """
    call = recorded()(fn)

    def partition(*args: Any, **options: Any) -> Any:
        del args, options
        raise FieldError(
            f"{fn.__name__} is a function that makes a data set, and was not called; write {fn.__name__}(...).partition(...)",
            field="source",
        )

    vars(call)["partition"] = partition
    return call


def _own_tests(dataset: Dataset, parts: Parts, rng: np.random.Generator) -> tuple[Dataset, Parts | None]:
    """Return the data set with features changed per node, and each node's own test rows.

    Both where the partitioner makes such.
    """
    if parts.shift is not None:
        train = {**dataset.train, "x": parts.shift.transform(dataset.train["x"], parts)}
        test, own = (None, None) if dataset.test is None else parts.shift.transform_test(dataset.test, parts, rng)
        return replace(dataset, train=train, test=test), own
    if parts.node_of_group is not None and dataset.test_groups is not None:
        return dataset, _by_owner(parts, dataset.test_groups, "test")
    return dataset, None


def _set_aside(dataset: Dataset, rows: int, seed: int) -> tuple[Dataset, dict[str, Any]]:
    """Take `rows` training rows out of a data set; return what is left, and them."""
    from ..core.arrays import device_array

    rows = whole("public", rows)
    if rows >= dataset.size:
        why = f"but {dataset.name} has {dataset.size} training rows"
        raise bad("public", rows, why=why, instead="leave some for the nodes")
    order = np.random.default_rng([seed, 1]).permutation(dataset.size)
    away, kept = np.sort(order[:rows]), np.sort(order[rows:])
    groups = None if dataset.groups is None else dataset.groups[kept]
    left = replace(dataset, train=columns.taken(dataset.train, kept), groups=groups)
    return left, jax.tree.map(device_array, columns.taken(dataset.train, away))


def _validation(dataset: Dataset, parts: Parts, rng: np.random.Generator) -> tuple[Dataset, Parts | None]:
    """Return the data set with validation rows as nodes see them, and those of each node."""
    if dataset.validation is None:
        return dataset, None
    if parts.shift is not None:
        seen, own = parts.shift.transform_test(dataset.validation, parts, rng)
        return replace(dataset, validation=seen), own
    if parts.node_of_group is not None and dataset.validation_groups is not None:
        return dataset, _by_owner(parts, dataset.validation_groups, "validation")
    return dataset, None


def _by_owner(parts: Parts, groups: np.ndarray, part: str) -> Parts:
    """Return each node's rows of a part, by their groups [M].

    Groups that nobody trains on are nobody's own.

    Raises:
      ValueError: a node without any.
    """
    assert parts.node_of_group is not None
    ids, node = parts.node_of_group
    place = np.minimum(np.searchsorted(ids, groups), len(ids) - 1)
    rows = np.flatnonzero(ids[place] == groups)
    own = Parts.from_owner(node[place[rows]], len(parts))
    if (own.sizes == 0).any():
        lonely = int(own.sizes.argmin())
        raise bad(
            f"{part}_groups",
            says=f"gives node {lonely} no {part} sample of its own groups",
            why="and by_group gives every node its own",
            instead=f"set rows of every node aside, partition(by_group(), ...).split({part}=0.1), take fewer nodes, or leave "
            f"{part}_groups out (then its rows are common)",
        )
    return Parts(rows[own.rows], own.offsets)


def node_data(
    dataset: Dataset, parts: Parts, own_test: Parts | None = None, own_validation: Parts | None = None
) -> NodeData:
    """Hand `parts` of the data set to the device."""
    from ..core.arrays import device_array

    index, count = parts.padded()
    rows = lambda own: (None, None) if own is None else tuple(map(device_array, own.padded()))
    (test_index, test_count), (validation_index, validation_count) = rows(own_test), rows(own_validation)
    put = lambda tree: jax.tree.map(device_array, tree)
    return NodeData(
        arrays=put(dataset.train),
        index=device_array(index),
        count=device_array(count),
        test=None if dataset.test is None else put(dataset.test),
        test_index=test_index,
        test_count=test_count,
        validation=None if dataset.validation is None else put(dataset.validation),
        validation_index=validation_index,
        validation_count=validation_count,
        facts={k: device_array(v, np.int32 if v.dtype.kind in "iu" else np.float32) for k, v in parts.facts.items()},
        pixels=None if dataset.pixels is None else jax.tree.map(device_array, dataset.pixels),
        num_classes=dataset.num_classes,
        class_names=dataset.class_names,
        name=dataset.name,
        even=bool((count == count[0]).all()),
    )
