"""The picture of one or several runs: how well local models do, over rounds and over bytes."""

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.types import Axes, Figure
from ..errors import bad
from ..metrics import direction
from . import predicted
from .endings import ended_well, status_of
from .history import BY, History
from .seeds import BANDS, band_of, check_band, mean_over
from .tables import _has, _main_metric, cell, data_size, equal_bytes
from .targets import declared
from .titles import AXIS, on_axis

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F4A9E", "#8C6D31", "#111111", "#999999")
GREY = "#666666"
STYLE: dict[Any, Any] = {
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.edgecolor": "#888888",
    "svg.hashsalt": "dejax",
    "svg.fonttype": "path",
}
ALL_NODES: dict[str, Any] = {"marker": "o", "ms": 5, "mfc": "white", "mew": 1.6, "ls": "", "zorder": 4}


def draw(
    history: History, name: str = "accuracy", by: str = "round", ax: Axes | None = None, *, band: str | None = "std"
) -> Any:
    """Draw one number, or one family of numbers, over rounds, bytes or seconds.

    Args:
      history: one or several runs.
      name: a name of `history.names`, or a family such as "accuracy": its "/local" as solid,
        "/mean_model" as thin lines.
      by: "round", "bytes", "gradients", "epochs", "seconds", "wall", "flops" or "joules".
      ax: matplotlib axes; None makes a figure of its own.
      band: around the mean over seeds: "std", "minmax", "ci95" or None; see `History.plot`.
    Returns:
      The axes.
    Raises:
      ValueError: unknown name, axis or band; an axis that the records lack.
    """
    import matplotlib.pyplot as plt

    history._check_axis(history._axis(by))
    check_band(band)
    members = _family(history, name)
    with plt.rc_context(STYLE):
        fig = None
        if ax is None:
            fig = plt.figure(figsize=(7.2, 4.8), layout="constrained")
            ax = fig.subplots()
        panel(ax, history, members, by, band)
        ax.set_xlabel(AXIS[BY[by]])
        ax.set_ylabel(on_axis(name))
        if BY[by] == "round":
            predicted.overlay(ax, history, members, COLORS)
        if fig is not None:
            lines = _handles(history, members, band)
            lines += predicted.handles(history, members) if BY[by] == "round" else []
            _below(fig, lines, columns=2 if len(lines) > 3 else 1, fontsize=9)
    return ax


def figure(history: History, title: str | None = None, *, band: str | None = "std") -> Any:
    """Draw local models (solid) and the mean model (thin) over rounds and over bytes.

    With several seeds lines are means, with a band around them (`band`, as in `History.plot`). Runs that send nothing are
    level lines in the right panel; its dotted vertical line marks equal bytes.
    Returns:
      A matplotlib Figure, not shown and not registered with pyplot.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_band(band)
    name = drawable(history)
    if name is None:
        says = f"has nothing to draw: its records hold {', '.join(history.names) or 'no numbers'}"
        raise bad("history", history, says=says, instead="measure a metric of dejax, e.g. metrics=['consensus']")
    members = _family(history, name)
    sent = any(_has(history, "bytes", run) and history.last("bytes", run) > 0 for run in history.runs)
    with matplotlib.rc_context(STYLE):
        fig = Figure(figsize=(11.5, 5.6) if sent else (7.6, 5.4), layout="constrained")
        FigureCanvasAgg(fig)
        panels = np.atleast_1d(fig.subplots(1, 2 if sent else 1, sharey=True))
        for ax, by in zip(panels, ("round", "bytes"), strict=False):
            panel(ax, history, members, by, band)
            ax.set_xlabel(AXIS[by])
            if sent:
                ax.set_title(f"at equal {AXIS[by].split()[0]}", loc="left", fontsize=11, color="#444444")
        panels[0].set_ylabel(on_axis(name))
        if title:
            fig.suptitle(title, fontsize=12.5, x=0.01, ha="left")
        handles = _handles(history, members, band)
        columns = 2 if len(handles) > 3 else 1
        _below(fig, handles, columns=columns if not sent else 3, fontsize=9.5)
    return fig


def drawable(history: History) -> str | None:
    """Say which number, or family, `figure` draws; None where there is none."""
    main = _main_metric(history)
    if _family_names(history, main):
        return main
    return next((n for n in ("objective", "loss") if n in history.names), None)


def png(fig: Figure, dpi: int = 130) -> bytes:
    """A figure as PNG bytes, the same for the same numbers."""
    out = io.BytesIO()
    fig.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


def svg(fig: Figure) -> str:
    """A figure as an SVG element to be pasted into a page, the same for the same numbers."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context(STYLE):
        fig.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def panel(
    ax: Axes, history: History, members: list[str], by: str, band: str | None, colors: Mapping[str, str] | None = None
) -> None:
    """Draw the lines of one panel; over bytes, on an axis of bytes. `colors` as in `_lines`."""
    by = BY[by]
    _lines(ax, history, members, by, band, positive=by == "bytes" and _wide(history), colors=colors)
    if by == "bytes":
        _bytes_axis(ax, history)


def _below(fig: Figure, handles: list[Any], columns: int, fontsize: float) -> None:
    """Put the legend below the axes, where it lies on no curve."""
    fig.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=fontsize)


def _family_names(history: History, name: str) -> list[str]:
    return [f"{name}/{end}" for end in ("local", "mean_model") if f"{name}/{end}" in history.names]


