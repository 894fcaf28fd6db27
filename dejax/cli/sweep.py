"""`dejax sweep`: one config over values of its fields and over seeds.

Combinations that differ in numbers alone (pytree leaves: learning rates, gamma, attack strengths,
loss probabilities) and all seeds run at once, as one vmapped program; combinations that differ in
structure (another graph, method, k of top-k) run one group after another. Every combination is a
run of the history, measured as `dejax run` measures it, and the run directory is that of
`dejax run`: a sweep that was stopped or killed goes on by `dejax resume`.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import blamed, load as read
from ..config.assign import readers
from ..config.calls import Call
from ..config.hints import parameters
from ..config.yaml import parse
from ..errors import ConfigError
from .shared import DONE, INTERRUPTED, USER_ERROR, alike, chosen_directory, console, join, load, print_json, print_table


def sweep(args: argparse.Namespace) -> int:
    """All combinations of the values given by `--over`, for all seeds."""
    several = join(args)
    with alike(several):
        given = [split(text) for text in args.over or ()]
        fields = dict(given)
        if twice := next((name for i, (name, _) in enumerate(given) if name in dict(given[:i])), None):
            raise ConfigError(
                tuple(twice.split(".")),
                f"--over gives this field twice; give all of its values at once: {twice}=value,value.",
            )
        if args.seeds is not None and args.seeds < 1:
            raise ConfigError(("seeds",), f"--seeds is {args.seeds}; give a whole number >= 1.")
        if args.at_once is not None and args.at_once < 1:
            raise ConfigError((), f"--at-once is {args.at_once}; give a whole number >= 1.")
        if not fields and args.seeds is None:
            raise ConfigError((), "nothing to sweep over; give --over method.dsgd.lr=0.1,0.2 or --seeds 4.")
        base = load(args)
    plan = {"over": fields, "seeds": args.seeds, "at_once": args.at_once}
    out = chosen_directory(args, base)
    return execute(args.config, args.set or (), base, plan, several, args.quiet, args.json, args.anyway, out=out)


def execute(
    config: Any, sets: Sequence[str], base: Any, plan: dict[str, Any], several: bool, quiet: bool, json: bool = False,
    anyway: bool = False, out: str | None = None, resume: str | None = None, fallback: bool = False,
) -> int:  # fmt: skip
    """Run a sweep into a new directory, or go on in one.

    Args:
      config, sets: the file and its overrides; base: the same as read. plan: of `run.json`, what
        the sweep goes over.
    """
    from ..devices import processes
    from ..runs.directory import RunDir
    from ..runs.sweep import run_members

    directory = RunDir(out or resume, resume is not None, base.yaml(), {"sweep": plan}, fallback)
    seeds = tuple(range(plan["seeds"])) if plan["seeds"] is not None else base.seeds
    mesh = {} if several and base.mesh is None else base.mesh
    with processes.everyone():
        trials = trials_of(config, sets, plan["over"], base)
        members = [trial.member(plan.get("members", {}).get(trial.label)) for trial in trials]
    with blamed(base):
        progress = not (quiet or json)
        history = run_members(
            members,
            seeds,
            plan["at_once"],
            mesh,
            base.eval,
            callbacks=base.sinks,
            progress=progress,
            directory=directory,
            check_memory=not anyway,
        )
    lead, winner = processes.leads(), _winner(history)
    if json and lead:
        found = {"over": plan["over"], "seeds": list(seeds), "records": history.records, "facts": history.facts}
        print_json(found | {"best": winner, "directory": out or resume})
    say = console(json or not lead)
    print_table(history.table(), say)
    if winner is not None:
        tested = "; ".join(f"on the test part {name} {value:.4g}" for name, value in winner["test"].items())
        text = f"best {winner['by']}: {winner['run']} ({winner['value']:.4g})" + (f"; {tested}" if tested else "")
        say.print(text, markup=False, soft_wrap=True)
    where = out or resume
    if history.interrupted:
        console(not lead, stderr=True).print(
            f"stopped; results so far are in {where}; go on with: dejax resume {where}", markup=False, soft_wrap=True
        )
        return INTERRUPTED
    say.print(
        where if quiet else f"written to {where}; open {Path(str(where)) / 'report.html'}", markup=False, soft_wrap=True
    )
    if history.facts and all(facts["status"].startswith("diverged") for facts in history.facts.values()):
        console(not lead, stderr=True).print(
            "dejax sweep: every combination diverged: lower lr (or gamma), or clip", markup=False, soft_wrap=True
        )
        return USER_ERROR
    return DONE


def _winner(history: Any) -> dict[str, Any] | None:
    """Return the best run, by what, and its value.

    With "test": what it reached on the test part, where the validation part chose it.
    """
    from ..report.targets import on_test

    by = history.measure()
    run = None if by is None else history.best(by)
    if by is None or run is None:
        return None
    name = on_test(history, run)
    test = {} if name is None else {name: history.last(name, run)}
    return {"run": run, "by": by, "value": history.last(by, run), "test": test}


class Trial:
    """One run of one combination: its label, and what was set.

    Attributes:
      run: as the config makes it. combo: field -> value, of the fields that this run reads.
      several: whether its label names the run, too.
    """

    def __init__(self, run: Any, combo: dict[str, Any], several: bool):
        from ..core.yaml_text import inline

        self.run, self.combo, self.rounds = run, combo, run.rounds
        short = {field: field.rsplit(".", 1)[-1] for field in combo}
        if len(set(short.values())) < len(short):
            short = {field: field for field in combo}
        self.over = {short[field]: inline(value) for field, value in combo.items()}
        said = ", ".join(f"{name}={value}" for name, value in self.over.items())
        self.name = run.label if several or not said else ""
        self.label = " ".join(filter(None, (self.name, said)))

    def member(self, known: dict[str, Any] | None = None) -> Any:
        """As `grouped` takes it; its numbers stand in every record.

        known: marks and what was swept, of a sweep that was made from Python.
        """
        from ..runs.arguments import experiment_of
        from ..runs.group import Member

        marks = {k: v for k, v in self.combo.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
        own = {"marks": marks, "swept": {"run": self.name, "over": self.over}}
        given, phases = experiment_of(self.run.experiment())
        blame = lambda: blamed(self.run.config, self.run)
        return Member(
            self.label, given, self.run.rounds, blamed=blame, phases=phases, **(own if known is None else known)
        )


# fields that say how all runs of a sweep are run and measured, and what to do instead
SAME = {
    "seed": "for seeds 0 .. K-1 give --seeds K, for others --set seed=[0,5]",
    "eval": "give --set eval....",
    "mesh": "give --set mesh....",
    "out": "give --out DIR",
}


def split(text: str) -> tuple[str, list[Any]]:
    """`method.dsgd.lr=0.1,0.2` -> ("method.dsgd.lr", [0.1, 0.2]).

    Raises:
      ConfigError: no `=`, no value, or a field that is no run's own.
    """
    path, sep, values = text.partition("=")
    if not sep or not path.strip() or not values.strip():
        raise ConfigError((), f"--over {text!r} is not of the form a.b.c=value,value, e.g. method.dsgd.lr=0.1,0.2.")
    if (other := SAME.get(path.strip().split(".")[0])) is not None:
        raise ConfigError(tuple(path.strip().split(".")), f"a sweep has one for all of its runs; {other}.")
    got = parse(f"[{values}]")[0]
    if len({repr(v) for v in got}) != len(got):
        raise ConfigError(tuple(path.split(".")), f"--over gives a value twice: {values}; give each once.")
    return path.strip(), got


def trials_of(config: Any, sets: Sequence[str], over: dict[str, list[Any]], base: Any) -> list[Trial]:
    """Return the runs of every combination of values, in the order of the values.

    A run is there once for each combination of the fields that it reads. A `*` in a field stands for the member that each
    run has in that place: `method.*.lr` is the lr of every method. Data are shared with `base`, the config without any.
    """
    combos = [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]
    found: dict[tuple[Any, ...], Trial] = {}
    for combo in combos:
        for run, mine, several in runs_with(config, sets, combo, base):
            found.setdefault(
                (run.label, *((field, repr(value)) for field, value in mine.items())), Trial(run, mine, several)
            )
    return list(found.values())


def runs_with(
    path: Any, sets: Sequence[str], combo: dict[str, Any], base: Any
) -> list[tuple[Any, dict[str, Any], bool]]:
    """Return the runs with `combo` set, the part that each reads, and if there are several."""
    from ..core.yaml_text import inline

    def config_with(fields: dict[str, Any]) -> Any:
        texts = [f"{field}={inline(value)}" for field, value in fields.items()]
        config = read(path, [*sets, *texts], imports=base.registry.imports)
        config.share(base)
        return config

    plain = {field: value for field, value in combo.items() if "*" not in field.split(".")}
    stars = [field for field in combo if field not in plain]
    config = config_with(plain)
    runs = touched(config, [tuple(field.split(".")) for field in plain]) if plain or not stars else config.runs
    out = []
    for run in runs:
        places = {field: place for field in stars if (place := spelled(run, field)) is not None}
        if places:
            more = config_with(plain | {place: combo[field] for field, place in places.items()})
            run = next(other for other in more.runs if other.label == run.label)
        reads = {field for field in plain if run.label in readers(config, tuple(field.split(".")))}
        out.append((run, {field: combo[field] for field in combo if field in reads or field in places}, len(runs) > 1))
    if nobody := next((field for field in stars if not any(field in mine for _, mine, _ in out)), None):
        raise ConfigError(tuple(nobody.split(".")), "no run has such a field; dejax list says what each member takes.")
    return out


def spelled(run: Any, field: str) -> str | None:
    """`method.*.lr` as one run has it: `methods.ring.method.dsgd.lr`; None where it has none."""
    first, *rest = field.split(".")
    at = run.args.get(first)
    if isinstance(at, Call) and at.name is None and rest:  # a section: network, data
        out = list(run.where(rest[0], first))
        at, rest = at.args.get(rest[0]), rest[1:]
    else:
        out = list(run.where(first))
    inside = False  # whether the member's name has been said
    for name in rest:
        if not isinstance(at, Call) or at.name is None:
            return None
        if not inside:
            if name not in ("*", at.name):
                return None
            out.append(at.name)
        elif name in {p.name for p in parameters(at.fn, at.registry)}:
            out.append(name)
            at = at.args.get(name)
        else:
            return None
        inside = not inside
    return ".".join(out)


def touched(config: Any, paths: Sequence[tuple[str, ...]]) -> list[Any]:
    """Return the runs that read some of the fields.

    Those of the labels that fields name, where any does; all without fields.
    """
    named = [path for path in paths if path[0] == "methods" and len(path) > 1]
    labels = {label for path in named or paths for label in readers(config, path)}
    return [run for run in config.runs if not paths or run.label in labels]


__all__ = ["Trial", "execute", "split", "sweep", "trials_of"]
