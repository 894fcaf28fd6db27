"""Send each record on once, however often a run is stopped and resumed."""

import abc
import importlib
import json
import os
from pathlib import Path
from typing import Any, Protocol

from ..core.types import PathLike

KEYS = ("run", "seed", "round")
SENT = "sent.json"  # in the folder of a sink: the last round that was sent of each run and seed


class Board(Protocol):
    """Where the numbers of one run and seed go."""

    def log(self, numbers: dict[str, float], round: int) -> None:
        """Write the numbers of one round."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class Sink(abc.ABC):
    """A callback that sends records on, each once.

    A killed and resumed run goes over the rounds since its checkpoint again: what was sent before is
    left out. A run that begins anew under a label that was used gets a board of its own, `LABEL (2)`.
    Of several processes the one that writes calls it.

    Args:
      folder: of this sink alone; made where it is not there. It holds what was sent, in sent.json.
    """

    def __init__(self, folder: PathLike):
        self.folder = Path(folder)
        self._boards: dict[str, Board] = {}
        self._sent: dict[str, dict[str, Any]] | None = None

    @abc.abstractmethod
    def open(self, run: str, seed: int, kept: str | None) -> tuple[Board, str | None]:
        """A board for a run and seed, new or (by what was `kept` of it) the one that was begun.

        Returns:
          The board, and text by which to find it again, if it needs any.
        """
        ...

    def __call__(self, record: dict[str, Any]) -> None:
        """Send one record."""
        label, seed, round = (record[key] for key in KEYS)
        key, sent = f"{label}, seed {seed}", self._read()
        known = sent.get(key)
        if known is None or round == 0:  # round 0 is measured once in a run
            known = {"tries": 1 if known is None else known["tries"] + 1, "round": -1, "kept": None}
            if key in self._boards:
                self._boards.pop(key).close()
        if round <= known["round"]:
            return
        if key not in self._boards:
            name = label if known["tries"] == 1 else f"{label} ({known['tries']})"
            self._boards[key], known["kept"] = self.open(name, seed, known["kept"])
        numbers = {name: float("nan") if x is None else x for name, x in record.items() if name not in KEYS}
        self._boards[key].log({name: x for name, x in numbers.items() if isinstance(x, (int, float))}, round)
        sent[key] = known | {"round": round}
        self._write(sent)

    def close(self) -> None:
        """Close all boards; a record that comes later opens its own again."""
        while self._boards:
            self._boards.popitem()[1].close()

    def _read(self) -> dict[str, dict[str, Any]]:
        sent = self._sent
        if sent is None:
            path = self.folder / SENT
            sent = self._sent = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return sent

    def _write(self, sent: dict[str, dict[str, Any]]) -> None:
        """Replace the file at once, so that a kill leaves the old or the new one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.folder / (SENT + ".new")
        new.write_text(json.dumps(sent), encoding="utf-8")
        os.replace(new, self.folder / SENT)


def needed(module: str, package: str, sink: str) -> Any:
    """The library of a sink.

    Raises:
      ImportError: it is not installed; says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(
            f"dejax.sinks.{sink} needs {package}, which is not installed; `pip install {package}`"
        ) from None


__all__ = ["Board", "Sink", "needed"]
