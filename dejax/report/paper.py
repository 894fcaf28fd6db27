"""Curves and maps as papers print them: PDF, SVG and PGF as wide as a column."""

import contextlib
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.types import Axes, Figure, PathLike
from ..errors import FieldError, bad
from . import facets, figures
from .endings import ended_well, status_of
from .history import BY, History
from .seeds import check_band
from .titles import AXIS, on_axis

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
            figures.panel(ax, history, members, by, band, own)
            for line in ax.get_lines():
                line.set_linewidth(0.55 * line.get_linewidth())
            if facet is not None:
                ax.set_title(facets.headed(facet, panel), fontsize=8, loc="left")
            if i + columns >= len(panels):  # nothing below it
                ax.set_xlabel(AXIS[BY[by]])
                ax.tick_params(labelbottom=True)
            if i % columns == 0:
                ax.set_ylabel(on_axis(name))
        for ax in axes.flat[len(panels) :]:
            ax.set_axis_off()
        marked = {f"{name}{_broken(history, called, value, name)}": color for name, color in colors.items()}
        handles = figures._handles(history, members, band, None if facet is None else marked)
        for handle in handles if inches < 5 else ():  # as wide as a column: what lines are, and what bands are
            handle.set_label(handle.get_label().replace("; band", ";\nband"))
        fig.legend(handles=handles, loc="outside lower center", ncols=1, frameon=False, fontsize=7)

    rows = -(-len(panels) // columns)
    shape = 0.72 + 0.06 * len(history.runs)
    if facet is not None:  # in inches: the panels with their titles, then what stands below them
        shape = (rows * (0.25 + 0.72 * inches / columns) + 0.8 + 0.14 * len(colors)) / min(inches, 5.0)
    return _figure(draw, width, shape, rows, columns)


def _broken(history: History, called: dict[str, str], panel: dict[str, str], name: str) -> str:
    """Say in which panels the run of a name did not end well; nothing where it did in all."""
    own = [run for run in history.runs if called[run] == name]
    lost = [run for run in own if not ended_well(status_of(history, run))]
    if not lost:
        return ""
    how = "  " + ", ".join(dict.fromkeys(status_of(history, run).split()[0] for run in lost))
    return how if len(lost) == len(own) else f"{how} in {', '.join(panel[run] for run in lost)}"


def heat_map(history: History, over: Sequence[str], name: str | None = None, *, width: str | float = "column") -> Any:
    """Draw the last value of one number over two swept fields, the mean of seeds in each cell.

    Args:
      history: of a sweep.
      over: the two fields, e.g. ("lr", "topology"); numbers also in full, as records hold them ("method.dsgd.lr"). Numbers are
        sorted; texts stand in the order of the sweep.
      name: the number; None: that by which `History.best` ranks.
      width: as in `curves`.
    Returns:
      A matplotlib Figure. Cells of runs that did not end well say how they ended; those of runs without a finite number stay empty.
    Raises:
      ValueError: not two names; a field that was not swept, or that may be two; several runs in one cell.
    """
    if len(over) != 2 or isinstance(over, str):
        raise bad("map", over, instead="give two swept fields, e.g. lr,alpha")
    name = history.measure() if name is None else name
    if name is None:
        raise bad("name", name, instead="say which number to draw")
    history._known(name)
    varied = _varied(history)
    if len(varied) > 1:
        why = f"but every cell holds {' and '.join(varied)}"
        raise bad("map", over, why=why, instead=f"draw one of them: --only {varied[0]}")
    across, up = (_values(history, wanted) for wanted in over)
    x, y = _ordered(across.values()), _ordered(up.values())
    cells: dict[tuple[int, int], str] = {}
    grid = np.full((len(y), len(x)), np.nan)
    for run in history.runs:
        if run not in across or run not in up or not any(name in r for r in history.records if r["run"] == run):
            continue
        at = y.index(up[run]), x.index(across[run])
        if at in cells:
            raise _two_in_a_cell(history, over, cells[at], run)
        cells[at] = run
        if ended_well(status_of(history, run)):
            grid[at] = history.last(name, run)
    grid[~np.isfinite(grid)] = np.nan
    if not np.isfinite(grid).any():
        raise bad("name", name, why=f"but no run ended with a finite {name}", instead="draw another number")
    ticks = lambda values: [f"{v:g}" if isinstance(v, float) else v for v in values]

    def draw(axes: np.ndarray, fig: Figure) -> None:
        ax: Axes = axes[0, 0]
        shown = ax.imshow(grid, origin="lower", aspect="auto", cmap="cividis")
        ax.grid(False)
        long = max(map(len, ticks(x))) * len(x) > 10 * _inches(width)
        ax.set_xticks(range(len(x)), ticks(x), rotation=30 if long else 0, ha="right" if long else "center")
        ax.set_yticks(range(len(y)), ticks(y))
        ax.set_xlabel(over[0])
        ax.set_ylabel(over[1])
        for j, i in np.argwhere(np.isfinite(grid)):
            ink = "white" if np.asarray(shown.norm(grid[j, i]), float) < 0.5 else "black"
            ax.text(i, j, f"{grid[j, i]:.3g}", ha="center", va="center", fontsize=7, color=ink)
        for (j, i), run in cells.items():
            if not ended_well(status_of(history, run)):
                how = status_of(history, run).split()[0]
                ax.text(i, j, how, ha="center", va="center", fontsize=6, color=figures.GREY)
        fig.colorbar(shown, ax=ax).set_label(on_axis(name))

    return _figure(draw, width, 0.8)


def _varied(history: History) -> list[str]:
    """The runs that a sweep varied; those of no sweep are one."""
    return list(dict.fromkeys((history.facts.get(run, {}).get("swept") or {}).get("run", "") for run in history.runs))


def _over(history: History, run: str) -> dict[str, str]:
    """Field -> value of what a sweep set in a run, as labels say it."""
    return (history.facts.get(run, {}).get("swept") or {}).get("over", {})


def _values(history: History, wanted: str) -> dict[str, float | str]:
    """What a swept field is in each run that has it.

    Numbers are those that records hold, texts those of labels.

    Raises:
      ValueError: no run was swept over it, or it may be two fields.
    """
    swept = {run: _over(history, run) for run in history.runs}
    fields = {name for over in swept.values() for name in over}
    ends = lambda name, end: f".{name}".endswith(f".{end}")
    numbers = [
        name for name in history.names if any(ends(name, field) for field in fields)
    ]  # that records hold in full
    found = [name for name in numbers if ends(name, wanted)]
    if len(found) > 1:
        raise bad("map", wanted, why=f"which may be any of {', '.join(found)}", instead="give one of them in full")
    if found:
        return {r["run"]: float(r[found[0]]) for r in history.records if r.get(found[0]) is not None}
    if wanted not in fields:
        held = numbers + [n for over in swept.values() for n in over if not any(ends(h, n) for h in numbers)]
        known = ", ".join(dict.fromkeys(held)) or "the fields that a sweep went over"
        raise bad("map", wanted, why="which no run was swept over", instead=f"give one of {known}")
    texts = {run: over[wanted] for run, over in swept.items() if wanted in over}
    with contextlib.suppress(ValueError):
        return {run: float(text) for run, text in texts.items()}
    return dict(texts)


def _ordered(values: Iterable[float | str]) -> list[float | str]:
    """Each value once: numbers sorted, texts as they came."""
    once = list(dict.fromkeys(values))
    return once if any(isinstance(value, str) for value in once) else sorted(once, key=float)


def _two_in_a_cell(history: History, over: Sequence[str], one: str, other: str) -> FieldError:
    """The error of two runs that would share a cell of a map; it says how to keep one of them."""
    first, second = (_over(history, run) for run in (one, other))
    field = next((name for name, value in first.items() if second.get(name) != value), None)
    if field is None:
        return bad("map", over, why=f"but one cell holds {one!r} and {other!r}", instead=f"draw one: --only {one!r}")
    value = first[field]
    why = f"but a cell holds runs that differ in {field} ({value} and {second.get(field)})"
    instead = f"draw one of its values (--only {field}={value}), or the best in each cell (--choose {field})"
    return bad("map", over, why=why, instead=instead)


def save_figure(figure: Figure, path: PathLike) -> None:
    """Write a figure as .pdf, .svg, .png or .pgf, by the end of the name.

    Raises:
      ValueError: another end. OSError: a .pgf where there is no pdflatex, or one that lacks packages, to measure text.
    """
    import matplotlib
    from matplotlib.backends.backend_pgf import LatexError

    kind = Path(path).suffix.lower()
    if kind not in (".pdf", ".svg", ".png", ".pgf"):
        raise bad("figure", str(path), instead="give a file that ends in .pdf, .svg, .png or .pgf")
    if kind == ".pgf" and shutil.which("pdflatex") is None:
        raise FileNotFoundError(
            f"{path} needs pdflatex to measure its text, which is not installed; install TeX Live (Debian, Ubuntu: "
            "apt install texlive-latex-extra; macOS: MacTeX), or write a .pdf"
        )
    metadata = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(kind)  # the same numbers, the same bytes
    try:
        with matplotlib.rc_context(figures.STYLE | STYLE):
            figure.savefig(path, dpi=300, metadata=metadata)
    except (LatexError, BrokenPipeError) as error:
        raise OSError(
            f"{path} needs a pdflatex that can measure its text; yours ends with {_first_wrong(error)!r}; install the rest of "
            "TeX Live (Debian, Ubuntu: apt install texlive-latex-extra; macOS: MacTeX), or write a .pdf"
        ) from error


def _first_wrong(error: Exception) -> str:
    """The line of TeX that says what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("!")), lines[-1] if lines else "an error")


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


__all__ = [
    "curves",
    "heat_map",
    "save_figure",
]
