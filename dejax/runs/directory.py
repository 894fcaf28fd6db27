"""A run directory: metric files that are never ahead of the newest checkpoint.

A run that is resumed starts from that.

run.json         facts and status of every run, and an id; of a sweep also what it goes over, and which runs go on together
config.yaml      the config that makes the same runs, where all their parts are members of dejax
metrics.jsonl    one record a line, appended as they are made; metrics.csv the same
arrays/LABEL/round_...npz  what metrics returned as arrays
checkpoints/LABEL/round_...
graphs.json      the graphs of the runs, for pictures
figure.png, report.html
.lock            while a process writes there: which one, of which host
"""

import datetime
import json
import time
import uuid
from pathlib import Path
from typing import Any

from ..core.types import Tree
from ..core.warn import warn
from ..devices import processes
from ..errors import CheckpointError, Words
from ..report import arrays, files, writing
from ..report.arrays import Part
from ..report.history import History, Record
from ..report.setup import versions
from . import checkpoint
from .lock import NAME as LOCK, Lock
from .writable import OUT, RESUME, check_writable

FROM_PYTHON = "none: made by a call from Python, with parts that no config names; runs.LABEL.setup says of what"


def _seen(path: Path, seconds: float = 10.0) -> bool:
    """Return whether a directory exists, or appears within some seconds.

    File systems of several hosts may remember for a while that it did not exist.
    """
    end = time.monotonic() + seconds
    while not path.is_dir():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


