"""TensorBoard: event files, which `tensorboard --logdir FOLDER` shows."""

import uuid
from typing import Any

from ..core.made import recorded
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

    def open(self, run: str, seed: int, kept: str | None) -> tuple[Board, str | None]:
        """A writer in FOLDER/RUN/seed SEED; files of the same folder make one curve."""
        library = needed("tensorboardX", "tensorboardX", "tensorboard")
        folder = str(self.folder / run.replace("/", "_") / f"seed {seed}")
        once = f".{uuid.uuid4().hex[:8]}"  # files are named by the second, and a resume may begin in the same one
        return _Events(library.SummaryWriter(folder, filename_suffix=once)), None


@recorded()
def tensorboard(folder: str = "runs/tensorboard") -> Sink:
    """Write event files for TensorBoard, with tensorboardX.

    Args:
      folder: where; each run and seed gets a folder in it.
    Raises:
      ImportError: tensorboardX is not installed (at the first record).
    Example:
      >>> tensorboard("runs/board").folder.name
      'board'
    """
    return TensorBoard(folder)


__all__ = ["tensorboard"]
