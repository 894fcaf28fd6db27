"""The command that predicts: `dejax theory`."""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .look import stretches
from .shared import DONE, console, escape, grid, load, print_json

if TYPE_CHECKING:
    from ..report.history import History
    from ..theory import Curve, Prediction

GRAPH = ("rho", "gap", "mixing_time", "effective_neighbours")  # facts that are printed


def theory(args: argparse.Namespace) -> int:
    """What is known of every run of a config, before it or beside its records."""
    from ..config import blamed
    from ..report.setup import setup
    from ..runs.phases import of_setup
    from ..theory import predict
    from ..topology import in_words

    config, found, made, first = load(args), {}, {}, {}
    run_rounds = {run.label: run.rounds for run in config.runs}
    for run in config.runs:
        with blamed(config, run):
            (_, (_, _, given)), *later = stages = stretches(run)
            parts: tuple[Any, Any, Any] = given
            phases = of_setup([phase for _, phase in stages])
            found[run.label] = predict(*parts, run.rounds, seed=config.seeds, phases=phases)
            first[run.label] = " of the first phase" if later else ""
            made[run.label] = setup(*parts, phases=phases)
    history = None
    if args.beside is not None:
        history = beside(args.beside, found, made, list(config.seeds))
    if args.json:
        print_json({"runs": {label: prediction.plain() for label, prediction in found.items()}})
        return DONE
    out = console()
    for label, prediction in found.items():
        out.print(f"\n[bold]{escape(label)}[/]")
        words = in_words(prediction.graph)
        facts = [f"{words[name]}: {said(prediction.graph[name])}" for name in GRAPH if name in words]
        out.print(
            f"graph{first[label]}: " + ("; ".join(facts) or "none, or one that is drawn afresh and has no spectrum"),
            soft_wrap=True,
        )
        out.print("problem: " + escape(prediction.constants), soft_wrap=True)
        if prediction.curves:
            table(out, label, prediction, history, run_rounds[label])
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


def table(out: Any, label: str, prediction: "Prediction", history: "History | None", rounds: int) -> None:
    """The curves of one run of so many rounds; of one that ends before them it says after which."""
    shown = grid("number", "kind", "after the last round", "floor", "factor per round", right=(2, 3, 4))
    if history is not None:
        shown.add_column("measured over predicted", justify="right")
    shown.add_column("source")
    for curve in prediction.curves:
        last = len(curve.values) - 1
        ends = said(float(curve.values[-1])) + (f" (round {last})" if last < rounds else "")
        row = [curve.name, curve.kind, ends, said(curve.floor), said(curve.rate)]
        if history is not None:
            row.append(ratio(compared(history, label, curve, prediction.f_star), curve.kind))
        shown.add_row(*row, escape(curve.source))
    out.print(shown)
    if history is not None:
        out.print("[dim]the ratio of the objective is that of f - f*[/]", soft_wrap=True)


def ratio(found: tuple[float, float] | None, kind: str) -> str:
    """The ratios of one curve: for bounds the largest, else from the smallest to the largest."""
    if found is None:
        return said(None)
    low, high = (said(x) for x in found)
    return f"at most {high}" if kind == "bound" else low if low == high else f"{low} to {high}"


def compared(history: "History", label: str, curve: "Curve", f_star: float | None) -> tuple[float, float] | None:
    """The least and the largest ratio of measured values to predicted ones.

    Measured are means of all seeds, at rounds that none of them lacks, and of objectives it is f - f*. None where the
    records lack the number, and where all predictions lie within what rounding does to a run.
    """
    if not any(r["run"] == label and r.get(curve.name) is not None for r in history.records):
        return None
    least = (f_star or 0.0) if curve.name == "objective" else 0.0
    rounds, values = history.series(curve.name, label)
    there = [(v, curve.values[int(t)]) for t, v in zip(rounds, values.mean(0), strict=True) if t < len(curve.values)]
    clear = lambda v, p: not math.isnan(v) and curve.resolution < p - least < math.inf
    ratios = [float((v - least) / (p - least)) for v, p in there if clear(v, p)]
    return (min(ratios), max(ratios)) if ratios else None


def beside(directory: str, found: "dict[str, Prediction]", made: dict[str, Any], seeds: list[int]) -> "History":
    """Write predictions into a run directory; give its history.

    Args:
      made: label -> setup of the run in the config. seeds: of the config.
    Raises:
      FileNotFoundError: no run directory.
      ValueError: none of its runs is in the config; a run of that label with another setup or other seeds.
    """
    from .. import report

    history = report.load(directory)
    known = {label: prediction.plain() for label, prediction in found.items() if label in history.runs}
    if not known:
        raise ValueError(
            f"--run {directory} holds the runs {', '.join(history.runs)}, and the config {', '.join(found)}; give the run directory of "
            "this config"
        )
    for label in known:
        check_alike(directory, label, history, made[label], seeds)
    Path(directory, "theory.json").write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return history


def check_alike(directory: str, label: str, history: "History", made: dict[str, Any], seeds: list[int]) -> None:
    """Refuse records of a run that the config does not describe.

    Raises:
      ValueError: names the first field that differs.
    """
    from ..report.setup import difference

    recorded = history.facts.get(label, {}).get("setup")
    if recorded is None:
        raise ValueError(
            f"{Path(directory) / 'run.json'} does not say what run {label!r} was made of; run the config anew with `dejax run`"
        )
    of = lambda setup, seeds: json.loads(json.dumps(setup | {"seed": sorted(seeds)}, default=str))
    found = difference(of(recorded, history.seeds(label)), of(made, seeds))
    if found is not None:
        field, there, here = found
        raise ValueError(
            f"--run {directory}: {field} of run {label!r} is {json.dumps(there)} there and {json.dumps(here)} in the config; give the run "
            f"directory of this config, or set {field} to what was run"
        )


__all__ = ["beside", "check_alike", "compared", "ratio", "said", "table", "theory"]
