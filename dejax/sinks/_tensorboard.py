"""TensorBoard: event files, which `tensorboard --logdir FOLDER` shows."""

import uuid
from collections.abc import Mapping
from typing import Any

from ..core.made import recorded
from ..report.arrays import folder_name
from .sink import Board, Sink, needed


class _Events:
    def __init__(self, writer: Any):
        self.writer = writer

    def log(self, numbers: dict[str, float], round: int) -> None:
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, round)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class TensorBoard(Sink):
    """Event files by tensorboardX, one folder for each run and seed."""

    def __init__(self, folder: str):
        super().__init__(folder)
        self.library = needed("tensorboardX", "tensorboardX", "tensorboard")

    def open(self, run: str, seed: int, kept: str | None, setup: Mapping[str, Any]) -> tuple[Board, str | None]:
        """A writer in FOLDER/RUN/seed SEED; files of the same folder make one curve."""
        folder = str(self.folder / folder_name(run) / f"seed {seed}")
        once = f".{uuid.uuid4().hex[:8]}"  # files are named by the second, and a resume may begin in the same one
        return _Events(self.library.SummaryWriter(folder, filename_suffix=once)), None


@recorded()
def tensorboard(folder: str = "runs/tensorboard") -> Sink:
    """Write event files for TensorBoard, with tensorboardX.

    Args:
      folder: where; each run and seed gets a folder in it.
    Raises:
      ImportError: tensorboardX is not installed.
    Example:
      >>> tensorboard("runs/board").folder.name  # doctest: +SKIP
      'board'
    """
    return TensorBoard(folder)


__all__ = ["tensorboard"]
