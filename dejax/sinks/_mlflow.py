"""MLflow: a store of files, or a server."""

import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..core.made import recorded
from .sink import Board, Sink, needed

AT_ONCE, METRICS_AT_ONCE = 100, 1000  # parameters and numbers that MLflow takes in one call
KEY, VALUE = 250, 6000  # letters of a parameter's name, and of its value


class _Run:
    def __init__(self, client: Any, entities: Any, run: str, parameters: Mapping[str, str]):
        self.client, self.entities, self.run, self.parameters = client, entities, run, dict(parameters)

    def log(self, numbers: dict[str, float], round: int) -> None:
        if self.parameters:
            for some in parts(self.parameters, AT_ONCE):
                self.client.log_batch(self.run, params=[self.entities.Param(*pair) for pair in some])
            self.parameters = {}
        now = int(1000 * time.time())
        for some in parts({_key(name): float(x) for name, x in numbers.items()}, METRICS_AT_ONCE):
            self.client.log_batch(self.run, [self.entities.Metric(name, x, now, round) for name, x in some])

    def close(self) -> None:
        self.client.set_terminated(self.run)


class MLflow(Sink):
    """One run of MLflow for each run and seed; its parameters are what the run is made of."""

    def __init__(self, experiment: str, server: str | None, folder: str):
        super().__init__(folder)
        self.library = needed("mlflow", "mlflow", "mlflow")
        self.entities = needed("mlflow.entities", "mlflow", "mlflow")
        self.experiment, self.server = experiment, server

    def open(self, run: str, seed: int, kept: str | None, setup: Mapping[str, Any]) -> tuple[Board, str | None]:
        """Begin a run, or go on with the one whose id was kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        store = f"sqlite:///{(self.folder / 'mlflow.db').absolute()}"
        client = self.library.MlflowClient(tracking_uri=self.server or store)
        if kept is None:
            found = client.get_experiment_by_name(self.experiment)
            of = client.create_experiment(self.experiment) if found is None else found.experiment_id
            tags = {"run": run, "seed": str(seed)}
            kept = client.create_run(of, run_name=f"{run}, seed {seed}", tags=tags).info.run_id
        held = client.get_run(kept).data.params  # which nobody can change
        wanted = {name: x for name, x in flat({**setup, "run": run, "seed": seed}).items() if name not in held}
        return _Run(client, self.entities, str(kept), wanted), kept


def flat(values: Mapping[str, Any]) -> dict[str, str]:
    """Nested values as MLflow takes parameters: `network.topology.ring.n` -> "8".

    Lists are JSON. Names and values that are too long for it lose their ends.
    """
    out: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            out |= {_key(f"{name}.{inner}"): text for inner, text in flat(value).items()}
        else:
            out[_key(name)] = (value if isinstance(value, str) else json.dumps(value, default=str))[:VALUE]
    return out


def parts(of: Mapping[str, Any], size: int) -> Iterator[list[tuple[str, Any]]]:
    """The entries of a mapping, so many at a time."""
    entries = iter(of.items())
    while some := list(itertools.islice(entries, size)):
        yield some


def _key(name: str) -> str:
    """A name of the letters that MLflow takes: others become `_`."""
    return re.sub(r"[^\w.\- :/]", "_", name)[:KEY]


@recorded()
def mlflow(experiment: str = "dejax", server: str | None = None, folder: str = "runs/mlflow") -> Sink:
    """Send records to MLflow.

    Args:
      experiment: its name in MLflow; made where it is not there.
      server: address of a tracking server; None (default) keeps a store in `folder`.
      folder: of the store, and of what was sent.
    Raises:
      ImportError: mlflow is not installed.
    Example:
      >>> mlflow("graphs").folder.name  # doctest: +SKIP
      'mlflow'
    """
    return MLflow(experiment, server, folder)


__all__ = ["mlflow"]
