"""Tables, curves and maps as papers print them.

LaTeX, Markdown and CSV; PDF, SVG and PGF as wide as a column.
"""

import csv
import io
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.types import Axes, Figure, PathLike
from ..errors import bad
from . import facets, figures
from .history import BY, History
from .seeds import check_band
from .tables import BEST, CHOSEN, Table
from .targets import sign_of

SPENT = (
    "bytes",
    "audit",
    "wall",
    "flops",
    "joules",
)  # families of numbers that say what a run took, not how well it did
WIDTHS = {"column": 3.25, "page": 6.75}  # inches, of two-column papers
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "pdf.fonttype": 42,  # TrueType, embedded: what submission systems take
    "ps.fonttype": 42,
    "pgf.texsystem": "pdflatex",
}
SPECIAL = str.maketrans(
    {c: "\\" + c for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
)


# ---- tables
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

    Its preamble needs \usepackage{booktabs}.
    """
    tex = lambda text: text.translate(SPECIAL)
    head, *rows = _marked(table, tex, lambda text: rf"\textbf{{{text}}}")
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
    lines += [" & ".join(row) + r" \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *(f"% {note}" for note in table.notes)]) + "\n"


def markdown(table: Table) -> str:
    """A table of Markdown, the best of each measured column in bold."""
    plain = lambda text: text.replace("|", r"\|")
    head, *rows = _marked(table, plain, lambda text: f"**{text}**")
    line = lambda cells: "| " + " | ".join(cells) + " |"
    body = "\n".join(line(row) for row in rows)
    notes = "".join(f"\n{note}\n" for note in table.notes)
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


def best_of(table: Table) -> dict[str, int]:
    """Column -> row of its best number, of columns that say how well a run did; none of one row."""
    names = [key.removeprefix(BEST).removeprefix(CHOSEN) for key, _ in table.columns]
    families = [name.split("/")[0] for name in names if "/" in name]
    measured = next((family for family in families if family not in SPENT), "objective")
    out = {}
    for key, _ in table.columns:
        name = key.removeprefix(BEST).removeprefix(CHOSEN)
        family = measured if key == "equal" else name.split("/")[0]
        said = name in ("equal", "objective", "loss") or ("/" in name and family not in SPENT)
        if len(table.rows) < 2 or not said:
            continue
        found = [row.get(key) for row in table.rows]
        means = [x[0] if isinstance(x, tuple) else x for x in found]
        sign = sign_of(family if key == "equal" else name)
        ranked = [-math.inf if x is None or not math.isfinite(x) else sign * x for x in means]
        if max(ranked) > -math.inf:
            out[key] = int(np.argmax(ranked))
    return out


def _marked(table: Table, escape: Any, strong: Any) -> list[list[str]]:
    """All cells, escaped; the best of each column marked, its spread left as it is."""
    cells, best = [[escape(text) for text in row] for row in table.cells()], best_of(table)
    for column, (key, _) in enumerate(table.columns):
        if key in best:
            row = cells[best[key] + 1]
            mean, sep, spread = row[column].partition(escape(" ± "))
            row[column] = strong(mean) + sep + spread
    return cells


# ---- figures
def curves(
    history: History,
    name: str | None = None,
    by: str = "round",
    *,
    band: str | None = "std",
    width: str | float = "column",
    facet: str | None = None,
) -> Any:
    """Draw one number of all runs for a paper: small type, colours for all eyes, embedded fonts.

    Args:
      history: one or several runs.
      name: as in `History.plot`; None: what `History.figure` draws.
      by: "round", "bytes", "gradients", "epochs", "seconds", "wall", "flops" or "joules".
      band: around the mean over seeds, as in `History.plot`.
      width: "column" (3.25 in) or "page" (6.75 in) of a paper in two columns, or inches.
      facet: small multiples, a panel for each value of this field of the config; see `facets.of_runs`.
    Returns:
      A matplotlib Figure, not shown and not registered with pyplot.
    Raises:
      ValueError: unknown name, axis, band, width or field; an axis that the records lack.
    """
    check_band(band)
    history._check_axis(history._axis(by))
    name = figures.drawable(history) if name is None else name
    if name is None:
        raise bad(
            "history", history, says="has nothing to draw", instead="measure a metric, e.g. metrics=['consensus']"
        )
    members = figures._family(history, name)
    value = dict.fromkeys(history.runs, "") if facet is None else facets.of_runs(history, facet)
    panels = list(dict.fromkeys(value.values()))
    called = {run: facets.short(history, run, facet) if facet else run for run in history.runs}
    colors = {key: figures.COLORS[i % len(figures.COLORS)] for i, key in enumerate(dict.fromkeys(called.values()))}
    inches = _inches(width)
    columns = min(len(panels), 2 if inches < 5 else 3)

    def draw(axes: np.ndarray, fig: Figure) -> None:
        for i, (ax, panel) in enumerate(zip(axes.flat, panels, strict=False)):
            own = {run: colors[called[run]] for run in history.runs if value[run] == panel}
            positive = by == "bytes" and figures._wide(history)
            figures._lines(ax, history, members, BY[by], band, positive=positive, colors=own)
            for line in ax.get_lines():
                line.set_linewidth(0.55 * line.get_linewidth())
            if by == "bytes":
                figures._bytes_axis(ax, history)
            if facet is not None:
                ax.set_title(facets.headed(facet, panel), fontsize=8, loc="left")
            if i + columns >= len(panels):  # nothing below it
                ax.set_xlabel(figures.AXIS[BY[by]])
                ax.tick_params(labelbottom=True)
            if i % columns == 0:
                ax.set_ylabel("test accuracy" if name == "accuracy" else figures._words(name))
        for ax in axes.flat[len(panels) :]:
            ax.set_axis_off()
        handles = figures._handles(history, members, band, None if facet is None else colors)
        for handle in handles if inches < 5 else ():  # as wide as a column: what lines are, and what bands are
            handle.set_label(handle.get_label().replace("; band", ";\nband"))
        fig.legend(handles=handles, loc="outside lower center", ncols=1, frameon=False, fontsize=7)

    rows = -(-len(panels) // columns)
    shape = 0.72 + 0.06 * len(history.runs)
    if facet is not None:  # in inches: the panels with their titles, then what stands below them
        shape = (rows * (0.25 + 0.72 * inches / columns) + 0.8 + 0.14 * len(colors)) / min(inches, 5.0)
    return _figure(draw, width, shape, rows, columns)


def heat_map(history: History, over: Sequence[str], name: str | None = None, *, width: str | float = "column") -> Any:
    """Draw the last value of one number over two swept numbers, the mean of seeds in each cell.

    Args:
      history: of a sweep, whose records hold what was swept.
      over: the two names, e.g. ("lr", "alpha"), or in full as records hold them ("method.dsgd.lr").
      name: the number; None: that by which `History.best` ranks.
      width: as in `curves`.
    Returns:
      A matplotlib Figure. Cells of runs that ended without a finite number stay empty.
    Raises:
      ValueError: not two names; a name that no record holds, or that two do; a sweep of several runs.
    """
    if len(over) != 2 or isinstance(over, str):
        raise bad("map", over, instead="give two swept numbers, e.g. lr,alpha")
    name = history.measure() if name is None else name
    if name is None:
        raise bad("name", name, instead="say which number to draw")
    history._known(name)
    fields = [_field(history, wanted) for wanted in over]
    varied = list(dict.fromkeys((history.facts.get(run, {}).get("swept") or {}).get("run", "") for run in history.runs))
    if len(varied) > 1:
        raise bad(
            "map",
            over,
            why=f"but every cell holds {' and '.join(varied)}",
            instead=f"draw one of them: --only {varied[0]}",
        )
    last: dict[tuple[float, float], list[float]] = {}
    for run in history.runs:
        at = {tuple(r[f] for f in fields) for r in history.records if r["run"] == run and all(f in r for f in fields)}
        if len(at) == 1 and any(name in r for r in history.records if r["run"] == run):
            last.setdefault(at.pop(), []).append(history.last(name, run))
    x, y = (sorted({key[i] for key in last}) for i in range(2))
    grid = np.full((len(y), len(x)), np.nan)
    for (a, b), values in last.items():
        grid[y.index(b), x.index(a)] = np.mean(values)
    grid[~np.isfinite(grid)] = np.nan

    def draw(axes: np.ndarray, fig: Figure) -> None:
        ax: Axes = axes[0, 0]
        shown = ax.imshow(grid, origin="lower", aspect="auto", cmap="cividis")
        ax.grid(False)
        ax.set_xticks(range(len(x)), [f"{v:g}" for v in x])
        ax.set_yticks(range(len(y)), [f"{v:g}" for v in y])
        ax.set_xlabel(over[0])
        ax.set_ylabel(over[1])
        low, high = np.nanmin(grid), np.nanmax(grid)
        for j, i in np.argwhere(np.isfinite(grid)):
            dark = grid[j, i] < (low + high) / 2
            ax.text(i, j, f"{grid[j, i]:.3g}", ha="center", va="center", fontsize=7, color="white" if dark else "black")
        fig.colorbar(shown, ax=ax).set_label(name)

    if not np.isfinite(grid).any():
        raise bad("name", name, why=f"but no run ended with a finite {name}", instead="draw another number")
    return _figure(draw, width, 0.8)


def save_figure(figure: Figure, path: PathLike) -> None:
    """Write a figure as .pdf, .svg, .png or .pgf, by the end of the name.

    Raises:
      ValueError: another end. RuntimeError: a .pgf where there is no pdflatex to measure text.
    """
    import matplotlib

    kind = Path(path).suffix.lower()
    if kind not in (".pdf", ".svg", ".png", ".pgf"):
        raise bad("figure", str(path), instead="give a file that ends in .pdf, .svg, .png or .pgf")
    if kind == ".pgf" and shutil.which("pdflatex") is None:
        raise RuntimeError(f"{path} needs pdflatex to measure its text, which is not installed; write a .pdf instead")
    metadata = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(kind)  # the same numbers, the same bytes
    with matplotlib.rc_context(figures.STYLE | STYLE):
        figure.savefig(path, dpi=300, metadata=metadata)


def _inches(width: str | float) -> float:
    inches = WIDTHS.get(width) if isinstance(width, str) else width
    if isinstance(inches, bool) or not isinstance(inches, (int, float)) or not 0 < inches < 100:
        raise bad("width", width, instead="give 'column', 'page', or inches, e.g. 5.5")
    return inches


def _figure(draw: Any, width: str | float, shape: float, rows: int = 1, columns: int = 1) -> Any:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    inches = _inches(width)
    with matplotlib.rc_context(figures.STYLE | STYLE):
        fig = Figure(figsize=(inches, shape * min(inches, 5.0)), layout="constrained")
        FigureCanvasAgg(fig)
        draw(fig.subplots(rows, columns, squeeze=False, sharex=True, sharey=True), fig)
    return fig


def _field(history: History, wanted: str) -> str:
    """The name in records of a swept number that is given in short."""
    found = [name for name in history.names if name == wanted or name.endswith("." + wanted)]
    if len(found) == 1:
        return found[0]
    held = [name for name in history.names if "." in name]
    why = "which no record holds" if not found else f"which may be any of {', '.join(found)}"
    raise bad("map", wanted, why=why, instead=f"give one of {', '.join(held) or 'the numbers that a sweep went over'}")


__all__ = [
    "best_of",
    "comma_separated",
    "curves",
    "heat_map",
    "latex",
    "markdown",
    "save_figure",
    "save_table",
]
