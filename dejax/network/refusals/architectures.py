"""What several architectures in one population exclude."""

from typing import Any

from .refusal import Refusal


def _met(when: Any) -> Any:
    """A condition that is asked of populations of several architectures alone; names them."""
    return lambda case: case.architectures if case.architectures and when(case) else None


ARCHITECTURES: tuple[Refusal, ...] = (
    Refusal(
        "one model of several architectures",
        _met(lambda c: c.traits.pooled or (c.traits.averages and c.channel != "none")),
        field="Problem.task",
        says="has the architectures {names}",
        why="but {method} makes one model of those of several nodes, and models of several forms have no mean",
        instead="use {use[answers]}, or give all nodes one architecture",
    ),
    Refusal(
        "architectures at a server",
        _met(lambda c: c.served and not (c.traits.heads and not c.traits.averages)),
        field="Problem.task",
        says="has the architectures {names}",
        why="but {method} keeps one model at its server",
        instead="use {use[answers]}, or give all nodes one architecture",
    ),
    Refusal(
        "architectures in events",
        _met(lambda c: c.network.events is not None),
        field="network.events",
        says="is given",
        why="but the nodes that meet may have different architectures ({names}), and an event moves models of one",
        instead="leave it out",
    ),
    Refusal(
        "roles of several architectures",
        _met(lambda c: c.problem.roles),
        field="Problem.roles",
        says="is given",
        why="but roles are of the leaves of one model, and nodes have the architectures {names}",
        instead="leave it out",
    ),
)


__all__ = ["ARCHITECTURES"]
