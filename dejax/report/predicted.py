"""Predicted curves over measured ones, and what theory says of a run, for figures and pages."""

from typing import Any

import numpy as np

from .. import topology
from ..core.types import Axes, Figure
from .history import History
from .seeds import mean_over

LOOKS = {"exact": {"lw": 1.4, "ls": (0, (1.2, 1.4))}, "bound": {"lw": 1.4, "ls": (0, (5, 1.2, 1, 1.2))}}
WORDS = {"exact": "theory: expectation, exact", "bound": "theory: upper bound"}
GREY = "#666666"


def curves(history: History, name: str) -> list[tuple[str, dict[str, Any]]]:
    """(run, curve) of all predictions of a number, as `Prediction.plain` gives them."""
    known = history.theory.items()
    return [(run, c) for run, prediction in known for c in prediction["curves"] if c["name"] == name]


def overlay(ax: Axes, history: History, names: list[str], colors: tuple[str, ...], shift: float = 0.0) -> None:
    """Draw the predicted curves of some numbers over rounds; shift: taken from objectives."""
    for name in names:
        for run, curve in curves(history, name):
            if run in history.runs:
                y = np.array([np.nan if v is None else v for v in curve["values"]], float) - shift
                color = colors[history.runs.index(run) % len(colors)]
                y = positive(y) if ax.get_yscale() == "log" else y
                ax.plot(curve["rounds"], y, color=color, **LOOKS[curve["kind"]], zorder=3)


def positive(y: np.ndarray) -> np.ndarray:
    """What a logarithmic axis can show."""
    return np.where(y > 0, y, np.nan)


def handles(history: History, names: list[str]) -> list[Any]:
    """Legend entries of the kinds that are drawn."""
    from matplotlib.lines import Line2D

    kinds = dict.fromkeys(c["kind"] for name in names for _, c in curves(history, name))
    return [Line2D([], [], color=GREY, label=WORDS[kind], **LOOKS[kind]) for kind in kinds]


def figure(history: History) -> Figure | None:
    """Draw what is measured and predicted, on logarithmic axes; None where there is nothing."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from . import figures
    from .titles import on_axis

    names = [name for name in ("objective", "consensus") if name in history.names and curves(history, name)]
    if not names:
        return None
    with matplotlib.rc_context(figures.STYLE):
        fig = Figure(figsize=(5.6 * len(names), 4.4), layout="constrained")
        FigureCanvasAgg(fig)
        for ax, name in zip(np.atleast_1d(fig.subplots(1, len(names))), names, strict=True):
            best = [p["f_star"] for p in history.theory.values() if p.get("f_star") is not None]
            shift = best[0] if name == "objective" and len(set(best)) == 1 else 0.0
            for i, run in enumerate(history.runs):
                if figures._has(history, name, run):
                    x, values = history.series(name, run)
                    ax.plot(
                        x,
                        positive(mean_over(values) - shift),
                        color=figures.COLORS[i % len(figures.COLORS)],
                        lw=2.2,
                        alpha=0.55,
                        label=run,
                    )
            ax.set_yscale("log")
            overlay(ax, history, [name], figures.COLORS, shift)
            ax.set_xlabel("rounds")
            ax.set_title("f(mean model) - f*" if shift else on_axis(name), loc="left", fontsize=11)
        lines = [*fig.axes[0].get_legend_handles_labels()[0], *handles(history, names)]
        fig.legend(handles=lines, loc="outside lower center", ncols=3, frameon=False, fontsize=9.5)
    return fig


def said(prediction: dict[str, Any]) -> list[str]:
    """What theory says of one run, line by line."""
    words, known = topology.in_words(prediction["graph"]), prediction["graph"]
    graph = "; ".join(f"{text}: {known[name]:.4g}" for name, text in words.items() if known[name] is not None)
    lines = [f"graph: {graph or 'no spectrum'}", f"problem: {prediction['constants']}"]
    for c in prediction["curves"]:
        floor = "not known" if c["floor"] is None else "without limit" if c["floor"] == "inf" else f"{c['floor']:.4g}"
        lines.append(f"{c['name']}, {c['kind']}: floor {floor}; {c['source']}")
    return lines + [f"not known: {why}" for why in prediction["unknown"]]


__all__ = ["curves", "figure", "handles", "overlay", "said"]
