"""Toy members and a config over them: the resolver is tested on these, so that its tests do not follow the library's."""

import dataclasses
from typing import Any, Literal

from dejax.core.checks import above, whole
from dejax.core.struct import frozen, number, static, struct
from dejax.core.types import FloatLike
from dejax.errors import bad


@struct
class TopK:
    """Keeps k entries."""

    k: int = static(check=whole)


@struct
class Identity:
    """Sends all."""


@struct
class Choco:
    """A method with every sort of argument."""

    lr: FloatLike
    gamma: FloatLike = 0.4
    compressor: Any = Identity()
    order: Literal["atc", "awc"] = static("atc")
    local_steps: int = static(1)
    nesterov: bool = static(False)
    decay: float | None = None
    milestones: tuple[int, ...] = static(())


@struct
class Plain:
    """A method without arguments."""


@struct
class Copies:
    """A codec around a compressor."""

    compressor: Any
    gamma: FloatLike = 1.0


@struct
class LinkLoss:
    """Loses messages."""

    p: float


@struct
class Churn:
    """Nodes come and go."""

    up: float = 0.5


@dataclasses.dataclass(frozen=True)
class Ring:
    """What `ring` returns."""

    n: int
    offsets: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Deferred:
    """A ring that waits for n."""

    offsets: tuple[int, ...]

    def build(self, n: int) -> Ring:
        """The ring of n nodes."""
        if n < 2:
            raise bad("n", n, instead="give n >= 2")
        return Ring(n, self.offsets)


@dataclasses.dataclass(frozen=True)
class Network:
    """What lies between two nodes."""

    topology: Any
    faults: Any = ()
    attack: Any = None
    codec: Any = None

    def check(self, method: Any, problem: Any) -> None:
        """Whatever comes fits."""


def ring(n: int | None = None, offsets: tuple[int, ...] = (1,)) -> Any:
    """A ring."""
    return Deferred(offsets) if n is None else Deferred(offsets).build(n)


@frozen
class Dirichlet:
    """A split."""

    alpha: float = number(check=above(0, "alpha > 0"))


@dataclasses.dataclass(frozen=True)
class Nodes:
    """Data of n nodes."""

    n: int
    how: Any
    seed: int


class Source:
    """A data set."""

    name = "toy"
    made = 0

    def __init__(self) -> None:
        Source.made += 1

    def partition(self, how: Any, nodes: int, seed: int, holdout: float, public: int) -> Nodes:
        """Split."""
        return Nodes(nodes, how, seed)


def toy() -> Source:
    """A source."""
    return Source()


@dataclasses.dataclass(frozen=True)
class Task:
    """A task that nobody runs."""

    hidden: tuple[int, ...]

    def init(self, key: Any) -> Any:
        """No parameters."""
        return key

    def loss(self, params: Any, batch: Any, key: Any) -> Any:
        """No loss."""
        return params, batch, key


def mlp(hidden: tuple[int, ...] = (64,)) -> Any:
    """A task."""
    return Task(hidden)


MEMBERS = {
    "method": {"choco": Choco, "plain": Plain},
    "topology": {"ring": ring},
    "codec": {"copies": Copies},
    "compressor": {"top_k": TopK, "identity": Identity},
    "faults": {"link_loss": LinkLoss, "churn": Churn},
    "task": {"mlp": mlp},
    "source": {"toy": toy},
    "partition": {"dirichlet": Dirichlet},
}

TEXT = """\
rounds: 10
data: {source: toy, nodes: 8, partition: {dirichlet: {alpha: 0.3}}}
task: mlp
network: {topology: ring}
method:
  choco:
    lr: 1e-1
    compressor: {top_k: {k: 3}}
"""

SIDE_BY_SIDE = """\
rounds: 10
data: {source: toy, nodes: 8, partition: {dirichlet: {alpha: 0.3}}}
task: mlp
network: {topology: ring, faults: [{link_loss: {p: 0.1}}]}
methods:
  first: {method: {choco: {lr: 0.1}}}
  packed: {method: {choco: {lr: 0.2}}, network: {codec: {copies: {compressor: {top_k: {k: 2}}}}}}
  alone: {method: plain, data: {nodes: 2}, network: {faults: []}, rounds: 3}
"""
