"""The loop over chunks of rounds: advance, measure, write records, save, stop.

It drives one run, or several in one program.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..core import tree
from ..core.types import Tree
from ..devices import processes
from ..errors import CheckpointError, DivergenceError, bad
from ..planning.plan import numbers
from ..report.arrays import Part
from ..report.history import Record
from . import batch, checkpoint, memory_check, saving, sending
from .batch import Batch
from .cadence import Cadence
from .counters import Counters
from .directory import RunDir
from .end import End
from .interrupt import Interrupt
from .measured import Measured
from .outcome import outcome
from .patience import Patience
from .progress import Progress
from .times import Times

# What a chunk should take, so that the bar lives and Ctrl-C is heard. Every chunk gets its memory
# anew from the system, page by page: of chunks of one round of 65,536 small models, or of 400 MB of
# parameters, that is a fifth to a third (docs/performance-log.md).
CHUNK_SECONDS = 1.0
CALLBACK = "a callback"  # which runs end by


def drive(
    run: Batch,
    cadence: Cadence,
    callbacks: Sequence[Callable[[Record], Any]],
    bar: Progress,
    directory: RunDir | None,
    interrupt: Interrupt,
    running: bool,
    check_memory: bool = False,
) -> bool:
    """Advance `run` to its last round.

    Returns True if it was interrupted. A divergence is kept in `run.errors`.

    Args:
      running: the run has its carry already, and goes on from it.
      check_memory: refuse, before it begins and anything of it is written, a run that does not fit as compiled.
    Raises:
      TooLargeError: it does not fit.
    """
    run.cadence, run.status = cadence, "running"
    clock = _Clock(run)
    try:
        saved = directory.saved(run.label) if directory is not None and directory.resume and not running else None
        done = run.round if saved is None else checkpoint.round_of(saved)
        bar.begin(run.label, cadence.rounds, done)
        if check_memory and done < cadence.rounds:
            run.stage = run.stage_of(done + 1)
            with processes.everyone():
                memory_check.check_compiled(run)
        if not running:
            begin(run, directory, bar)
        elif directory is not None:
            directory.cut(run.labels, run.round)
        sending.catch_up(callbacks, run.records)
        interrupted = _loop(run, cadence, callbacks, bar, directory, interrupt, clock)
        end, status = run.stopped(), outcome(run.records)
        run.status = interrupted or (end.said if end is not None and status == "done" else status)
    except KeyboardInterrupt:
        if processes.count() > 1:  # the others are elsewhere: nothing can be done together any more
            raise
        run.status = f"interrupted at round {run.round}"
    except DivergenceError as error:
        run.errors.append(error)
        run.status = f"diverged in round {error.round} (node {error.node})"
    except CheckpointError:  # nothing of the run was touched
        raise
    except BaseException:
        run.status = f"failed at round {run.round}"
        if directory is not None:
            directory.note_failure(run.facts())
        raise
    clock.stop()
    cut_short = run.status.startswith("interrupted")
    if directory is not None and run.started:
        if cut_short and run.alive and run.round > 0:
            saving.save(run, directory)
        directory.note(run.facts())
    bar.end(run.round, run.wall, run.compile, run.said(), run.status, run.of)
    return cut_short


def begin(run: Batch, directory: RunDir | None, bar: Progress) -> None:
    """Set the carry to the start, or to the newest checkpoint of a directory that is resumed.

    In the second case the run also gets its records up to there.

    Raises:
      CheckpointError: damaged, of another experiment, or gone. ValueError: it is of a later round
        than the last one.
    """
    resumed = directory is not None and directory.resume and saving.restore(run, directory)
    if resumed and run.round > run.cadence.rounds:
        raise processes.met(
            bad(
                "rounds",
                run.cadence.rounds,
                why=f"but {run.label!r} in {directory.path if directory else ''} has done {run.round}",
                instead=f"give rounds >= {run.round}",
            )
        )
    if not resumed and directory is not None and directory.resume:
        directory.check_lost(run.label, run.labels)
        if run.labels[0] in directory.facts:
            bar.say(f"{run.label}: stopped before its first checkpoint, so it starts from round 0")
    if not resumed:
        with processes.everyone():
            run.start()
    if directory is not None:
        directory.make()
        run.records = directory.cut(run.labels, run.round if resumed else -1, run.held if resumed else None)
        run.forms |= {name: "a number" for record in run.records for name in record}
        more = {"total": run.cadence.rounds, "data": run.data_name()}
        setups = run.setups()
        directory.note_graphs(run.graphs())
        for label, found in setups.items():  # a resumed run began when it began
            found["date"] = directory.facts.get(label, {}).get("setup", found)["date"]
        directory.note({label: facts | more | {"setup": setups[label]} for label, facts in run.facts().items()})


def _loop(
    run: Batch,
    cadence: Cadence,
    callbacks: Sequence[Callable[[Record], Any]],
    bar: Progress,
    directory: RunDir | None,
    interrupt: Interrupt,
    clock: "_Clock",
) -> str:
    """Chunks until all runs are over; returns by what they were interrupted, or nothing."""
    measures = cadence.measures(run.problem)
    patience = _reopened(run, cadence)
    pace, longest, first = 4, 4, True
    if run.round == 0 and not run.records:
        bar.measures(0)
        _record(run, cadence, measures, callbacks, directory, clock, patience)
        bar.measured(0, run.said())
    saved = time.perf_counter()
    while run.round < cadence.rounds and len(run.closed) < len(run.lanes):
        count = min(pace, batch.CHUNK, cadence.next_stop(run.round) - run.round, run.left)
        open_ = [i for i in range(len(run.lanes)) if i not in run.closed]
        times = Times(cadence, [run.counters[i] for i in open_])
        count = min(count, times.likely()) if times.pending else count
        asked, count = processes.agree(interrupt.asked, count)
        if asked:
            return f"interrupted at round {run.round}"
        bar.runs(compiled=run.stage_of(run.round + 1).compiled is not None)
        before = time.perf_counter()
        with processes.everyone() if first else contextlib.nullcontext():  # what tracing and compiling refuse
            meters, count = run.advance(count, partial(times.wanted, lanes=open_) if times.pending else None)
        took = time.perf_counter() - before
        _count(run, meters, count)
        if not first:
            longest = max(longest, count)  # a chunk that a record cut short says no less of the next ones
            pace = max(1, min(4 * longest, int(count * CHUNK_SECONDS / max(took, 1e-6))))
        first = False
        measured = cadence.evaluates(run.round) or times.met()
        if measured:
            bar.measures(run.round)
            _record(run, cadence, measures, callbacks, directory, clock, patience)
        bar.update(run.round, run.said() | {"loss": run.loss()})
        if measured:
            bar.measured(run.round, run.said())
        seconds = time.perf_counter() - saved
        if measured:  # where the clock counts
            seconds = processes.share(seconds)
        over = len(run.closed) == len(run.lanes)
        if directory is not None and (over or cadence.saves(run.round, measured, seconds)):
            clock.stop()
            saving.save(run, directory)
            saved = time.perf_counter()
    return ""


def _reopened(run: Batch, cadence: Cadence) -> Patience | None:
    """Let those runs go on that ended by what holds no more; return who watches them.

    A run stays over where others of its program have gone on since, as its models have gone on with them. One that a callback ended goes on
    only where all others were ended so, too.
    """
    patience = cadence.patient(run.problem)
    over = {} if patience is None else patience.replayed(run.records)
    over = {lane: end for lane, end in over.items() if end.round < cadence.rounds}
    by_callbacks = len(run.ended) == len(run.lanes) and all(end.by == CALLBACK for end in run.ended.values())
    stays = lambda end: end.round < run.round or (end.by == CALLBACK and not by_callbacks)
    kept = {at: end for at, end in run.ended.items() if stays(end)}
    run.closed -= run.ended.keys()
    run.ended = {}
    for at, lane in enumerate(run.lanes):
        if (end := kept.get(at) or over.get(lane)) is not None and at not in run.broken:
            run.end(at, end)
    return patience


def _count(run: Batch, meters: Tree, count: int) -> None:
    """Add the meters of `count` rounds to the counters.

    Raises:
      DivergenceError: a loss was not finite.
    """
    first = run.round - count
    meters = meters if run.many else tree.map(lambda x: x[None], meters)
    for i, at in enumerate(Counters.add(run.counters, meters)):
        if at is not None and i not in run.broken:
            run.diverged(DivergenceError(*run.lanes[i], "loss", first + at[0], at[1]), i)


def _record(
    run: Batch,
    cadence: Cadence,
    measures: list[Any],
    callbacks: Sequence[Callable[[Record], Any]],
    directory: RunDir | None,
    clock: "_Clock",
    patience: Patience | None,
) -> None:
    """Measure this moment, write it down, tell the callbacks, and end the runs that are over.

    Of several processes all measure; the records, the files and the callbacks are those of process
    0.

    Raises:
      DivergenceError: a model is not finite. ValueError: a metric returned what is no number; nothing to watch is measured.
    """
    last = run.round == cadence.rounds
    new: list[Record] = []
    lanes: list[int] = []
    parts: dict[str, Part] = {}
    with processes.everyone():
        samples = None if run.problem.source is not None else processes.to_host(run.problem.data.count)
        views = run.views(nodes=cadence.final_nodes if last else cadence.nodes, width=cadence.nodes)
        for i, view in views:
            label, seed = run.lanes[i]
            if not run.shape:
                run.shape = {"parameters": round(run.problem.of_model(numbers))}
            node = None if i in run.broken else view.bad_node()
            if node is not None:
                run.diverged(DivergenceError(label, seed, "model", run.round, node), i)
            record: Record = {"run": label, "seed": seed, "round": run.round} | run.counters[i].loss()
            an_epoch = None if samples is None else int(run.problem.an_epoch(samples[view.loyal]))
            spent = run.counters[i].numbers(len(view.loyal), an_epoch)
            if i not in run.broken:
                found = Measured([*spent, *run.marks(i)], run.forms)
                found.all_of(view, measures)
                record |= found.numbers
                if found.arrays:
                    parts.setdefault(label, {})[seed] = found.arrays
                    run.arrays.put(label, seed, run.round, found.arrays)
            else:  # its last record
                run.closed.add(i)
            if (spends := run.accounts.of(i)) is not None:
                record["epsilon"] = spends.worst(run.round)
            record |= spent
            lanes.append(i)
            new.append(run.marks(i) | record | {"wall": round(clock.stop(), 4)})
    new = processes.share(new)
    run.records += new
    if directory is not None:
        directory.append(new, parts)
    wanted = _tell(callbacks, new)
    for i, record, end in zip(lanes, new, wanted, strict=True):
        if i in run.broken:
            continue
        if end and not last:
            run.end(i, End(run.round, CALLBACK, f"stopped by {CALLBACK} at round {run.round}"))
        elif patience is not None and patience.over(record) and not last:
            run.end(i, patience.end(record))


@processes.led
def _tell(callbacks: Sequence[Callable[[Record], Any]], records: list[Record]) -> list[bool]:
    """Whether a callback wants the run of each record to end; all of them see all."""
    answers = [[callback(record) for callback in callbacks] for record in records]
    return [any(answer is True for answer in each) for each in answers]


class _Clock:
    """Real seconds that a run has taken, those before a resume included."""

    def __init__(self, run: Batch):
        self.run, self.since = run, time.perf_counter()

    def stop(self) -> float:
        """Put the time since the last stop on the run's account; returns the account."""
        now = time.perf_counter()
        self.run.wall += now - self.since
        self.since = now
        return self.run.wall


__all__ = ["drive"]
