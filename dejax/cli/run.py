"""Commands that run: run and resume."""

import argparse
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from . import sweep
from .shared import (
    DONE,
    INTERRUPTED,
    alike,
    chosen_directory,
    console,
    imports_of,
    join,
    load,
    objects_of,
    print_table,
    say_where,
    seed_of,
    sinks_of,
)


def run(args: argparse.Namespace) -> int:
    """All runs of a config, into one run directory."""
    several = join(args)
    with alike(several):
        config = load(args)
    return _execute(config, args.quiet, several, out=chosen_directory(args, config), anyway=args.anyway)


def resume(args: argparse.Namespace) -> int:
    """Go on in a run directory, from its newest checkpoints."""
    from ..config import load as read
    from ..runs.directory import RunDir
    from ..runs.sending import catch_up_ended

    several = join(args)
    path = Path(args.directory)
    with alike(several):
        if not path.is_dir():
            raise FileNotFoundError(f"no run directory {args.directory!r}")
        if (path / "metrics.jsonl").is_file() and not (path / "run.json").is_file():
            raise ConfigError(
                (),
                f"{args.directory} holds results without checkpoints (saved from a history), so there is nothing to go on from.",
            )
        if not (path / "config.yaml").is_file():
            raise ConfigError(
                (), f"{args.directory} holds no config.yaml: it was not written by `dejax run`; resume it from Python."
            )
        sets = [*(args.set or ()), *([] if args.rounds is None else [f"rounds={args.rounds}"])]
        config = read(path / "config.yaml", sets, imports=imports_of(args))
    directory = RunDir(path, resume=True, fallback=args.fallback)
    swept = directory.about.get("sweep")
    runs: list[Any] = list(config.runs)
    if swept is not None:
        with alike(several):
            runs = sweep.trials_of(path / "config.yaml", sets, swept["over"], config)
    ends = [(run.rounds, directory.facts.get(run.label, {})) for run in runs]
    broken = lambda fact: swept is not None and fact.get("status", "").startswith("diverged")
    done = lambda rounds, fact: (
        fact.get("status", "").startswith(("done", "nonfinite")) and fact.get("rounds") == rounds
    )
    if all(done(rounds, fact) or broken(fact) for rounds, fact in ends):
        directory.check_records()
        catch_up_ended(sinks_of(config), path)
        return _finished(path, max(rounds for rounds, _ in ends), args.quiet)
    if swept is not None:
        return sweep.execute(
            path / "config.yaml", sets, config, swept, several, args.quiet, anyway=args.anyway, resume=str(path),
            fallback=args.fallback,
        )  # fmt: skip
    return _execute(config, args.quiet, several, resume=str(path), anyway=args.anyway, fallback=args.fallback)


def _finished(path: Path, rounds: int, quiet: bool) -> int:
    """Show a run directory that has nothing left to do."""
    from .. import report
    from ..devices import processes

    mute = not processes.leads()
    print_table(report.load(path).table(), console(quiet or mute))
    more = f"{path} was finished before, nothing was run; for more rounds: dejax resume {path} --rounds {2 * rounds}"
    console(mute).print(str(path) if quiet else more, markup=False, soft_wrap=True)
    return DONE


def _execute(
    config: Any, quiet: bool, several: bool, out: str | None = None, resume: str | None = None, anyway: bool = False,
    fallback: bool = False,
) -> int:  # fmt: skip
    from ..devices import processes
    from ..runs.directory import RunDir

    RunDir(out or resume, resume is not None)  # refuse a taken directory before any data are read
    from ..config import blamed
    from ..runs.simulate import compare

    mute = not processes.leads()
    say = console(quiet or mute)
    with processes.everyone():
        sinks = sinks_of(config)
        tasks = objects_of(config)
    for text in dict.fromkeys(str(problem.data) for _, problem, *_ in tasks.values()):
        say.print(text, markup=False, soft_wrap=True)
    with blamed(config):
        history = compare(
            tasks,
            {run.label: run.rounds for run in config.runs},
            seed=seed_of(config),
            callbacks=sinks,
            progress=not quiet,
            out=out,
            resume=resume,
            config=config.yaml(),
            fallback=fallback,
            check_memory=not anyway,
            mesh={} if several and config.mesh is None else config.mesh,
            **config.eval,
        )
    print_table(history.table(), say)
    where = out or resume
    if history.interrupted:
        console(mute, stderr=True).print(
            f"stopped; results so far are in {where}; go on with: dejax resume {where}", markup=False, soft_wrap=True
        )
        return INTERRUPTED
    say_where(where, quiet, mute)
    return DONE


__all__ = ["resume", "run"]
