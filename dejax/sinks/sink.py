"""Send each record on once, however often a run is resumed or its tracker fails."""

import abc
import importlib
import itertools
import json
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..core.types import PathLike
from ..core.warn import warn
from ..errors import bad
from ..report import writing
from ..report.arrays import folder_name

KEYS = ("run", "seed", "round")
SENT = "sent"  # in the folder of a sink: what was sent of each run
RUN = "run.json"  # in the folder of a run there: whose it is
AT_THE_END = 60.0  # seconds that attempts which fail may cost when a sink is closed


class Board(Protocol):
    """Where the numbers of one run and seed go."""

    def log(self, numbers: dict[str, float], round: int) -> None:
        """Write the numbers of one round."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


@dataclass
class _Run:
    """One label of one run, and what was sent of it.

    Attributes:
      id: of the run. setup: what it is made of. name: its label, or `LABEL (2)`. place: the folder that says what
        was sent; None until something is.
      sent: seed -> the last round that was sent, and the text by which its board is found again.
    """

    id: str
    label: str
    setup: Mapping[str, Any]
    name: str = ""
    place: Path | None = None
    sent: dict[int, dict[str, Any]] = field(default_factory=dict)


class Sink(abc.ABC):
    """A callback that sends records on, each once.

    A killed and resumed run goes over the rounds since its checkpoint again: what was sent before is left out. Another run
    under a label that was used gets a board of its own, `LABEL (2)`. Where a board fails, the run goes on: what
    it did not take is sent with the next record, at the end, or when the run is resumed. Other boards do not wait for it.
    Of several processes the one that writes calls it.

    Args:
      folder: of this sink alone; made where it is not there. It holds what was sent, in sent/LABEL/seed S.json.
    """

    def __init__(self, folder: PathLike):
        self.folder = Path(folder)
        self._runs: dict[str, _Run] = {}  # label -> the run that was announced last
        self._own: dict[tuple[str, int], _Run] = {}  # of records that nobody announced
        self._boards: dict[tuple[str, str, int], Board] = {}  # by id, label and seed
        self._unsent: dict[tuple[str, str, int], deque[tuple[_Run, dict[str, Any]]]] = {}  # of each board, in order
        self._wait, self._warned = 0.0, False

    @abc.abstractmethod
    def open(self, run: str, seed: int, kept: str | None, setup: Mapping[str, Any]) -> tuple[Board, str | None]:
        """A board for a run and seed, new or (by what was `kept` of it) the one that was begun.

        Args:
          setup: what the run is made of, in plain values: its method, network, data, and what was swept.
        Returns:
          The board, and text by which to find it again, if it needs any.
        """
        ...

    def begin(self, id: str, setups: Mapping[str, Mapping[str, Any]], seeds: Sequence[int] = ()) -> None:
        """Hear of which run the records of some labels are from now on; nothing is written yet.

        Runs of dejax call it; without it records are of a run of their own, from each round 0 on.

        Args:
          id: of the run, the same whenever it is resumed. setups: label -> what the run is made of. seeds: of the run.
        Raises:
          ValueError: a file that says what was sent is damaged.
        """
        for label, setup in setups.items():
            run = self._runs.get(label)
            if run is None or run.id != id:
                run = _Run(id, label, setup)
            run.setup = setup
            if run.place is None:
                self._find(run)
            for seed in seeds:
                self._sent(run, seed)
            self._runs[label] = run

    def __call__(self, record: dict[str, Any]) -> None:
        """Send one record, after those that could not be sent before."""
        label, seed, round = (record[key] for key in KEYS)
        run = self._runs.get(label)
        if run is None:
            run = self._own.get((label, seed))
            if run is None or round == 0:
                if run is not None:
                    self._close((run.id, label, seed))
                run = self._own[label, seed] = _Run(uuid.uuid4().hex, label, {})
        self._unsent.setdefault((run.id, label, seed), deque()).append((run, record))
        if time.monotonic() >= self._wait:
            self._send()

    def close(self) -> None:
        """Send what is left, and close all boards; a record that comes later opens its own again."""
        self._send(AT_THE_END)
        for key in list(self._boards):
            self._close(key)
        if self._unsent:
            warn(
                f"{self._who} has not taken {sum(map(len, self._unsent.values()))} records; they are sent when their run is resumed, or with the next "
                "record of this sink"
            )

    @property
    def _who(self) -> str:
        return f"sinks.{type(self).__name__.lower()} ({self.folder})"

    def _send(self, patience: float = 0.0) -> None:
        """Send the records of each board in order, until failures have cost `patience` seconds.

        A board that fails comes last in the next try, which waits for as long as the failed attempts took: a tracker
        that is gone costs a run at most half of its time, and a record that is always refused holds up its own board alone.
        """
        lost = 0.0
        for key in list(self._unsent):
            failed = self._send_board(self._unsent[key])
            if failed is None:
                del self._unsent[key]
                continue
            self._unsent[key] = self._unsent.pop(key)
            self._close(key)
            self._warn("does not take records", failed[0])
            lost += failed[1]
            self._wait = time.monotonic() + lost
            if lost >= patience:
                return

    def _send_board(self, waiting: deque[tuple[_Run, dict[str, Any]]]) -> tuple[Exception, float] | None:
        """Send the records of one board until one fails: (the error, seconds it took), or None."""
        while waiting:
            began = time.monotonic()
            try:
                self._send_one(*waiting[0])
            except Exception as error:
                return error, time.monotonic() - began
            waiting.popleft()
        return None

    def _send_one(self, run: _Run, record: dict[str, Any]) -> None:
        seed, round = record["seed"], record["round"]
        sent = self._sent(run, seed)
        if round <= sent["round"]:
            return
        if run.place is None:
            self._claim(run)
        key = (run.id, run.label, seed)
        if key not in self._boards:
            self._boards[key], sent["kept"] = self.open(run.name, seed, sent["kept"], run.setup)
        numbers = {name: float("nan") if x is None else x for name, x in record.items() if name not in KEYS}
        self._boards[key].log({name: x for name, x in numbers.items() if isinstance(x, (int, float))}, round)
        sent["round"] = round
        try:
            writing.write(_seed_file(run, seed), json.dumps(sent))
        except OSError as error:  # what was sent is known as long as this process lives
            self._warn("cannot note what it has sent", error)

    def _close(self, key: tuple[str, str, int]) -> None:
        board = self._boards.pop(key, None)
        try:
            if board is not None:
                board.close()
        except Exception as error:
            self._warn("cannot end a board", error)

    def _warn(self, what: str, error: Exception) -> None:
        """Say it once: a tracker that is gone is gone at every record."""
        if not self._warned:
            self._warned = True
            warn(
                f"{self._who} {what} ({type(error).__name__}: {error}); the run goes on, and what is not sent now is sent later"
            )

    # ---- what was sent
    def _places(self, run: _Run) -> Iterator[tuple[str, Path]]:
        """The names that a run may get and their folders, as far as others have them and beyond."""
        for i in itertools.count(1):
            name = run.label if i == 1 else f"{run.label} ({i})"
            yield name, self.folder / SENT / folder_name(name)

    def _find(self, run: _Run) -> None:
        """Find the folder that says what was sent of a run, if any was."""
        for name, place in self._places(run):
            if not place.is_dir():
                return
            if (place / RUN).is_file():  # else another process makes it just now
                whose = _read(place / RUN, ("run", "label"))
                if (whose["run"], whose["label"]) == (run.id, run.label):
                    run.name, run.place = name, place
                    return

    def _claim(self, run: _Run) -> None:
        """Make the folder of a run, with the first name that no other run has.

        The process that makes a folder has it: of several one alone can.
        """
        (self.folder / SENT).mkdir(parents=True, exist_ok=True)
        for name, place in self._places(run):
            try:
                place.mkdir()
            except FileExistsError:
                continue
            writing.write(place / RUN, json.dumps({"run": run.id, "label": run.label}))
            run.name, run.place = name, place
            return

    def _sent(self, run: _Run, seed: int) -> dict[str, Any]:
        if seed not in run.sent:
            there = run.place is not None and _seed_file(run, seed).is_file()
            run.sent[seed] = _read(_seed_file(run, seed), ("round", "kept")) if there else {"round": -1, "kept": None}
        return run.sent[seed]


def _seed_file(run: _Run, seed: int) -> Path:
    assert run.place is not None
    return run.place / f"seed {seed}.json"


def _read(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """One file of what was sent.

    Raises:
      ValueError: it is damaged; says which, and what to do.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or any(name not in found for name in names):
        raise bad(
            "folder",
            str(path),
            says=f"holds {path}, which is damaged",
            why="so that nobody knows what was sent",
            instead=f"restore it, or remove {path.parent / RUN}: if its run goes on, it begins a board of its own",
        )
    return found


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
