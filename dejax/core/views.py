"""Forms of what is evaluated beside one model per node: models by group, one answer of all."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from .types import Tree, Values


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Grouped:
    """One model for each group of nodes, such as the clusters of a server: G of them, not n.

    Args:
      models: tree of [G, ...]. ids: int [n], which of them each node has.
    """

    models: Tree
    ids: Values


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Joint:
    """One answer of all nodes together, such as that of an ensemble.

    Args:
      predict: `predict(tree, batch)`, or `predict(tree, batch, task)`, gives the answers [B, ...] out of
        the whole tree; a function of a module.
      tree: arrays of any form; those of [n, ...] are by node id.
    """

    predict: Callable[..., Any] = dataclasses.field(metadata={"static": True})
    tree: Tree


def by_id(view: object) -> bool:
    """Whether a view is read by node id, whatever places nodes have on devices."""
    return isinstance(view, Joint) or isinstance(view[1] if isinstance(view, tuple) else view, Grouped)


__all__ = ["Grouped", "Joint", "by_id"]
