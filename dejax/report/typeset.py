"""Tables as papers print them: LaTeX, Markdown, CSV; the best of each column in bold."""

import csv
import io
import math
from pathlib import Path
from typing import Any

from ..core.types import PathLike
from ..errors import bad
from ..metrics import direction
from .endings import ended_well
from .tables import BEST, CHOSEN, Table, cell, one_line

SPENT = (
    "bytes",
    "audit",
    "wall",
    "flops",
    "joules",
)  # families of numbers that say what a run took, not how well it did
SPECIAL = str.maketrans(
    {c: "\\" + c for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\texttt{\char34}"}
    | {"[": "{[}"}  # which \\\\ of the row before would take for the beginning of an argument
    | {"*": "{*}"}  # and this for a part of it
)
MARKUP = str.maketrans({c: "\\" + c for c in "\\`*_[]<>|~$&#"})  # what Markdown, also that of GitHub, would read


def save_table(table: Table, path: PathLike) -> None:
    """Write a table as .tex (booktabs), .md or .csv, by the end of the name.

    Raises:
      ValueError: another end.
    """
    kinds = {".tex": latex, ".md": markdown, ".csv": comma_separated}
    kind = Path(path).suffix.lower()
    if kind not in kinds:
        raise bad("table", str(path), instead=f"give a file that ends in {', '.join(kinds)}")
    Path(path).write_text(kinds[kind](table), encoding="utf-8")


def latex(table: Table) -> str:
    r"""A tabular in the style of booktabs, the best of each measured column in bold.

    Its preamble needs \usepackage{booktabs}; labels with letters beyond Latin need LuaLaTeX or XeLaTeX.
    """
    tex = lambda text: text.translate(SPECIAL)
    head, *rows = _marked(table, tex, lambda text: rf"\textbf{{{text}}}")
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
    lines += [" & ".join(row) + r" \\" for row in rows]
    return (
        "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *(f"% {one_line(note)}" for note in table.notes)]) + "\n"
    )


def markdown(table: Table) -> str:
    """A table of Markdown, the best of each measured column in bold."""
    plain = lambda text: text.translate(MARKUP)
    head, *rows = _marked(table, plain, lambda text: f"**{text}**")
    line = lambda cells: "| " + " | ".join(cells) + " |"
    body = "\n".join(line(row) for row in rows)
    notes = "".join(f"\n{plain(one_line(note))}\n" for note in table.notes)
    return f"{line(head)}\n|---|{'---:|' * (len(head) - 1)}\n{body}\n{notes}"


def comma_separated(table: Table) -> str:
    """Plain numbers in full; where there are several seeds, `NAME ±` stands beside NAME."""
    pairs = {key for key, _ in table.columns for row in table.rows if isinstance(row.get(key), tuple)}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name for key, _ in table.columns for name in ((key, f"{key} ±") if key in pairs else (key,))])
    for row in table.rows:
        cells: list[Any] = []
        for key, _ in table.columns:
            value = row.get(key)
            mean, spread = value if isinstance(value, tuple) else (value, None)
            cells += [mean, spread] if key in pairs else [mean]
        writer.writerow(["" if x in (None, "-") else x for x in cells])
    return out.getvalue()


def best_of(table: Table) -> dict[str, list[int]]:
    """Column -> rows of its best number, of columns that say how well a run did.

    A table of one row has none, nor have numbers of which nothing says which way is better. Numbers that print alike are
    equally good. Runs that did not end well are none of the best.
    """
    names = [key.removeprefix(BEST).removeprefix(CHOSEN) for key, _ in table.columns]
    families = [name.split("/")[0] for name in names if "/" in name]
    measured = next((family for family in families if family not in SPENT), "objective")
    out = {}
    for key, _ in table.columns:
        name = key.removeprefix(BEST).removeprefix(CHOSEN)
        family = measured if key == "equal" else name.split("/")[0]
        ranks = name in ("equal", "objective", "loss") or ("/" in name and family not in SPENT)
        if len(table.rows) < 2 or not ranks:
            continue
        found = [row.get(key) if ended_well(row.get("status", "done")) else None for row in table.rows]
        means = [x[0] if isinstance(x, tuple) else x for x in found]
        there = [x for x in means if x is not None and math.isfinite(x)]
        more = direction.higher(family if key == "equal" else name, table.higher)
        if there and more is not None:
            best = (max if more else min)(there)
            out[key] = [i for i, x in enumerate(means) if x is not None and cell(key, x) == cell(key, best)]
    return out


def _marked(table: Table, escape: Any, strong: Any) -> list[list[str]]:
    """All cells, escaped; the best of each column marked, its spread left as it is."""
    cells, best = [[escape(text) for text in row] for row in table.cells()], best_of(table)
    for column, (key, _) in enumerate(table.columns):
        for i in best.get(key, ()):
            mean, sep, spread = cells[i + 1][column].partition(escape(" ± "))
            cells[i + 1][column] = strong(mean) + sep + spread
    return cells


__all__ = ["best_of", "comma_separated", "latex", "markdown", "save_table"]