class RunDir:
    """The files of one or several runs.

    Of several processes all must call; process 0 alone reads and writes, its errors are raised on
    all.

    Args:
      path: the directory. `check` says before anything is compiled whether it can be used.
      resume: go on in an existing run directory rather than make a new one.
      config: text of the resolved config. about: more for run.json; of a directory that is resumed, what stands there.
      fallback: a damaged checkpoint is set aside, and the one before it counts as the newest.
    """

    def __init__(
        self,
        path: Any,
        resume: bool = False,
        config: str | None = None,
        about: dict[str, Any] | None = None,
        fallback: bool = False,
    ):
        self.path, self.resume, self.config, self.about = Path(path), resume, config, about or {}
        self._names: list[str] = []
        self._made = False
        self._lock, self.fallback = Lock(self.path), fallback
        self.facts, self.about = self.check()

    @property
    def id(self) -> str:
        """What tells the runs in it from others of the same labels; it stays when they are resumed."""
        return self.about["id"]

    @processes.led
    def check(self) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """Refuse a directory that would be overwritten, or that is no run directory.

        Returns:
          The facts in run.json, and whatever else stands there; an id where there is none.

        Raises:
          FileExistsError, NotADirectoryError: the place is taken.
          FileNotFoundError, CheckpointError: there is nothing to resume.
        """
        facts: dict[str, dict[str, Any]] = {}
        about = self.about
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(OUT + f" is {str(self.path)!r}, which is a file; give the name of a new directory")
        if self.resume:
            if not self.path.is_dir():
                raise FileNotFoundError(
                    RESUME + f" is {str(self.path)!r}, but there is no such directory; give one that a run has written"
                )
            if not (self.path / "run.json").is_file():
                raise CheckpointError(
                    f"{self.path} is no run directory of dejax: it has no run.json; give one that a run has written"
                )
            try:
                about = dict(files.read_json(self.path / "run.json"))
                facts = dict(about.pop("runs"))
            except (ValueError, KeyError, TypeError):
                raise CheckpointError(
                    f"{self.path / 'run.json'} is damaged: it is not the JSON that was written; restore it, or start anew with another "
                    + OUT
                ) from None
        else:
            self._check_empty()
        check_writable(self.path, RESUME if self.resume else OUT)
        return facts, {"id": uuid.uuid4().hex} | about

    def _check_empty(self) -> None:
        if not self.path.is_dir() or all(p.name == LOCK for p in self.path.iterdir()):
            return
        way = "Give a new or empty directory"
        if (self.path / "run.json").is_file():
            go_on = Words(f"by resume={str(self.path)!r}, or", f": dejax resume {self.path}; or")
            way = Words("Go on with it ", "Go on with it") + go_on + " give another " + OUT
        raise FileExistsError(OUT + f" is {str(self.path)!r}, which exists and is not empty. " + way)

    @processes.led
    def hold(self) -> None:
        """Take the lock of a directory that is resumed, and write its id where run.json has none.

        Sinks tell runs apart by it: it must be the same when the directory is resumed again.

        Raises:
          BlockingIOError: another process does; says which.
        """
        if self.resume:
            self._lock.take()
            found = files.read_json(self.path / "run.json")
            self.about["id"] = found.get("id", self.id)
            if "id" not in found:
                writing.write(self.path / "run.json", json.dumps(found | {"id": self.id}, indent=1) + "\n")

    def drop(self) -> None:
        """Let others have the directory."""
        self._lock.drop()

    def make(self) -> None:
        """Create the directory and its first files (called when nothing can be refused any more)."""
        if self._made:
            return
        self._create()
        with processes.everyone():
            if not _seen(self.path):
                raise FileNotFoundError(
                    OUT
                    + f" is {str(self.path)!r}, which process 0 made and {processes.name()} does not see; give a directory on a "
                    "file system that all hosts share"
                )
        self._made = True

    @processes.led
    def _create(self) -> None:
        with writing.named(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self._lock.take()
        if not self.resume:
            try:
                self._check_empty()  # another process may have been faster
            except FileExistsError:
                self._lock.drop()
                raise
        if self.config is not None:
            writing.write(self.path / "config.yaml", self.config)

    def note(self, facts: dict[str, dict[str, Any]]) -> None:
        """Set facts of some runs, by label, in run.json."""
        self.make()
        self._note(facts)

    def note_failure(self, facts: dict[str, dict[str, Any]]) -> None:
        """The same after an error, which the other processes may not have met: none is waited for."""
        if self._made and processes.leads():
            self._write_facts(facts)

    @processes.led
    def _note(self, facts: dict[str, dict[str, Any]]) -> None:
        self._write_facts(facts)

    def _write_facts(self, facts: dict[str, dict[str, Any]]) -> None:
        for label, found in facts.items():
            self.facts.setdefault(label, {}).update(found)
        now = {"date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
        made = {} if self.config or (self.path / "config.yaml").is_file() else {"config": FROM_PYTHON}
        about = now | self.about | versions() | made | {"runs": self.facts}
        self.about = {k: v for k, v in about.items() if k != "runs"}
        writing.write(self.path / "run.json", json.dumps(about, indent=1) + "\n")

    @processes.led
    def note_graphs(self, found: dict[str, Any]) -> None:
        """Keep the graphs of some runs, by label, in graphs.json."""
        old = files.read_graphs(self.path)
        now = {k: v for k, v in (old | found).items() if v}
        if now != old:
            files.write_graphs(self.path, now)

    # ---- metrics
    def records(self) -> list[Record]:
        """All records in the directory so far."""
        return files.read_records(self.path) if (self.path / "metrics.jsonl").is_file() else []

    def cut(self, labels: list[str], round: int, held: int | None = None) -> list[Record]:
        """Drop records of `labels` after `round` (all, if < 0); give those that stay.

        Args:
          held: how many must stay, as the checkpoint says. Where metrics.jsonl has lost some, those of metrics.csv are taken.
        Raises:
          CheckpointError: neither file holds them; nothing was changed.
        """
        self.make()
        return self._cut(labels, round, held)

    @processes.led
    def _cut(self, labels: list[str], round: int, held: int | None) -> list[Record]:
        mine = set(labels)
        kept = lambda records: [r for r in records if r["run"] not in mine or r["round"] <= round]
        own = lambda records: [r for r in records if r["run"] in mine]
        try:
            records = kept(self.records())
        except ValueError:
            if held is None:
                raise
            records = []
        if held is not None and len(own(records)) != held:
            other = self.path / "metrics.csv"
            spare = kept(files.read_csv(other)) if other.is_file() else []
            if len(own(spare)) != held or len(spare) < len(records):
                raise CheckpointError(
                    f"{self.path / 'metrics.jsonl'} holds {len(own(records))} of the {held} records of {', '.join(labels)} up to round "
                    f"{round}, and metrics.csv {len(own(spare))}; restore one of them from a copy, or start anew with another "
                    + OUT
                )
            records = spare
        self._rewrite(records)
        arrays.cut(self.path, labels, round)
        return own(records)

    def arrays(self, labels: list[str], round: int, held: int) -> dict[str, dict[int, Path]]:
        """Files of arrays of some runs up to a round: label -> round -> file.

        held: how many there must be, as the checkpoint says.

        Raises:
          CheckpointError: there are others.
        """
        files_of = lambda label: [[t, str(path)] for t, path in arrays.existing(self.path, label) if t <= round]
        every = processes.led(lambda: {label: files_of(label) for label in labels})()
        found = {label: {t: Path(path) for t, path in pairs} for label, pairs in every.items()}
        there = sum(map(len, found.values()))
        if there != held:
            raise processes.met(
                CheckpointError(
                    f"{self.path / arrays.FOLDER} holds {there} of the {held} files of arrays of {', '.join(labels)} up to round {round}; "
                    "restore them from a copy, or start anew with another " + OUT
                )
            )
        return found

    @processes.led
    def check_records(self) -> None:
        """Refuse a directory that has lost records which run.json counts.

        Raises:
          CheckpointError: metrics.jsonl holds fewer; says where they may still be.
        """
        held = self.records()
        for label, facts in self.facts.items():
            there = sum(r["run"] == label for r in held)
            if there < facts.get("records", 0):
                raise CheckpointError(
                    f"{self.path / 'metrics.jsonl'} holds {there} of the {facts['records']} records of {label!r}; restore it from a "
                    "copy (metrics.csv beside it has the same records, if it is whole)"
                )

    def append(self, records: list[Record], parts: dict[str, Part] | None = None) -> None:
        """Add records of one moment to both files, after their arrays: label -> those of its seeds."""
        self.make()
        self._append(records, parts or {})

    @processes.led
    def _append(self, records: list[Record], parts: dict[str, Part]) -> None:
        for label, part in parts.items():
            arrays.write(self.path, label, records[0]["round"], part)
        writing.append(self.path / "metrics.jsonl", files.jsonl(records))
        if all(name in self._names for r in records for name in r):
            writing.append(self.path / "metrics.csv", files.csv_text(records, self._names, header=False))
        else:
            every = self.records()
            self._names = files.columns(every)
            writing.write(self.path / "metrics.csv", files.csv_text(every, self._names))

    def _rewrite(self, records: list[Record]) -> None:
        self._names = files.columns(records)
        writing.write(self.path / "metrics.jsonl", files.jsonl(records))
        writing.write(self.path / "metrics.csv", files.csv_text(records, self._names))

    # ---- checkpoints
    def checkpoints(self, label: str) -> Path:
        """Where the checkpoints of one run, or of several that go on together, lie."""
        return self.path / "checkpoints" / arrays.folder_name(label)

    def save(self, label: str, round: int, state: Tree, facts: dict[str, Any], runs: list[str]) -> None:
        """Write a checkpoint, which holds `runs`.

        If the state lies on several hosts, each writes its part.
        """
        self.make()
        checkpoint.save(self.checkpoints(label), round, state, facts)
        self.note({run: {"saved": round} for run in runs})

    @processes.led
    def check_lost(self, label: str, runs: list[str]) -> None:
        """Refuse to start anew, without a word, a run whose checkpoints were there and are gone.

        Raises:
          CheckpointError: run.json says that a checkpoint was written.
        """
        for run in runs:
            saved = self.facts.get(run, {}).get("saved")
            if saved is not None:
                raise CheckpointError(
                    f"{self.checkpoints(label)} holds no checkpoint, but {self.path / 'run.json'} says that round {saved} of {run!r} was "
                    "saved there; restore it from a copy, or start anew with another " + OUT
                )

    def saved(self, label: str) -> Path | None:
        """Find the newest checkpoint of one run (with `fallback`: that is whole), or None."""
        found = processes.led(lambda: str(self._newest(self.checkpoints(label)) or ""))()
        return Path(found) if found else None

    def _newest(self, directory: Path) -> Path | None:
        while self.fallback and len(checkpoint.existing(directory)) > 1:
            newest = checkpoint.existing(directory)[-1]
            try:
                checkpoint.verify(newest)
                break
            except CheckpointError as error:
                aside = checkpoint.set_aside(newest)
                warn(
                    f"{error.args[0].split('. ')[0]}; it was set aside as {aside.name}, and the run goes on from the one before"
                )
        return checkpoint.latest(directory)

    # ---- the end
    @processes.led
    def report(self, history: History) -> None:
        """Write the figure and the page (the metric files are there already)."""
        from ..report import save

        save(history, self.path, config=self.config)


__all__ = ["RunDir"]
