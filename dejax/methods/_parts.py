"""What several methods share. A method never imports another method."""

from typing import Any

from ..core import tree
from ..core.checks import or_none, whole
from ..core.types import NodeTree
from ..errors import NULL, bad

CLIENTS = or_none(whole, "or " + NULL + " for all nodes")  # how many of them a server samples


def check_cohort(owner: Any, params: NodeTree) -> None:
    """clients must not be more than there are nodes."""
    n = tree.leaves(params)[0].shape[0]
    if owner.clients is not None and owner.clients > n:
        raise bad("clients", owner.clients, owner=owner, why=f"but there are {n} nodes", instead=f"give at most {n}")


__all__ = ["CLIENTS", "check_cohort"]
