"""What sinks hear of the runs whose records they send on."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..devices import processes
from ..errors import bad
from ..report.history import Record
from ..sinks import Sink
from .batch import Batch
from .cadence import Cadence
from .directory import RunDir

Callbacks = Sequence[Callable[[Record], Any]]


def sinks_of(callbacks: Any) -> list[Sink]:
    """The sinks among some callbacks."""
    return [callback for callback in callbacks if isinstance(callback, Sink)] if isinstance(callbacks, Sequence) else []


def announce(callbacks: Callbacks, todo: Sequence[tuple[Batch, Cadence]], directory: RunDir | None) -> None:
    """Tell sinks of which runs records will come, before anything is compiled.

    Raises:
      ValueError: two sinks have one folder; what one has sent, as its files say, is damaged.
    """
    sinks = sinks_of(callbacks)
    if not sinks:
        return
    folders = [sink.folder.absolute() for sink in sinks]
    if len(set(folders)) < len(folders):
        taken = next(folder for i, folder in enumerate(folders) if folder in folders[:i])
        says = f"has two sinks with the folder {str(taken)!r}"
        raise bad("callbacks", callbacks, says=says, instead="give each a folder of its own")
    for run, cadence in todo:
        swept = run.swept()
        made = {
            label: made_of(setup | {"rounds": cadence.rounds}, swept.get(label))
            for label, setup in run.setups().items()
        }
        _begin(sinks, run.id if directory is None else directory.id, made, run.seeds)


@processes.led
def _begin(sinks: list[Sink], id: str, setups: dict[str, dict[str, Any]], seeds: list[int]) -> None:
    for sink in sinks:
        sink.begin(id, setups, seeds)


def made_of(setup: Mapping[str, Any], swept: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a run is made of, with what a sweep has set for it.

    Numbers are numbers there, by which trackers sort.
    """
    return dict(setup) | ({"swept": {k: number(text) for k, text in swept["over"].items()}} if swept else {})


def number(text: str) -> int | float | str:
    """The number that a text spells, or the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


@processes.led
def catch_up(callbacks: Callbacks, records: Sequence[Record]) -> None:
    """Hand sinks the records that a run has already: they leave out what they have sent."""
    for sink in sinks_of(callbacks):
        for record in records:
            sink(record)


def catch_up_ended(sinks: Sequence[Sink], path: Path) -> None:
    """The same of a run directory in which nothing is left to do."""
    if not sinks:
        return
    directory = RunDir(path, resume=True)
    directory.hold()
    try:
        _send_all(sinks, directory)
    finally:
        directory.drop()


@processes.led
def _send_all(sinks: Sequence[Sink], directory: RunDir) -> None:
    records = directory.records()
    for sink in sinks:
        for label, facts in directory.facts.items():
            setup = made_of(facts.get("setup", {}) | {"rounds": facts.get("rounds")}, facts.get("swept"))
            sink.begin(directory.id, {label: setup}, facts.get("seeds", ()))
        for record in records:
            sink(record)
        sink.close()


__all__ = ["announce", "catch_up", "catch_up_ended", "sinks_of"]
