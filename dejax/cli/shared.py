"""What the commands share: reading the config, printing."""

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..runs.printing import Printed, console

# Schedulers: where each says how many tasks there are, and which of them this one is
TASKS = {
    "SLURM": ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),  # of srun; a batch script itself is one process
    "Open MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
}
DONE, USER_ERROR, INTERRUPTED = 0, 2, 130


def join(args: argparse.Namespace) -> bool:
    """Join the other processes of the job, if the command says that there are any.

    Returns True if it does.

    Raises:
      ValueError: nothing says where they are, or how many.
    """
    flags = {"coordinator_address": args.coordinator, "num_processes": args.processes, "process_id": args.process_id}
    given = {name: value for name, value in flags.items() if value is not None}
    if not args.distributed and not given:
        _hint_at_tasks()
        return False
    import jax

    if None not in (args.processes, args.process_id) and not 0 <= args.process_id < args.processes:
        raise ValueError(
            f"--process-id is {args.process_id} and --processes is {args.processes}; give each of {args.processes} processes a number "
            f"of its own from 0 to {args.processes - 1}"
        )
    host, _, port = (args.coordinator or "").rpartition(":")
    if args.coordinator is not None and not (host and port.isdecimal() and 1 <= int(port) <= 65535):
        raise ValueError(
            f"--coordinator is {args.coordinator!r}; give HOST:PORT with a port from 1 to 65535, e.g. 10.0.0.1:1234"
        )
    try:
        jax.distributed.initialize(**given)
    except ValueError as error:  # JAX found no cluster
        words = {
            "coordinator_address": "--coordinator HOST:PORT",
            "num_processes": "--processes N",
            "process_id": "--process-id I",
        }
        missing = " ".join(words[name] for name in flags if name not in given)
        if not missing:
            raise
        raise ValueError(
            f"no SLURM, Open MPI, Kubernetes or TPU environment was found that says what is missing; give {missing}"
        ) from error
    return True


def _hint_at_tasks() -> None:
    """Warn on stderr that a scheduler may have started tasks that know nothing of each other.

    One of them says it for all.
    """
    for scheduler, (name, rank) in TASKS.items():
        number = os.environ.get(name, "")
        if number.isdigit() and int(number) > 1 and os.environ.get(rank, "0") == "0":
            console(stderr=True).print(
                f"dejax: {scheduler} says that there are {number} tasks ({name}), but each that is started without --distributed runs "
                "everything for itself; to share one run, start all of them with --distributed",
                markup=False,
                soft_wrap=True,
            )
            return


def alike(several: bool) -> Any:
    """A stretch that all processes pass, or none; without JAX where this is the only one."""
    if not several:
        return contextlib.nullcontext()
    from ..devices import processes

    return processes.everyone()


def chosen_directory(args: argparse.Namespace, config: Any) -> str:
    """Choose where results go.

    Process 0 looks and tells all, since clocks and file systems of hosts differ.
    """
    from ..devices import processes

    return processes.led(lambda: args.out or config.out or default_directory(args.config))()


def default_directory(config: str) -> str:
    """runs/NAME-DATE, one that does not exist."""
    stem = f"{Path(config).stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, count = Path("runs") / stem, 1
    while path.exists():
        count += 1
        path = Path("runs") / f"{stem}-{count}"
    return str(path)


def joined() -> bool:
    """Whether this process is one of several."""
    if "jax" not in sys.modules:
        return False
    import jax

    return jax.distributed.is_initialized()


def load(args: argparse.Namespace) -> Any:
    """The config that the command names, with its overrides."""
    from ..config import load as read

    return read(args.config, args.set or (), imports=imports_of(args))


def imports_of(args: argparse.Namespace) -> list[str]:
    """Import the modules that the command trusts, which are looked for in this folder, too.

    It is looked at last, and only while they are imported: so no other module in it takes the place of an installed one, or is
    run because an installed one asks for its name.
    """
    if args.imports:
        import dejax

        from ..config.registry import imported

        for name in dejax.__all__:  # with all that they import themselves
            getattr(dejax, name)
        with _also_here():
            for module in args.imports:
                imported(module)
    return args.imports


@contextlib.contextmanager
def _also_here() -> Iterator[None]:
    """A stretch in which modules are looked for in this folder, after all other places."""
    here = os.getcwd()
    new = here not in sys.path and "" not in sys.path
    sys.path += [here] if new else []
    try:
        yield
    finally:
        if new:
            sys.path.remove(here)


def sinks_of(config: Any) -> tuple[Any, ...]:
    """Where records go beside the run directory.

    Raises:
      ConfigError: a library is missing; names the sink.
    """
    from ..config import blamed

    with blamed(config):
        return config.sinks


def objects_of(config: Any) -> dict[str, tuple[Any, Any, Any]]:
    """label -> (method, problem, network), or also phases, of each run, as `compare` takes them."""
    return {run.label: run.experiment() for run in config.runs}


def seed_of(config: Any) -> int | list[int]:
    """The seed of a config: a number where there is one."""
    seeds = config.seeds
    return seeds[0] if len(seeds) == 1 else list(seeds)


def escape(text: str) -> str:
    """Text that rich prints as it is."""
    from rich.markup import escape as quote

    return quote(text)


def print_table(table: Any, out: Any) -> None:
    """Print a results table: ruled where the terminal is wide enough, else plain lines.

    Plain lines never lose a column.
    """
    width = max((len(line) for line in str(table).splitlines()), default=0)
    if out.is_terminal and out.width > width + 4:
        out.print(table.rich())
    else:
        out.print(f"\n{table}\n", markup=False, soft_wrap=True)


def say_where(directory: str | None, quiet: bool, mute: bool) -> None:
    """Say where results are; `quiet`: the directory alone, for scripts."""
    text = directory if quiet else f"written to {directory}; open {Path(str(directory)) / 'report.html'}"
    console(mute).print(text, markup=False, soft_wrap=True)


def grid(*columns: str, right: tuple[int, ...] = ()) -> Any:
    """A plain table."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, title in enumerate(columns):
        table.add_column(title, justify="right" if i in right else "left", overflow="fold")
    return table


def write(text: str) -> None:
    """Write text to standard output, whatever its encoding."""
    Printed(sys.stdout).write(text)


def print_json(value: object) -> None:
    """JSON for scripts; numbers that are not finite become null."""
    write(json.dumps(clean(value), indent=2, default=str, allow_nan=False) + "\n")


def clean(value: object) -> Any:
    """Plain values that JSON can hold."""
    import math

    listed = getattr(value, "tolist", None)  # of an array, of NumPy or of JAX
    if listed is not None:
        value = listed()
    if isinstance(value, dict):
        return {str(k): clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


__all__ = [
    "DONE",
    "INTERRUPTED",
    "USER_ERROR",
    "alike",
    "chosen_directory",
    "clean",
    "console",
    "default_directory",
    "escape",
    "grid",
    "join",
    "joined",
    "load",
    "objects_of",
    "print_json",
    "print_table",
    "say_where",
    "seed_of",
    "sinks_of",
    "write",
]
