"""Weights & Biases, with or without a network."""

from typing import Any, Literal

from ..core.checks import choice
from ..core.made import recorded
from .sink import Board, Sink, needed


class _Run:
    def __init__(self, run: Any):
        self.run = run

    def log(self, numbers: dict[str, float], round: int) -> None:
        self.run.log(numbers, step=round)

    def close(self) -> None:
        self.run.finish()


class Wandb(Sink):
    """One run of W&B for each run and seed, grouped by run."""

    def __init__(self, project: str, mode: str, folder: str):
        super().__init__(folder)
        self.project, self.mode = project, mode

    def open(self, run: str, seed: int, kept: str | None) -> tuple[Board, str | None]:
        """Begin a run, or go on with the one whose id was kept."""
        library = needed("wandb", "wandb", "wandb")
        self.folder.mkdir(parents=True, exist_ok=True)
        begun = library.init(
            project=self.project,
            name=f"{run}, seed {seed}",
            group=run,
            config={"run": run, "seed": seed},
            dir=str(self.folder),
            mode=self.mode,
            id=kept,
            resume=None if kept is None or self.mode == "offline" else "allow",
            reinit="create_new",
            settings=library.Settings(silent=self.mode == "offline"),
        )
        return _Run(begun), begun.id


@recorded()
def wandb(project: str = "dejax", mode: Literal["online", "offline"] = "offline", folder: str = "runs/wandb") -> Sink:
    """Send records to Weights & Biases, or keep them in files that `wandb sync` sends later.

    Args:
      project: of W&B.
      mode: "offline" (default) writes files alone; "online" sends, and needs an account.
      folder: where its files go.
    Raises:
      ValueError: another mode. ImportError: wandb is not installed (at the first record).
    Example:
      >>> wandb(project="graphs").folder.name
      'wandb'
    """
    return Wandb(project, choice("online", "offline")("wandb.mode", mode), folder)


__all__ = ["wandb"]
