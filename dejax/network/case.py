"""A case: one method on one network with one problem, as refusals look at it."""

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import numpy as np

from ..core.abstract import key_like, model_like
from ..core.architectures import Architectures, tasks_of
from ..core.arguments import evenly
from ..core.kinds import Fault
from ..core.method import Traits, traits
from ..core.types import Method, Network, Problem
from ..problem import roles


@dataclasses.dataclass(frozen=True)
class Case:
    """One method on one network with one problem; what takes time is found when asked for."""

    traits: Traits
    method: str  # the name of its class, as reasons say it
    network: Any
    problem: Any

    @classmethod
    def of(cls, method: Method, problem: Problem, network: Network) -> "Case":
        """The case of three objects as a user gives them."""
        return cls(traits(method), type(method).__name__, network, problem)

    @property
    def channel(self) -> str:
        """Whom the method talks to."""
        return self.traits.channel

    @property
    def gossips(self) -> bool:
        """Whether the method talks to the neighbors of a topology."""
        return self.traits.gossips

    @property
    def served(self) -> bool:
        """Whether the method averages at a server, always or now and then."""
        return self.traits.served

    @property
    def uploads(self) -> int:
        """How many nodes' values a server averages, where the method has one."""
        some = self.traits.server or self.traits.cohort
        return self.n if some in (None, "all") else min(self.n, int(some))

    @property
    def now_and_then(self) -> bool:
        """Whether the method gossips, and also averages at a server."""
        return self.gossips and self.traits.server is not None

    @property
    def n(self) -> int:
        """Number of nodes, as the data are split."""
        return self.problem.n

    @property
    def top(self) -> Any:
        """The topology."""
        return self.network.topology

    @property
    def directed(self) -> bool:
        """Whether W is doubly stochastic without being symmetric, and no repair is agreed on."""
        return self.top.kind == "doubly" and not self.top.symmetric and self.network.repair is None

    @property
    def rows(self) -> bool:
        """Whether rows per edge are sent or kept."""
        return self.gossips and (self.traits.rows or self.network.codec.per_edge)

    @property
    def sharded(self) -> bool:
        """Whether the attack needs several values that estimate one quantity."""
        return self.network.attack is not None and self.network.attack.needs_spread

    @property
    def meets(self) -> bool:
        """Whether events let two nodes meet."""
        return self.network.events is not None and self.network.events.footprint == "pair"

    @property
    def late(self) -> Any:
        """The fault that delays messages, or None."""
        return self.network.late

    @property
    def newcomers(self) -> dict[str, str] | None:
        """Name the first fault by which nodes begin from their neighbors' models."""
        ask = lambda fault: getattr(fault, "newcomers", lambda n: None)(self.n) is not None
        return self.fault(ask)

    @property
    def unlinked(self) -> bool:
        """Whether nobody hears anybody."""
        top = self.top if getattr(self.top, "links", None) is not None else self.top.build(self.n)
        return top.period > 0 and top.links.num_ports == 0

    @cached_property
    def edges(self) -> np.ndarray:
        """Directed edges [m, 2] of a fixed graph."""
        return self.top.edges()

    @cached_property
    def both_ways(self) -> bool:
        """Whether every link of a fixed graph has its reverse."""
        edges = {tuple(e) for e in self.edges.tolist()}
        return self.top.symmetric or edges == {(j, i) for i, j in edges}

    @cached_property
    def hostile(self) -> bool:
        """Whether there is an adversary."""
        return self.network.attack is not None and bool(np.any(self.network.attack.is_adversary(self.n)))

    @cached_property
    def roles(self) -> frozenset[str]:
        """Roles that some leaf of the model has."""
        return roles.present(self.problem)

    @property
    def architectures(self) -> dict[str, str] | None:
        """The names of several architectures, as reasons say them; None where all have one."""
        task = self.problem.task
        return {"names": ", ".join(task.names)} if isinstance(task, Architectures) else None

    @cached_property
    def loss_per_batch(self) -> bool:
        """Whether the task's loss is one number for a whole batch."""
        if self.problem.source is not None:  # whose batches have other forms than the data
            return False
        batch = self.problem.data.like(2)
        losses = (jax.eval_shape(evenly(t.loss), model_like(t), batch, key_like()) for t in tasks_of(self.problem.task))
        return any(loss.ndim == 0 for loss in losses)

    @cached_property
    def rule_with_memory(self) -> bool:
        """Whether the learning rule keeps memory."""
        memory = lambda task: jax.eval_shape(self.problem.rule.init, model_like(task), key_like())
        return any(jax.tree.leaves(memory(task)) for task in tasks_of(self.problem.task))

    def option(self, field: str) -> str:
        """The name of an option's class, as reasons say it."""
        return type(getattr(self.network, field)).__name__

    def rewrites(self, field: str) -> bool:
        """Whether privacy or attack changes messages."""
        option = getattr(self.network, field)
        return option is not None and option.hook == "message"

    @property
    def noises_uploads(self) -> bool:
        """Whether privacy clips uploads and noises their sum."""
        return self.network.privacy is not None and self.network.privacy.hook == "upload"

    def fault(self, when: Callable[[Any], bool]) -> dict[str, str] | None:
        """Name the first fault for which `when` holds; one that only delays is not asked."""
        found = next((fault for fault in self.network.faults if not _only_delays(fault) and when(fault)), None)
        return None if found is None else {"fault": type(found).__name__}

    def words(self) -> dict[str, Any]:
        """What every reason may name."""
        names = {field: self.option(field) for field in ("codec", "rule", "attack", "privacy", "events")}
        return {
            "method": self.method,
            "top": None if self.top is None else getattr(self.top, "name", self.top),
            "n": self.n,
            "network": self.network,
            "traits": self.traits,
            "late": None if self.late is None else type(self.late).__name__,
            **names,
        }


def _only_delays(fault: Fault) -> bool:
    """Whether a fault comes late and neither loses a message nor lets a node sleep."""
    hooks = ("awake", "arrives", "uploads")
    acts = [getattr(type(fault), hook, None) not in (None, getattr(Fault, hook)) for hook in hooks]
    return fault.span[1] > 0 and not any(acts)


__all__ = ["Case"]
