"""What several methods share. A method never imports another method."""

from typing import Any

from ..core import tree
from ..core.types import NodeTree
from ..errors import bad


def check_local_steps(owner: Any) -> None:
    """local_steps must be a whole number >= 1."""
    k = owner.local_steps
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise bad("local_steps", k, owner=owner, instead="give a whole number >= 1")


def check_clients(owner: Any) -> None:
    """clients must be a whole number >= 1, or None for all."""
    m = owner.clients
    if m is not None and (isinstance(m, bool) or not isinstance(m, int) or m < 1):
        raise bad("clients", m, owner=owner, instead="give a whole number >= 1, or None for all nodes")


def check_cohort(owner: Any, params: NodeTree) -> None:
    """clients must not be more than there are nodes."""
    n = tree.leaves(params)[0].shape[0]
    if owner.clients is not None and owner.clients > n:
        raise bad("clients", owner.clients, owner=owner, why=f"but there are {n} nodes", instead=f"give at most {n}")


__all__ = ["check_clients", "check_cohort", "check_local_steps"]
