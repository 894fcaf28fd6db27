"""Several architectures in one population: a task for each."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from ...core.architectures import Architectures
from ...core.checks import Wholes, whole
from ...core.made import recorded
from ...errors import bad


@recorded()
def architectures(
    tasks: Annotated[Mapping[str, Any], "task"], nodes: Mapping[str, int | Sequence[int]]
) -> Architectures:
    """Give nodes models of several architectures, which meet in what they answer.

    Data, network and randomness know nodes by their ids, whatever their models. Models of several
    architectures have no mean: methods that average models are refused.

    Args:
      tasks: name -> task of that architecture; those without sizes take them from the data.
      nodes: name -> how many nodes have it (the next ids that no list names), or which: a list of
        ids. Each node has one.
    Raises:
      ValueError, TypeError: names that differ, counts below 1, ids below 0; from `Problem` on also
        ids twice or missing, and tasks with batch statistics.
    Identity: one architecture for all nodes is the task alone, bit for bit.
    Example:
      >>> from dejax.tasks import logistic, mlp
      >>> both = {"small": logistic(64, 10), "large": mlp(64, 32, 10)}
      >>> architectures(both, nodes={"small": 6, "large": 2}).names
      ('small', 'large')
    """
    for field, value in (("tasks", tasks), ("nodes", nodes)):
        if not isinstance(value, Mapping) or not value or not all(isinstance(name, str) and name for name in value):
            raise bad(field, value, owner="architectures", instead="give a mapping from names of architectures")
    if set(tasks) != set(nodes):
        says, why = f"names {', '.join(nodes)}", f"but tasks names {', '.join(tasks)}"
        raise bad("nodes", dict(nodes), owner="architectures", says=says, why=why, instead="give both the same names")
    for name in tasks:
        if "/" in name:
            raise bad(
                "tasks", name, owner="architectures", says=f"names {name!r}", instead="use a name without a slash"
            )
    return Architectures(tuple(tasks), tuple(tasks.values()), tuple(_nodes(name, nodes[name]) for name in tasks))


def _nodes(name: str, some: Any) -> int | tuple[int, ...]:
    field = f"architectures.nodes[{name!r}]"
    return Wholes(1, 0)(field, some) if isinstance(some, (list, tuple, range)) else whole(field, some)


__all__ = ["architectures"]
