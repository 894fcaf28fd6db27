"""The command report: table, figures and page of runs side by side."""

import argparse
from pathlib import Path
from typing import Any

from ..runs.writable import check_writable
from .shared import DONE, console, print_json, print_table


def report(args: argparse.Namespace) -> int:
    """One or several run directories side by side."""
    from .. import report as reports
    from ..report.choose import labels_in

    if args.out:
        if Path(args.out).exists():
            raise FileExistsError(f"{args.out} exists; give another --out: nothing is overwritten")
        check_writable(args.out, "--out")
    history = reports.load(*args.runs)
    higher, lower = known(history, args.higher), known(history, args.lower)
    if both := [name for name in higher if name in lower]:
        raise ValueError(f"--higher and --lower both name {both[0]}; give it to one of them")
    history.higher |= dict.fromkeys(higher, True) | dict.fromkeys(lower, False)
    if args.only is not None:
        history = reports.only(history, [label for text in args.only for label in labels_in(history, text)])
    if args.choose is not None:
        history = reports.choose(history, [name.strip() for name in args.choose.split(",")])
    names = None if args.columns is None else [name.strip() for name in args.columns.split(",")]
    if args.band == "minmax" and (args.table is not None or args.figure is None):
        raise ValueError(
            "--band minmax is of curves, where tables have one number; give std or ci95, or --figure FILE alone"
        )
    band, target = "std" if args.band == "minmax" else args.band, target_of(args)
    table = reports.table(history, names, band=band, target=target)
    for_paper(args, history, table)
    if args.out:
        reports.save(history, args.out)
    if args.json:
        print_json({"runs": table.rows, "notes": list(table.notes), "facts": history.facts})
        return DONE
    out = console()
    print_table(table, out)
    for path in filter(None, (args.table, args.figure)):
        out.print(f"written to {path}")
    if args.out:
        out.print(f"written to {args.out}: open {Path(args.out) / 'report.html'}")
    return DONE


def known(history: Any, names: str | None) -> list[str]:
    """`NAME,NAME` as a list.

    Raises:
      ValueError: a name that no record holds.
    """
    found = [] if names is None else [name.strip() for name in names.split(",")]
    for name in found:
        history._known(name)
    return found


def for_paper(args: argparse.Namespace, history: Any, table: Any) -> None:
    """Write the table and the figure that were asked for.

    Raises:
      ValueError: an end of a name that is none of theirs; a flag of figures without --figure.
    """
    from ..report import paper, typeset

    alone = [
        f"--{name}" for name in ("metric", "map", "facet") if getattr(args, name) is not None and args.figure is None
    ]
    if alone:
        raise ValueError(f"{alone[0]} says what --figure draws, which is not given; add --figure FILE")
    for flag in ("table", "figure"):
        path = getattr(args, flag)
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise FileNotFoundError(f"--{flag} is {path!r}, but there is no directory {Path(path).parent}; make it")
    if args.table is not None:
        typeset.save_table(table, args.table)
    if args.figure is not None:
        width = args.width if args.width in paper.WIDTHS else number(args.width)
        if args.map is not None and args.facet is not None:
            raise ValueError("--map and --facet are two figures; give one of them")
        if args.map is not None:
            over = tuple(name.strip() for name in args.map.split(","))
            figure = paper.heat_map(history, over, args.metric, width=width)
        else:
            figure = paper.curves(history, args.metric, args.x, band=args.band, width=width, facet=args.facet)
        paper.save_figure(figure, args.figure)


def target_of(args: argparse.Namespace) -> tuple[str, float] | None:
    """`accuracy/local=0.8` -> ("accuracy/local", 0.8).

    Raises:
      ValueError: another form.
    """
    if args.target is None:
        return None
    name, _, text = args.target.partition("=")
    value = number(text)
    if not name or not isinstance(value, float):
        raise ValueError(f"--target is {args.target!r}; give a number's name and a value, e.g. accuracy/local=0.8")
    return name, value


def number(text: str) -> Any:
    """The number that a text is, or the text."""
    try:
        return float(text)
    except ValueError:
        return text


__all__ = ["report"]
