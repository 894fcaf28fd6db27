"""Weights & Biases, with or without a network."""

from collections.abc import Mapping
from typing import Any, Literal

from ..core.checks import choice
from ..core.made import recorded
from .sink import Board, Sink, needed

LONGEST = 128  # letters of a group or a name, which W&B takes


class _Run:
    def __init__(self, run: Any):
        self.run = run

    def log(self, numbers: dict[str, float], round: int) -> None:
        self.run.log(numbers, step=round)

    def close(self) -> None:
        self.run.finish()


class Wandb(Sink):
    """One run of W&B for each run and seed, grouped by run; its config says of what."""

    def __init__(self, project: str, mode: str, folder: str):
        super().__init__(folder)
        self.library = needed("wandb", "wandb", "wandb")
        self.project, self.mode = project, mode

    def open(self, run: str, seed: int, kept: str | None, setup: Mapping[str, Any]) -> tuple[Board, str | None]:
        """Begin a run, or go on with the one whose id was kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        begun = self.library.init(
            project=self.project,
            name=named(run, f", seed {seed}"),
            group=named(run),
            config={**setup, "run": run, "seed": seed},
            allow_val_change=True,  # a resumed run may have more rounds
            dir=str(self.folder),
            mode=self.mode,
            id=kept,
            resume=None if kept is None or self.mode == "offline" else "allow",
            reinit="create_new",
            settings=self.library.Settings(silent=self.mode == "offline"),
        )
        return _Run(begun), begun.id


def named(run: str, end: str = "") -> str:
    """A name that W&B takes: of a long label its beginning."""
    return (run if len(run) + len(end) <= LONGEST else run[: LONGEST - len(end) - 1] + "…") + end


@recorded()
def wandb(project: str = "dejax", mode: Literal["online", "offline"] = "offline", folder: str = "runs/wandb") -> Sink:
    """Send records to Weights & Biases, or keep them in files that `wandb sync` sends later.

    Args:
      project: of W&B.
      mode: "offline" (default) writes files alone; "online" sends, and needs an account.
      folder: where its files go.
    Raises:
      ValueError: another mode. ImportError: wandb is not installed.
    Example:
      >>> wandb(project="graphs").folder.name  # doctest: +SKIP
      'wandb'
    """
    return Wandb(project, choice("online", "offline")("wandb.mode", mode), folder)


__all__ = ["wandb"]
