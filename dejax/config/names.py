"""The names at the top of a config, and under `methods.LABEL`, as signatures."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from ..errors import bad
from .hints import Section


def split(
    validation: float = 0.0, test: float = 0.0, of: Literal["nodes", "all"] = "nodes", seed: int = 0
) -> dict[str, Any]:
    """Rows set aside for validation, by which runs are chosen, and for testing.

    Args:
      validation, test: shares, 0 <= share < 1.
      of: "nodes": of each node's own rows; "all": of all rows, before nodes are made, common to all nodes.
      seed: of the choice.
    """
    return locals()


_Split = Annotated[Any, Section(lambda: split, switch=True)]


def data(
    source: Any,
    nodes: int | None = None,
    partition: Any = None,
    seed: int = 0,
    holdout: float = 0.0,
    public: int = 0,
    split: _Split = None,
) -> Any:
    """The samples of all nodes: a source, and how a partitioner splits it.

    Args:
      source: member of `dejax.data` that makes a data set, e.g. letters.
      nodes: number of nodes, >= 1; a source that makes its own nodes takes it as an argument.
      partition: member of `dejax.data` that splits, e.g. `{dirichlet: {alpha: 0.3}}`.
      seed: of the split.
      holdout: share of its samples that each node keeps as test rows of its own, 0 <= holdout < 1.
      public: training rows that no node owns and all nodes hold, for methods that compare answers
        on them.
      split: rows set aside by which runs are chosen, and for testing.
    """
    whole = getattr(source, "partition", None)
    if whole is not None:
        if nodes is None or partition is None:
            lacks = "nodes" if nodes is None else "partition"
            raise ValueError(f"{source.name} is one data set: give {lacks}, e.g. {{nodes: 64, partition: iid}}")
        options = {"nodes": nodes, "seed": seed, "holdout": holdout, "public": public}
        if split is None:
            return whole(partition, **options)
        of, shares = split["of"], {k: v for k, v in split.items() if k != "of"}
        if of == "all":
            return source.split(**shares).partition(partition, **options)
        return whole(partition, **options).split(**shares)
    if partition is not None:
        name = getattr(source, "name", "this source")
        raise bad(
            "partition",
            partition,
            says="is given",
            why=f"but {name} makes its own nodes",
            instead="leave partition out",
        )
    for field, value in (("holdout", holdout), ("public", public)):
        if value:
            why = "but the source makes its own nodes"
            raise bad(field, value, why=why, instead=f"leave {field} out")
    if split is None:
        return source
    own = getattr(source, "split", None)
    if split["of"] == "all" or own is None:
        why = "but the source makes its own nodes"
        raise bad("split.of", split["of"], why=why, instead="leave split out" if own is None else "give nodes")
    return own(**{k: v for k, v in split.items() if k != "of"})


def evaluation(
    every: int | None = None,
    at: tuple[int, ...] | None = None,
    at_seconds: tuple[float, ...] | None = None,
    nodes: int | None = None,
    final_nodes: int | None = None,
    metrics: Annotated[tuple[Any, ...] | None, "metric"] = None,
    checkpoint_every: int | None = None,
    patience: int | None = None,
    monitor: str | None = None,
) -> dict[str, Any]:
    """When and how runs are evaluated and saved.

    Args:
      every: rounds between evaluations, >= 1; None takes about 20 in all.
      at: a list of rounds to evaluate at. at_seconds: a list of virtual times.
      nodes: how many node models an evaluation takes; None takes all. final_nodes: the same for the
        last one.
      metrics: names of `dejax list metrics`, or {name: {option: value}}; None takes the usual ones.
      checkpoint_every: rounds between checkpoints; None takes an evaluation, a minute after the
        last one.
      patience: evaluations without a better number after which a run ends; None: never. monitor: which number;
        None: the first one of the validation part.
    """
    return {k: v for k, v in locals().items() if v is not None}


def phase(until: int | None = None, method: Any = None, network: "_Network" = None) -> dict[str, Any]:
    """One stretch of a run, and what is other in it; see docs/simulate.md.

    Args:
      until: rounds done when it ends; every phase but the last says so.
      method: the same method with other arguments. network: overrides that of the run name by name.
    """
    return locals()


def mesh(nodes: int | None = None, runs: int = 1, relabel: bool = True) -> dict[str, Any]:
    """The devices that nodes and seeds are spread over; see docs/scale.md.

    Args:
      nodes: devices along the node axis, >= 1; None takes all, over `runs`.
      runs: devices along the axis of seeds, >= 1.
      relabel: let nodes change places so that few edges cross between devices; numbers stay the
        same.
    """
    return locals()


def _network() -> Callable[..., Any]:
    from ..network import Network

    return Network


_Data = Annotated[Any, Section(lambda: data)]
_Network = Annotated[Any, Section(lambda: _network())]
_Phases = Annotated[Any, Section(lambda: phase, many=True)]
_Mesh = Annotated[Any, Section(lambda: mesh, switch=True)]
_Eval = Annotated[Any, Section(lambda: evaluation)]
_Sampling = Literal["full", "replacement", "without_replacement", "epoch", "poisson"] | None
_Number = Annotated[Any, "number"]  # as in `_types`, which would import JAX
_LearningRule = Annotated[Any, "learning_rule"]  # `rule` alone would be that of a network
_Optimizer = Annotated[Any, "optimizer"]
_Experience = Annotated[Any, "experience"]
_Sinks = Annotated[tuple[Any, ...], "sink"]
_Role = Literal["shared", "personal", "frozen", "statistics"]
_Starts = Literal["equal", "independent"]


def experiment(
    rounds: int,
    data: _Data,
    task: Any = None,
    network: _Network = None,
    method: Any = None,
    methods: dict[str, Any] | None = None,
    seed: int | list[int] = 0,
    batch_size: int | None = None,
    sampling: _Sampling = None,
    starts: _Starts = "equal",
    block: int | Literal["auto"] | None = "auto",
    roles: dict[str, _Role] | None = None,
    personal_lr: _Number = None,
    personal_optimizer: _Optimizer = None,
    source: _Experience = None,
    rule: _LearningRule = None,
    augment: tuple[Any, ...] = (),
    phases: _Phases = None,
    eval: _Eval = None,
    out: str | None = None,
    mesh: _Mesh = None,
    sinks: _Sinks = (),
    imports: list[str] | None = None,
) -> None:
    """The names that stand at the top of a config; see docs/config.md."""


def run(
    method: Any = None,
    network: _Network = None,
    data: _Data = None,
    task: Any = None,
    batch_size: int | None = None,
    sampling: _Sampling = None,
    starts: _Starts | None = None,
    block: int | Literal["auto"] | None = None,
    roles: dict[str, _Role] | None = None,
    personal_lr: _Number = None,
    personal_optimizer: _Optimizer = None,
    source: _Experience = None,
    rule: _LearningRule = None,
    augment: tuple[Any, ...] | None = None,
    phases: _Phases = None,
    rounds: int | None = None,
) -> None:
    """Take the names that stand under `methods.LABEL`.

    Each overrides its namesake at the top, sections name by name.
    """


__all__ = ["data", "evaluation", "experiment", "mesh", "phase", "run"]
