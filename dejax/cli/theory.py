"""The command that predicts: `dejax theory`."""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .look import stretches
from .shared import DONE, console, escape, grid, load, print_json, seed_of

if TYPE_CHECKING:
    from ..report.history import History
    from ..theory import Curve, Prediction

GRAPH = {
    "rho": "rho = ||W - J||",
    "gap_abs": "spectral gap 1 - |lambda_2|",
    "mixing_time": "mixing time (rounds to a quarter)",
    "effective_neighbours": "effective neighbours at decay 0.9",
}


def theory(args: argparse.Namespace) -> int:
    """What is known of every run of a config, before it or beside its records."""
    from ..config import blamed
    from ..theory import predict

    config, found = load(args), {}
    seed = seed_of(config)
    for run in config.runs:
        with blamed(config, run):
            (_, (_, end, given)), *later = stretches(run)
            parts: tuple[Any, Any, Any] = given
            prediction = predict(*parts, end, seed=seed if isinstance(seed, int) else seed[0])
            if later:
                why = f"rounds {end} to {run.rounds}: curves are of the first phase, and no theory here goes on from it"
                prediction = prediction._replace(unknown=(*prediction.unknown, why))
            found[run.label] = prediction
    history = None
    if args.beside is not None:
        history = beside(args.beside, found)
    if args.json:
        print_json({"runs": {label: prediction.plain() for label, prediction in found.items()}})
        return DONE
    out = console()
    for label, prediction in found.items():
        out.print(f"\n[bold]{escape(label)}[/]")
        facts = [f"{words} {said(prediction.graph[name])}" for name, words in GRAPH.items() if name in prediction.graph]
        out.print(
            "graph: " + (", ".join(facts) or "none, or one that is drawn afresh and has no spectrum"), soft_wrap=True
        )
        out.print("problem: " + escape(prediction.constants), soft_wrap=True)
        if prediction.curves:
            table(out, label, prediction, history)
        for text in prediction.unknown:
            out.print("not known: " + escape(text), soft_wrap=True)
        for text in prediction.notes:
            out.print("[dim]in the literature: " + escape(text) + "[/]", soft_wrap=True)
    if args.beside is not None:
        out.print(f"\nwritten to {escape(str(Path(args.beside) / 'theory.json'))}", soft_wrap=True)
        out.print(f"`dejax report {escape(str(args.beside))} --out DIR` draws it over the records", soft_wrap=True)
    return DONE


def said(value: float | None) -> str:
    """A number, or what stands where none is known."""
    if value is None:
        return "not known"
    return f"{value:,}" if isinstance(value, int) else "without limit" if math.isinf(value) else f"{value:.4g}"


def table(out: Any, label: str, prediction: "Prediction", history: "History | None") -> None:
    """The curves of one run."""
    shown = grid("number", "kind", "after the last round", "floor", "factor per round", right=(2, 3, 4))
    if history is not None:
        shown.add_column("measured over predicted, at most", justify="right")
    shown.add_column("source")
    for curve in prediction.curves:
        row = [curve.name, curve.kind, said(float(curve.values[-1])), said(curve.floor), said(curve.rate)]
        if history is not None:
            row.append(said(compared(history, label, curve)))
        shown.add_row(*row, escape(curve.source))
    out.print(shown)


def compared(history: "History", label: str, curve: "Curve") -> float | None:
    """The largest measured value over the predicted one; None where the records lack the number."""
    if not any(r["run"] == label and r.get(curve.name) is not None for r in history.records):
        return None
    rounds, values = history.series(curve.name, label)
    there = [(v, curve.values[int(t)]) for t, v in zip(rounds, values.mean(0), strict=True) if t < len(curve.values)]
    ratios = [v / p for v, p in there if p > 0]
    return max(ratios) if ratios else None


def beside(directory: str, found: "dict[str, Prediction]") -> "History":
    """Write predictions into a run directory; give its history.

    Raises:
      FileNotFoundError: no run directory. ValueError: none of its runs is in the config.
    """
    from .. import report

    history = report.load(directory)
    known = {label: prediction.plain() for label, prediction in found.items() if label in history.runs}
    if not known:
        raise ValueError(
            f"--run {directory} holds the runs {', '.join(history.runs)}, and the config {', '.join(found)}; give the run directory of "
            "this config"
        )
    Path(directory, "theory.json").write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return history


__all__ = ["beside", "compared", "said", "table", "theory"]
