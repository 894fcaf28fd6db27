"""The `dejax` command: run, sweep, resume, show, list, plan, topology, report.

Exit codes: 0 done; 2 a mistake in the command or the config (one message, no traceback); 130 stopped by Ctrl-C, with the
results so far kept. JAX is imported by the commands that compute, not by `--version`, `--help` and `list`.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from .config import ConfigError

DONE, USER_ERROR, INTERRUPTED = 0, 2, 130


# ---- list, show
def _list(args: argparse.Namespace) -> int:
    from .config import _listing

    groups = _listing.chosen(args.kinds)
    if args.json:
        _print_json(_listing.as_json(groups))
        return DONE
    console = _console()
    for group, members in groups.items():
        console.print(f"\n[bold underline]{group}[/]" + (" (none)" if not members else ""))
        for m in members:
            name, _, rest = m.signature.partition("(")
            console.print(f"  [bold cyan]{name}[/]({_escape(rest)}", soft_wrap=True)
            console.print(f"      {_escape(m.summary)}", soft_wrap=True)
            if m.reference:
                console.print(f"      [dim]{_escape(m.reference)}[/]", soft_wrap=True)
    return DONE


def _show(args: argparse.Namespace) -> int:
    config = _load(args)
    sys.stdout.write(config.json() + "\n" if args.json else config.yaml())
    return DONE


# ---- shared
def _load(args: argparse.Namespace) -> Any:
    from .config import load

    return load(args.config, args.set or ())


def _console(quiet: bool = False, stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(quiet=quiet, stderr=stderr, highlight=False)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def version() -> str:
    """`dejax 0.1.0 (jax 0.10.2, Python 3.11.7)`, read from the installed packages without importing them."""
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

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
        sys.stdout.write(version() + "\n")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        """One line, and the nearest command or flag where one was misspelt."""
        import difflib

        words = [w.strip("'\" ,()") for w in message.replace("=", " ").split()]
        known = [*_COMMANDS, *self._option_string_actions]
        wrong = next((w for w in words if w and w not in known and difflib.get_close_matches(w, known, 1, 0.7)), None)
        hint = f" Did you mean {difflib.get_close_matches(wrong, known, 1, 0.7)[0]}?" if wrong else ""
        self.exit(USER_ERROR, f"{self.prog}: {message}.{hint} See {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """All commands and flags."""
    top = _Parser(prog="dejax", description="Simulate networks of learners that train together, in JAX.")
    top.add_argument("--version", action=_Version, nargs=0, help="print the versions of dejax and jax")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, run: Any, text: str, config: bool = False, as_json: bool = False) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(run=run)
        if config:
            sub.add_argument("config", metavar="CONFIG", help="a YAML file")
            sub.add_argument(
                "--set", action="append", metavar="PATH=VALUE", help="override, e.g. method.dsgd.lr=0.1 (repeatable)"
            )
        if as_json:
            sub.add_argument("--json", action="store_true", help="print JSON for scripts")
        return sub

    _COMMANDS.clear()
    show = command("show", _show, "print the config with every default filled in", config=True, as_json=True)
    del show
    listing = command("list", _list, "list what a config can name, with signature, meaning and source", as_json=True)
    listing.add_argument("kinds", nargs="*", metavar="KIND", help="methods, topologies, codecs, ... (default: all)")
    for name, sub in commands.choices.items():
        _COMMANDS.extend([name, *sub._option_string_actions])
    return top


_COMMANDS: list[str] = []


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = parser().parse_args(argv)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return INTERRUPTED
    except BrokenPipeError:  # `dejax list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (ConfigError, ValueError, TypeError, OSError, ImportError) as error:
        if os.environ.get("DEJAX_DEBUG"):
            raise
        sys.stderr.write(f"dejax {args.command}: {error}\n")
        return USER_ERROR


__all__ = ["main", "parser", "version"]
