"""The page of one or several runs: one HTML file that needs nothing else.

`page.html` beside this file is style, script and a place for the numbers; the script draws what
`content` returns, while they run and when they are over. A report holds its numbers; `dejax watch` sends the same page new ones.
"""

import base64
import hashlib
import html
import json
import math
import re
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from . import nodes, predicted
from .figures import COLORS, drawable
from .graphs import placed, together
from .history import AXES, KEYS, History, spent
from .seeds import band_of, mean_over
from .tables import table, to_html
from .titles import AXIS

POINTS = 1_000  # of a curve, at most: a screen shows no more
NUMBERS = 400_000  # of all curves together; with many runs and metrics each has fewer points


def page(history: History, config: str | None = None, title: str = "dejax") -> str:
    """Make a self-contained HTML page: table, curves, graphs, facts of each run, config.

    Args:
      history: one or several runs.
      config: text of the resolved config, shown at the end.
      title: heading.
    Returns:
      The page. It refers to no other file or address, runs no script but its own (it says so to the browser by a
      Content-Security-Policy), and shows every text of a run as text.
    """
    shown = content(history, config, title)
    text = json.dumps(shown, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return filled(title, text.replace("<", "\\u003c"), to_html(table(history)))


def filled(title: str, numbers: str, instead: str = "") -> str:
    """The page around some numbers; `instead`: what a reader without scripts sees, as HTML."""
    parts = {"POLICY": policy(), "TITLE": html.escape(title), "INSTEAD": instead, "NUMBERS": numbers}
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: parts[found[1]], template())


@cache
def template() -> str:
    """The text of page.html."""
    return (resources.files("dejax.report") / "page.html").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """What the page may do, as a Content-Security-Policy.

    It runs its own script and style, known by their digests, and asks the place that it came from.
    """
    digests = {}
    for name in ("style", "script"):
        own = re.search(rf"<{name}>(.*?)</{name}>", template(), re.DOTALL)
        digest = hashlib.sha256(own[1].encode() if own else b"").digest()
        digests[name] = f"{name}-src 'sha256-{base64.b64encode(digest).decode()}'"
    return f"default-src 'none'; {'; '.join(digests.values())}; connect-src 'self'; base-uri 'none'; form-action 'none'"


def content(history: History, config: str | None = None, title: str = "dejax") -> dict[str, Any]:
    """What the page draws, in plain values: table, curves, graphs, facts, config."""
    final = table(history)
    names = [name for name in history.names if name not in AXES]
    points = max(20, min(POINTS, NUMBERS // max(1, len(history.runs) * (len(names) + len(AXES)))))
    kept = together(history.graphs)
    records: dict[str, dict[int, list[Any]]] = {label: {} for label in history.runs}
    for r in history.records:
        records[r["run"]].setdefault(r["round"], []).append(r)
    runs = []
    for label in history.runs:
        facts = history.facts.get(label, {})
        run = {"label": label, "status": facts.get("status", "done"), "total": facts.get("total"), "facts": facts}
        run |= {"graph": kept["of"].get(label) or None, "nodes": nodes.of_run(history, label)}
        if (theory := history.theory.get(label)) is not None:
            run["theory"] = {"curves": theory["curves"], "said": predicted.said(theory)}
        runs.append(run | _curves(records[label], points))
    return _plain(
        {
            "title": title,
            "note": "Interrupted before its end: these are the numbers so far." if history.interrupted else "",
            "table": {"cells": final.cells(), "runs": [row["run"] for row in final.rows], "notes": final.notes},
            "names": names,
            "first": drawable(history),
            "axes": {axis: AXIS[axis] for axis in AXES if any(r.get(axis) is not None for r in history.records)},
            "colors": COLORS,
            "runs": runs,
            "graphs": [placed(graph) for graph in kept["graphs"]],
            "config": config or "",
        }
    )


def _curves(records: dict[int, list[dict[str, Any]]], points: int) -> dict[str, Any]:
    """Every number of a run over its evaluations.

    Means over seeds, and their band where there are several.
    """
    seeds = dict.fromkeys(r["seed"] for some in records.values() for r in some)
    rounds = sorted(records)
    rounds = [rounds[i] for i in nodes.evenly(len(rounds), points)]
    names = dict.fromkeys(name for t in rounds for r in records[t] for name in r if name not in KEYS)
    at = {seed: i for i, seed in enumerate(seeds)}
    curves: dict[str, Any] = {}
    axes: dict[str, Any] = {"round": rounds}
    for name in names:
        values = np.full((len(seeds), len(rounds)), np.nan)
        for column, t in enumerate(rounds):
            for r in records[t]:
                if name in AXES:
                    values[at[r["seed"]], column] = spent(r, name)
                elif isinstance(r.get(name), (int, float)):
                    values[at[r["seed"]], column] = r[name]
        if name in AXES:
            axes[name] = mean_over(values)
            continue
        curves[name] = {"mean": mean_over(values)}
        if len(seeds) > 1:
            curves[name] |= dict(zip(("low", "high"), band_of(values, "std"), strict=True))
    return {"seeds": len(seeds), "axes": axes, "curves": curves}


def _plain(value: Any) -> Any:
    """What JSON can hold: numbers to six digits, null for those that are not finite."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


__all__ = ["content", "filled", "page", "policy", "template"]