def _family(history: History, name: str) -> list[str]:
    """Return the numbers to draw under a name: its family's, or the number itself."""
    family = _family_names(history, name)
    if family:
        return family
    history._known(name)
    return [name]


def _lines(
    ax: Axes,
    history: History,
    members: list[str],
    by: str,
    band: str | None,
    positive: bool = False,
    colors: Mapping[str, str] | None = None,
) -> None:
    """Draw all lines of one panel: colour is the run, width the kind of model.

    `positive` leaves out x = 0 (a log axis). `colors` holds the runs to draw, with their colours; None: all.
    """
    if colors is None:
        colors = {run: COLORS[i % len(COLORS)] for i, run in enumerate(history.runs)}
    for run, color in colors.items():
        for name in members:
            thin = name.endswith("/mean_model") and len(members) > 1
            look = {"lw": 1.1, "ls": (0, (4, 1.6)), "alpha": 0.85} if thin else {"lw": 2.2, "ls": "-"}
            if not _has(history, name, run) or not (by == "round" or _has(history, by, run)):
                continue
            x, values = history.series(name, run, by=by)
            whole, ends = mean_over(values), []
            if _has(history, f"{name}_sample", run):  # the curve is of some nodes throughout, all of them are points
                column = {t: i for i, t in enumerate(history.series(name, run)[0])}
                rounds, sampled = history.series(f"{name}_sample", run)
                ends = [column[t] for t in rounds]
                values[:, ends] = sampled
            if by == "bytes" and not np.nanmax(x, initial=0) > 0:
                if not thin:
                    ax.axhline(whole[-1], color=color, lw=1.6, ls=(0, (1, 1.5)))
                continue
            if positive:
                x = np.where(x > 0, x, np.nan)
            if not np.isfinite(x).any():
                continue
            ax.plot(x, mean_over(values), color=color, solid_capstyle="round", **look)
            if ends:
                ax.plot(x[ends], whole[ends], color=color, **ALL_NODES)
            if len(values) > 1 and not thin and band is not None:
                ax.fill_between(x, *band_of(values, band), color=color, alpha=0.18, lw=0)
    ax.margins(x=0.02)


def _wide(history: History) -> bool:
    """Whether the runs' totals differ so much that bytes need a logarithmic axis."""
    totals = [history.last("bytes", run) for run in history.runs if _has(history, "bytes", run)]
    sent = [t for t in totals if t > 0]
    return bool(sent) and max(sent) > 8 * min(sent)


def _bytes_axis(ax: Axes, history: History) -> None:
    """Format the axis of bytes: readable units, the point of equal bytes marked.

    It is logarithmic where totals differ a lot.
    """
    from matplotlib.ticker import FuncFormatter

    if _wide(history):
        ax.set_xscale("log")
    else:
        ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: data_size(v) if v > 0 else "0"))
    budget = equal_bytes(history)
    if budget is not None:
        ax.axvline(budget, color=GREY, lw=1, ls=(0, (2, 2)))
        ax.annotate("equal bytes", (budget, 0.02), xycoords=("data", "axes fraction"), xytext=(4, 0), textcoords="offset points", color=GREY, fontsize=8.5)  # fmt: skip


def _handles(
    history: History, members: list[str], band: str | None, colors: Mapping[str, str] | None = None
) -> list[Any]:
    """Make the legend: runs, best first, or `colors`; then what line styles and bands mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    last = {run: history.last(members[0], run) for run in history.runs if _has(history, members[0], run)}
    better = {True: -1, False: 1, None: 0}[direction.higher(members[0], declared(history))]
    rank = {
        run: better * value if math.isfinite(value) and ended_well(status_of(history, run)) else math.inf
        for run, value in last.items()
    }
    order = sorted(range(len(history.runs)), key=lambda i: rank.get(history.runs[i], math.inf))
    out: list[Any] = [Line2D([], [], color=color, lw=2.6, label=_plain(name)) for name, color in (colors or {}).items()]
    for i in order if colors is None else ():
        run = history.runs[i]
        value = last.get(run, math.nan)
        status = status_of(history, run).split()[0]
        shown = f"{run}  ({cell(members[0], value)})" if math.isfinite(value) else run
        shown += "" if status in ("done", "running") else f"  {status}"
        out.append(Line2D([], [], color=COLORS[i % len(COLORS)], lw=2.6, label=_plain(shown)))
    sampled = any(f"{name}_sample" in history.names for name in members)
    around = _around(history, band)
    if len(members) > 1:
        of = f"local models, mean over {'some ' if sampled else ''}nodes" + (f"; {around}" if around else "")
        out.append(Line2D([], [], color=GREY, lw=2.2, label=of))
        out.append(Line2D([], [], color=GREY, lw=1.1, ls=(0, (4, 1.6)), label="mean model"))
    elif around:
        out.append(Patch(color=GREY, alpha=0.3, lw=0, label=around) if band else Line2D([], [], lw=0, label=around))
    if sampled:
        out.append(Line2D([], [], color=GREY, label="mean over all nodes, at the end", **ALL_NODES))
    return out


def _around(history: History, band: str | None) -> str:
    """Say what lines and bands are; nothing where each run has one seed."""
    seeds = sorted({len(history.seeds(run)) for run in history.runs} - {0, 1})
    if not seeds:
        return ""
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return f"mean over {count} seeds" if band is None else f"band: {BANDS[band]}, {count} seeds"


def _plain(text: str) -> str:
    """Text that matplotlib neither typesets as mathematics nor hides."""
    text = text.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text


__all__ = ["draw", "drawable", "figure", "panel", "png", "svg"]
