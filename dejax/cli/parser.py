"""The `dejax` command: run, sweep, resume, show, list, plan, theory, topology, watch...

Exit codes: 0 done; 2 a mistake in the command or the config (one message, no traceback); 130
stopped by Ctrl-C, with the results so far kept. JAX is imported by the commands that compute, not
by `--version`, `--help` and `list`.
"""

import argparse
import functools
import importlib
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigError
from .shared import DONE, INTERRUPTED, USER_ERROR, joined, write
from .words import on_the_command_line

MISTAKES = (ConfigError, ValueError, TypeError, OSError, ImportError, ArithmeticError)


def version() -> str:
    """Return `dejax 0.1.0 (jax 0.10.2, Python 3.11.7)`, from the installed packages.

    They are not imported.
    """
    import platform
    from importlib.metadata import PackageNotFoundError, version as installed

    import dejax

    own = getattr(dejax, "__version__", "0")

    try:
        jax = installed("jax")
    except PackageNotFoundError:
        jax = "not installed"
    return f"dejax {own} (jax {jax}, Python {platform.python_version()})"


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        """Print and leave."""
        write(version() + "\n")
        parser.exit()


QUIET = "print nothing but the run directory"


def count(text: str) -> int:
    """A whole number, as a flag wants it."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, e.g. 16, got {text!r}") from None


# fields of a config that look like flags
FIELDS = {
    "--devices": "mesh.nodes",
    "--mesh": "mesh.nodes",
    "--n": "data.nodes",
    "--nodes": "data.nodes",
    "--rounds": "rounds",
    "--seed": "seed",
}


def _meant(rest: Sequence[str]) -> str:
    """Say what to write in place of flags that are fields of the config; "" where none is.

    Such as `--nodes 9` -> `--set data.nodes=9`.
    """
    for word, following in zip(rest, [*rest[1:], ""], strict=True):
        flag, _, value = word.partition("=")
        if flag in FIELDS:
            number = next((v for v in (value, following) if v.isdigit()), "N")
            return f" It is a field of the config: give --set {FIELDS[flag]}={number}."
    return ""


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any):
        super().__init__(**options)
        self._negative_number_matcher = re.compile(r"-\.?\d")  # -4GB is a value, as it is from Python 3.14 on

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Refuse what is left over here, where the flags of the command are known."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.refuse(f"unrecognized arguments: {' '.join(rest)}", rest)
        return found, rest

    def error(self, message: str) -> Any:
        """As `refuse`, called by argparse."""
        self.refuse(message)

    def refuse(self, message: str, rest: Sequence[str] = ()) -> Any:
        """Print one line and exit.

        The line names the nearest command or flag where one was misspelt, or the field of the
        config that was meant.
        """
        import difflib

        words = [w.strip("'\" ,:()") for w in message.replace("=", " ").split()]
        known_here = self._option_string_actions
        known = [*_COMMANDS, *known_here]
        wrong = next((w for w in words if w and w not in known and difflib.get_close_matches(w, known, 1, 0.7)), None)
        hint = f" Did you mean {difflib.get_close_matches(wrong, known, 1, 0.7)[0]}?" if wrong else ""
        if "--set" in known_here:
            hint = _meant(rest) or hint
        self.exit(USER_ERROR, f"{self.prog}: {message}.{hint} See {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """All commands and flags."""
    top = _Parser(prog="dejax", description="Simulate networks of learners that train together, in JAX.")
    top.add_argument("--version", action=_Version, nargs=0, help="print the versions of dejax and jax")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, run: str, text: str, config: bool = False, as_json: bool = False) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(run=run)  # where in this package: imported when it is called
        if config:
            sub.add_argument("config", metavar="CONFIG", help="a YAML file")
            sub.add_argument(
                "--set", action="append", metavar="PATH=VALUE", help="override, e.g. method.dsgd.lr=0.1 (repeatable)"
            )
            _importing(sub)
        if as_json:
            sub.add_argument("--json", action="store_true", help="print JSON for scripts")
        return sub

    _COMMANDS.clear()
    running = command("run", "run.run", "run the experiment of a config", config=True)
    running.add_argument("--out", metavar="DIR", help="run directory; it must not exist (default: runs/NAME-DATE)")
    running.add_argument("--quiet", action="store_true", help=QUIET)
    running.add_argument("--anyway", action="store_true", help="run even if it does not seem to fit into memory")
    _of_several(running)
    sweeping = command(
        "sweep", "sweep.sweep", "run a config over values and seeds, numbers at once", config=True, as_json=True
    )
    sweeping.add_argument(
        "--over", action="append", metavar="PATH=V1,V2", help="values of one field (repeatable: all combinations)"
    )
    sweeping.add_argument("--seeds", type=count, metavar="K", help="seeds 0 .. K-1 (default: those of the config)")
    sweeping.add_argument(
        "--at-once", type=count, metavar="K", help="at most K runs in one program (default: all of one structure)"
    )
    sweeping.add_argument("--out", metavar="DIR", help="run directory; it must not exist (default: runs/NAME-DATE)")
    sweeping.add_argument("--quiet", action="store_true", help=QUIET)
    sweeping.add_argument("--anyway", action="store_true", help="sweep even if it does not seem to fit into memory")
    _of_several(sweeping)
    resume = command("resume", "run.resume", "go on with a run or a sweep that was stopped or killed")
    resume.add_argument("directory", metavar="RUN", help="a run directory")
    resume.add_argument("--rounds", type=count, metavar="T", help="go on to T rounds instead of those of the config")
    resume.add_argument("--quiet", action="store_true", help=QUIET)
    resume.add_argument(
        "--set",
        action="append",
        metavar="PATH=VALUE",
        help="override, e.g. mesh.nodes=2 for other devices (repeatable)",
    )
    resume.add_argument(
        "--fallback", action="store_true", help="where the newest checkpoint is damaged, go on from the one before it"
    )
    resume.add_argument("--anyway", action="store_true", help="go on even if it does not seem to fit into memory")
    _importing(resume)
    _of_several(resume)
    command("show", "look.show", "print the config with every default filled in", config=True, as_json=True)
    listing = command(
        "list", "look.listing", "list what a config can name, with signature, meaning and source", as_json=True
    )
    listing.add_argument("kinds", nargs="*", metavar="KIND", help="methods, topologies, codecs, ... (default: all)")
    plan = command(
        "plan",
        "look.plan",
        "say what a config will take in memory and messages, without running it",
        config=True,
        as_json=True,
    )
    plan.add_argument("--memory", metavar="SIZE", help="memory to fit into, e.g. 16GB (default: this machine's)")
    plan.add_argument("--compile", action="store_true", help="also compile the rounds, and say what XLA allocates")
    predicting = command(
        "theory", "theory.theory", "what theory says of the runs of a config", config=True, as_json=True
    )
    predicting.add_argument(
        "--run",
        dest="beside",
        metavar="RUN",
        help="compare with this run directory, and write theory.json there, for `dejax report`",
    )
    topology = command("topology", "look.topology", "facts and picture of a graph", as_json=True)
    topology.add_argument("spec", metavar="SPEC", help="a topology, e.g. ring, or {torus: {rows: 4, columns: 4}}")
    topology.add_argument("arguments", nargs="*", metavar="NAME=VALUE", help="arguments of it, e.g. degree=4")
    topology.add_argument("--n", type=count, metavar="N", help="number of nodes")
    topology.add_argument("--out", metavar="FILE", help="draw it into a .png, .svg or .pdf file")
    topology.add_argument("--force", action="store_true", help="replace the file")
    watch = command("watch", "watch.watch", "show runs on a page of this machine while they go on")
    watch.add_argument("directory", metavar="DIR", help="a run directory, or one that holds several, e.g. runs")
    watch.add_argument(
        "--port", type=count, default=8042, metavar="P", help="of 127.0.0.1; 0: any free (default: 8042)"
    )
    report = command("report", "report.report", "the table of one or several runs side by side", as_json=True)
    report.add_argument("runs", nargs="+", metavar="RUN", help="run directories")
    report.add_argument(
        "--out", metavar="DIR", help="also write figure, page and merged metrics there; it must not exist"
    )
    paper = report.add_argument_group("for a paper", "files that exist are replaced")
    paper.add_argument("--table", metavar="FILE", help="write the table as .tex, .md or .csv, the best in bold")
    paper.add_argument("--columns", metavar="A,B", help="numbers of the table, e.g. accuracy/local,bytes")
    paper.add_argument("--target", metavar="NAME=X", help="add what was spent until a number was there")
    paper.add_argument(
        "--higher", metavar="A,B", help="numbers of which more is better, where their names do not say it"
    )
    paper.add_argument("--lower", metavar="A,B", help="numbers of which less is better")
    paper.add_argument(
        "--band", choices=("std", "ci95", "minmax"), default="std", help="spread over seeds (default: std)"
    )
    paper.add_argument(
        "--only", metavar="LABEL,...", action="append",
        help="keep these runs; of a sweep also by what was varied, or by a value, e.g. topology=ring (repeatable)",
    )  # fmt: skip
    paper.add_argument(
        "--choose", metavar="A,...", help="of a sweep: keep the best of these values for each run, by validation"
    )
    paper.add_argument("--figure", metavar="FILE", help="draw curves into a .pdf, .svg, .png or .pgf file")
    paper.add_argument("--metric", metavar="NAME", help="the number to draw, e.g. accuracy or consensus")
    paper.add_argument(
        "--x", metavar="AXIS", default="round", help="round, bytes, gradients, epochs, seconds, wall, flops or joules"
    )
    paper.add_argument(
        "--map", metavar="A,B", help="instead of curves: a heat map over two swept fields, e.g. lr,topology"
    )
    paper.add_argument("--facet", metavar="FIELD", help="a panel for each value of a field, e.g. network.topology")
    paper.add_argument("--width", metavar="W", default="column", help="column, page, or inches (default: column)")
    for name, sub in commands.choices.items():
        _COMMANDS.extend([name, *sub._option_string_actions])
    return top


_COMMANDS: list[str] = []


def _importing(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--import", dest="imports", action="append", default=[], metavar="MODULE",
        help="import a module of your own, whose members the config names in full (repeatable); this runs its code",
    )  # fmt: skip


def _of_several(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("several processes", "start the same command once per process (docs/scale.md)")
    group.add_argument(
        "--distributed", action="store_true", help="join the job of a SLURM, Open MPI, Kubernetes or TPU environment"
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 listens, if nothing else says so")
    group.add_argument("--processes", type=int, metavar="N", help="number of processes")
    group.add_argument("--process-id", type=int, metavar="I", help="which one this is, 0 .. N-1")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = parser().parse_args(argv)
    if argv is None:  # a process of our own
        from ..xla.cpu_flags import fast_cpu

        fast_cpu()
    with warnings.catch_warnings():
        warnings.showwarning = functools.partial(_show, args, set(), warnings.showwarning)
        return _run_command(args)


def _show(
    args: argparse.Namespace, shown: set[str], plain: Any, message: Any, category: Any, *where: Any, **more: Any
) -> None:
    """Show a warning for users once, on one line, as mistakes are shown.

    Other warnings (of what is outdated, of numbers) appear as Python shows them.
    """
    if not issubclass(category, UserWarning):
        plain(message, category, *where, **more)
    elif str(message) not in shown:
        shown.add(str(message))
        sys.stderr.write(f"{_who(args)}: {on_the_command_line(message, args.command)}\n")


def _who(args: argparse.Namespace) -> str:
    """`dejax run`, or `dejax run: process 1 of 2`."""
    if not joined():
        return f"dejax {args.command}"
    from ..devices import processes

    return f"dejax {args.command}: {processes.name()}"


def _run_command(args: argparse.Namespace) -> int:
    """Its exit code."""
    module, name = args.run.split(".")
    try:
        return getattr(importlib.import_module(f".{module}", __package__), name)(args)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return _end(INTERRUPTED)
    except BrokenPipeError:  # `dejax list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        return _fail(args, error)


def _fail(args: argparse.Namespace, error: Exception) -> int:
    """Print one line for mistakes of users, a traceback for other errors.

    Of several processes each gives its number.
    """
    who, several = _who(args), joined()
    known, told = getattr(error, "known", None) is not None, getattr(error, "told", False)
    mistake = isinstance(error, MISTAKES)
    if several:
        from ..devices import processes

        mistake |= isinstance(error, processes.ProcessError)
    if os.environ.get("DEJAX_DEBUG") or not mistake:
        if not several:
            raise error
        sys.stderr.write(f"{who}\n{''.join(traceback.format_exception(error))}")
    elif not told:
        over = [text.partition("=")[0].strip() for text in getattr(args, "over", None) or ()]
        sys.stderr.write(f"{who}: {on_the_command_line(error, args.command, over)}\n")
    return USER_ERROR if known else _end(USER_ERROR)


def _end(code: int) -> int:
    """Return the exit code; of several processes, end this one here.

    At the usual exit it would wait for the others, who wait for it.
    """
    if joined():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


__all__ = ["main", "parser", "version"]
