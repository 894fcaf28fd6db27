"""MLflow: a store of files, or a server."""

import time
from typing import Any

from ..core.made import recorded
from .sink import Board, Sink, needed


class _Run:
    def __init__(self, client: Any, run: str, metric: Any):
        self.client, self.run, self.metric = client, run, metric

    def log(self, numbers: dict[str, float], round: int) -> None:
        now = int(1000 * time.time())
        self.client.log_batch(self.run, [self.metric(name, float(x), now, round) for name, x in numbers.items()])

    def close(self) -> None:
        self.client.set_terminated(self.run)


class MLflow(Sink):
    """One run of MLflow for each run and seed."""

    def __init__(self, experiment: str, server: str | None, folder: str):
        super().__init__(folder)
        self.experiment, self.server = experiment, server

    def open(self, run: str, seed: int, kept: str | None) -> tuple[Board, str | None]:
        """Begin a run, or go on with the one whose id was kept."""
        library, entities = needed("mlflow", "mlflow", "mlflow"), needed("mlflow.entities", "mlflow", "mlflow")
        self.folder.mkdir(parents=True, exist_ok=True)
        store = f"sqlite:///{(self.folder / 'mlflow.db').absolute()}"
        client = library.MlflowClient(tracking_uri=self.server or store)
        if kept is None:
            found = client.get_experiment_by_name(self.experiment)
            of = client.create_experiment(self.experiment) if found is None else found.experiment_id
            kept = client.create_run(
                of, run_name=f"{run}, seed {seed}", tags={"run": run, "seed": str(seed)}
            ).info.run_id
        return _Run(client, str(kept), entities.Metric), kept


@recorded()
def mlflow(experiment: str = "dejax", server: str | None = None, folder: str = "runs/mlflow") -> Sink:
    """Send records to MLflow.

    Args:
      experiment: its name in MLflow; made where it is not there.
      server: address of a tracking server; None (default) keeps a store in `folder`.
      folder: of the store, and of what was sent.
    Raises:
      ImportError: mlflow is not installed (at the first record).
    Example:
      >>> mlflow("graphs").folder.name
      'mlflow'
    """
    return MLflow(experiment, server, folder)


__all__ = ["mlflow"]
