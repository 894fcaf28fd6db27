"""The host driver: run chunks of rounds; report, measure and save between them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from ..core.checks import whole
from ..core.struct import labelled
from ..core.types import MeshLike, Method, PathLike, Problem, Tree
from ..devices import processes
from ..devices.placement import as_layout
from ..engine.upload import Placer
from ..errors import DivergenceError, TooLargeError, bad
from ..report.arrays import Arrays
from ..report.as_config import as_config, class_name
from ..report.history import History, Record
from ..sinks import Sink
from ..xla.program_cache import kept_programs
from . import memory_check
from .arguments import directory_of, experiment_of, one_of
from .batch import Batch
from .cadence import Cadence
from .directory import RunDir
from .driver import drive
from .fingerprint import fingerprint
from .interrupt import Interrupt
from .phases import Phases, of_setup
from .progress import Progress
from .single import SingleRun

Callbacks = Sequence[Callable[[Record], Any]] | Callable[[Record], Any]


@kept_programs()
def simulate(
    method: Method,
    problem: Problem,
    network: Any = None,
    rounds: int = 100,
    *,
    seed: int | Sequence[int] = 0,
    seeds: Sequence[int] | None = None,
    params: Tree = None,
    every: int | None = None,
    at: Sequence[int] | None = None,
    at_seconds: Sequence[float] | None = None,
    nodes: int | None = None,
    final_nodes: int | None = None,
    metrics: Any = None,
    callbacks: Callbacks = (),
    label: str | None = None,
    progress: bool = True,
    out: PathLike | None = None,
    resume: PathLike | None = None,
    checkpoint_every: int | None = None,
    patience: int | None = None,
    monitor: str | None = None,
    config: str | None = None,
    fallback: bool = False,
    check_memory: bool = True,
    mesh: MeshLike = None,
    phases: Phases = None,
) -> History:
    """Run a method on a problem over a network and measure it as it goes.

    The numbers are those of `rollout` with `jax.random.key(seed)`; they depend neither on how
    rounds are cut into chunks nor on evaluations, checkpoints, or a kill and resume in between. One
    program is compiled whatever the number of rounds.

    Args:
      method: a member of `dejax.methods`, or your own. problem: task and data. network: what lies
        between nodes; may be None for methods that do not communicate.
      rounds: rounds in all, >= 1, those before a resume included.
      seed, seeds: of starts and draws; several (a list under either name) run at once, as one vmapped program.
      params: start from these parameters: a population [n, ...], or one model for all nodes. Default: `task.init`.
      every: rounds between evaluations; None: about 20 in all. Round 0 and the last round are always evaluated.
      at, at_seconds: lists of rounds, and of virtual times (the end of the first round that is not before one, of any seed), to evaluate at, in
        place of `every` or, where it is given too, besides. What lies beyond the last round does not come.
      nodes: how many node models an evaluation takes, evenly spread; None: all. final_nodes: how many the last evaluation
        takes; None: all.
      metrics: functions `fn(view) -> {name: number}` (see `dejax.metrics.View`), or names of built-in ones; one or several. Default:
        local_models, mean_model and consensus; objective and consensus where the data have no test set.
      callbacks: one or several; each is called with every new record (a dict) after it was written; one that returns True ends the run of this
        record: of several seeds this one.
        After a kill a resumed run goes over the rounds since its checkpoint again, so that callbacks see them twice.
      label: name of the run in records, tables and plots. Default: the method's name.
      progress: False says nothing.
      out: a new directory for run.json, metrics.jsonl, metrics.csv, checkpoints, figure.png and
        report.html.
      resume: a run directory to go on in: from its newest checkpoint, with the metric files cut
        back to it.
      checkpoint_every: rounds between checkpoints; None: at an evaluation, a minute after the last
        one. The last round is always saved, and so is the round at which Ctrl-C stops the run.
      patience: end a run, of several seeds each on its own, once so many evaluations in a row brought no better number; None: never.
      monitor: which number, e.g. "loss/validation"; None: the first one of the validation part (accuracy, else loss). The test part is for
        the report: whoever stops by it has chosen by it.
      config: text of the resolved config, kept in the run directory.
      fallback: where the newest checkpoint to resume is damaged, go on from the one before it; False refuses.
      check_memory: refuse a run that does not fit into the device's memory (of each device of a mesh), by its shapes before it compiles,
        else by what XLA allocates before its first round; False tries it.
      mesh: devices to spread the nodes (and seeds) over: a number, `{"nodes": 4, "runs": 2}`, or a JAX mesh with these axes
        (docs/scale.md). The numbers are those of one device up to the order of sums. In a job of several processes
        (`jax.distributed`) all must call with the same arguments; process 0 writes, prints and calls the callbacks.
      phases: what changes in mid-run, `[{"until": 200, "network": ring}, {"network": complete}]`: each phase has `method` and
        `network` of its own or those of the run, and lasts until so many rounds are done, the last until the end.
    Returns:
      History; `history.interrupted` is True if Ctrl-C (or a notebook's stop button) ended the run.
    Raises:
      TooLargeError: the run does not fit into memory; says how many nodes would, before anything is
        drawn or written.
      DivergenceError: a loss or model is not finite; names round and node, and `.history` holds the
        run so far.
      ValueError, TypeError: impossible arguments, before anything is compiled.
      FileExistsError: `out` exists and is not empty.
      CheckpointError: the checkpoint to resume is damaged, or of another experiment.
      ProcessError: another process of the job failed; says which, and how.
    Example:
      >>> history = simulate(dejax.methods.dsgd(lr=2.0), problem, network, rounds=600)  # doctest: +SKIP
      >>> history.plot("accuracy")  # doctest: +SKIP
    """
    seed = one_of(seed, seeds)
    label = class_name(type(method)) if label is None else label
    directory = directory_of(out, resume, config, fallback)
    with processes.everyone():
        cadence = Cadence(
            whole("rounds", rounds),
            every,
            at,
            at_seconds,
            nodes,
            final_nodes,
            metrics,
            checkpoint_every,
            patience,
            monitor,
        )
        run = SingleRun(label, method, problem, network, seed, cadence.rounds, params, mesh=mesh, phases=phases)
    if params is None:
        _write_config(directory, [(run, cadence)], seed, mesh)
    history = drive_all([(run, cadence)], callbacks, progress, directory, check_memory=check_memory)
    for error in run.errors:
        error.history = history
        raise processes.met(error)
    return history


@kept_programs()
def compare(
    runs: Mapping[str, tuple[Any, Any, Any]],
    rounds: int | Mapping[str, int],
    *,
    seed: int | Sequence[int] = 0,
    seeds: Sequence[int] | None = None,
    every: int | None = None,
    at: Sequence[int] | None = None,
    at_seconds: Sequence[float] | None = None,
    nodes: int | None = None,
    final_nodes: int | None = None,
    metrics: Any = None,
    callbacks: Callbacks = (),
    progress: bool = True,
    out: PathLike | None = None,
    resume: PathLike | None = None,
    checkpoint_every: int | None = None,
    patience: int | None = None,
    monitor: str | None = None,
    config: str | None = None,
    fallback: bool = False,
    check_memory: bool = True,
    mesh: MeshLike = None,
) -> History:
    """Run several experiments one after another, into one history, table and run directory.

    Args:
      runs: label -> (method, problem, network), or with phases as a fourth.
      rounds: of all runs, or label -> rounds.
      The others: as in `simulate`.
    Returns:
      History of all runs. A run that diverges is marked in the table
      (`history.facts[label]["status"]`); the others go on. A resumed comparison skips the runs that
      were done and resumes the one that was cut short.
    Raises:
      DivergenceError: every run diverged. Otherwise as `simulate`.
      TooLargeError: by shapes before the first run begins; by its compiled program before that run begins, with `.history` of those before.
    """
    if not isinstance(runs, Mapping):
        raise bad(
            "runs", runs, says=f"is a {type(runs).__name__}", instead="give a dict {label: (method, problem, network)}"
        )
    for label, run in runs.items():
        if not isinstance(run, (tuple, list)) or len(run) not in (3, 4):
            length = f" of {len(run)}" if isinstance(run, (tuple, list)) else ""
            raise bad(
                "runs",
                run,
                says=f"[{label!r}] is a {type(run).__name__}{length}",
                instead="give (method, problem, network)",
            )
    if not runs:
        raise bad("runs", runs, says="is empty", instead="give {label: (method, problem, network)}")
    seed = one_of(seed, seeds)
    directory = directory_of(out, resume, config, fallback)
    with processes.everyone():
        layout = as_layout(mesh)
        todo = planned(
            runs, rounds, seed=seed, every=every, at=at, at_seconds=at_seconds, nodes=nodes, final_nodes=final_nodes, metrics=metrics,
            checkpoint_every=checkpoint_every, patience=patience, monitor=monitor, mesh=layout,
        )  # fmt: skip
    _write_config(directory, todo, seed, mesh)
    history = drive_all(todo, callbacks, progress, directory, check_memory=check_memory)
    errors = [error for run, _ in todo for error in run.errors]
    if len(errors) == len(todo):
        errors[0].history = history
        raise processes.met(errors[0])
    return history


def planned(
    runs: Mapping[str, tuple[Any, Any, Any]],
    rounds: int | Mapping[str, int],
    *,
    seed: int | Sequence[int] = 0,
    mesh: MeshLike = None,
    **when: Any,
) -> list[tuple[SingleRun, Cadence]]:
    """The runs of `compare`, checked as far as can be without compiling anything.

    Raises:
      RefusedError, ValueError, TypeError: as `compare`.
    """
    todo, placer = [], Placer(as_layout(mesh))
    for label, given in runs.items():
        with labelled(label):
            (method, problem, network), phases = experiment_of(given)
            cadence = Cadence(whole("rounds", rounds[label] if isinstance(rounds, Mapping) else rounds), **when)
            run = SingleRun(
                label, method, problem, network, seed, cadence.rounds, placer=placer, mesh=mesh, phases=phases
            )
            cadence.check(run)
            run.check_phases()
        todo.append((run, cadence))
    return todo


@kept_programs()
def continue_run(ended: SingleRun, history: History, rounds: int, options: dict[str, Any]) -> History:
    """Run `rounds` more rounds of a run that ended; see `History.continue_`.

    history: holds the records of the run so far.
    """
    run, label = ended.again(), ended.label
    cadence = run.cadence.longer(run.round + whole("rounds", rounds), options)
    directory = RunDir(history.directory, resume=True) if history.directory is not None else None
    callbacks = options.pop("callbacks", ())
    progress = options.pop("progress", True)
    if options:
        name = next(iter(options))
        takes = "every, at, at_seconds, nodes, final_nodes, metrics, checkpoint_every, patience, monitor, callbacks, progress"
        raise bad(
            name, options[name], owner="continue_", why="which continue_ does not take", instead=f"give some of {takes}"
        )
    run.lengthen(cadence.rounds)
    run.records = [r for r in history.records if r["run"] == label]
    run.arrays = history.held.only(label)
    out = drive_all([(run, cadence)], callbacks, progress, directory, running=True)
    for error in run.errors:
        error.history = out
        raise processes.met(error)
    return out


def drive_all(
    todo: Sequence[tuple[Batch, Cadence]],
    callbacks: Callbacks,
    progress: bool,
    directory: RunDir | None,
    running: bool = False,
    check_memory: bool = False,
    order: Sequence[str] | None = None,
) -> History:
    """Drive all runs in turn; Ctrl-C ends the whole and keeps what there is.

    order: of labels in the history, if not that of the runs.
    """
    callbacks = [callbacks] if callable(callbacks) else callbacks
    processes.meet()  # before anything that may be refused on one process alone
    if directory is not None:
        directory.hold()
    try:
        return _drive_all(todo, callbacks, progress, directory, running, check_memory, order)
    finally:
        if directory is not None:
            directory.drop()
        for sink in callbacks if isinstance(callbacks, Sequence) else ():
            if isinstance(sink, Sink):
                sink.close()


def _drive_all(
    todo: Sequence[tuple[Batch, Cadence]],
    callbacks: Sequence[Callable[[Record], Any]],
    progress: bool,
    directory: RunDir | None,
    running: bool,
    check_memory: bool,
    order: Sequence[str] | None,
) -> History:
    with processes.everyone():
        if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
            raise bad("callbacks", callbacks, instead="give functions fn(record), one or a list of them")
        for run, cadence in todo:
            with run.blamed():
                cadence.check(run)
                run.check_phases()
                if check_memory:
                    memory_check.check_shapes(run)
    if processes.count() > 1:
        processes.same({run.label: _told_apart(run, cadence) for run, cadence in todo})
    interrupted = False
    with Interrupt() as interrupt, Progress(progress and processes.leads()) as bar:
        try:
            for run, cadence in todo:
                with run.blamed():
                    interrupted = drive(run, cadence, callbacks, bar, directory, interrupt, running, check_memory)
                run.release()
                if interrupted:
                    break
        except TooLargeError as error:  # of a run whose program does not fit, after others have run
            if processes.count() == 1 and any(run.records for run, _ in todo):
                error.history = _ended(todo, directory, order)
            raise
    return _ended(todo, directory, order, interrupted)


def _ended(
    todo: Sequence[tuple[Batch, Cadence]],
    directory: RunDir | None,
    order: Sequence[str] | None,
    interrupted: bool = False,
) -> History:
    """The history of runs that are over, with its page in the directory."""
    begun = [run for run, _ in todo if run.records or run.started]
    facts = [run.facts() for run in begun]
    if directory is None:
        setups = {label: setup for run in begun for label, setup in run.setups().items()}
        facts = [{label: found | {"setup": setups[label]} for label, found in each.items()} for each in facts]
    else:  # what stands in run.json, too
        facts = [{label: directory.facts.get(label, {}) | found for label, found in each.items()} for each in facts]
    facts = processes.share({label: found for each in facts for label, found in each.items()})
    at = {label: i for i, label in enumerate(order or facts)}
    records = sorted((r for run, _ in todo for r in run.records), key=lambda r: at[r["run"]])
    facts = {label: facts[label] for label in sorted(facts, key=lambda label: at[label])}
    states = {run.label: run for run, _ in todo if run.alive}
    history = History(records, facts, states=states, interrupted=interrupted, directory=directory and directory.path)
    history.graphs = {k: v for run in begun for k, v in run.graphs().items() if v}
    history.held = sum((run.arrays for run, _ in todo), Arrays())
    if directory is not None and directory._made and records:
        directory.report(history)
    return history


def _told_apart(run: Batch, cadence: Cadence) -> dict[str, Any]:
    """What all processes must have been given alike."""
    parts = run.fingerprints()
    code = parts.pop("code")
    when = {f.name: str(getattr(cadence, f.name)) for f in fields(cadence) if f.name != "metrics"}
    metrics = [getattr(m, "__name__", type(m).__name__) for m in cadence.measures(run.problem)]
    mesh = str(dict(run.layout.mesh.shape))
    return parts | {"code": fingerprint(code)} | when | {"metrics": metrics, "mesh": mesh}


def _write_config(directory: RunDir | None, todo: Sequence[tuple[SingleRun, Cadence]], seed: Any, mesh: Any) -> None:
    """Give the directory the config of runs that were made by calls, where there is one."""
    if directory is None or directory.config is not None:
        return
    cadence = todo[0][1]
    if any(replace(other, rounds=cadence.rounds) != cadence for _, other in todo):
        return
    when = {f.name: getattr(cadence, f.name) for f in fields(cadence) if f.name != "rounds"}
    rounds = {run.label: other.rounds for run, other in todo}
    given = {run.label: (*run.stages[0].given, of_setup(run.stages)) for run, _ in todo}
    directory.config = as_config(given, rounds, seed, when, mesh)


__all__ = ["DivergenceError", "compare", "continue_run", "drive_all", "planned", "simulate"]
