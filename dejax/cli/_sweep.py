"""`dejax sweep`: one config over values of its fields and over seeds.

Combinations that differ in numbers alone (pytree leaves: learning rates, gamma, attack strengths, loss probabilities) and
all seeds run at once, as one vmapped program; combinations that differ in structure (another graph, method, k of top-k) run
one group after another. Every combination is a run of the history, measured as `dejax run` measures it. Nothing is saved before
the end: a sweep has no checkpoints.
"""

import argparse
import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .._writable import check_writable
from ..config import ConfigError, blamed, load as read
from ..config._set import readers
from ..config._yaml import parse
from ._shared import DONE, INTERRUPTED, clean, console, print_json, print_table


def sweep(args: argparse.Namespace) -> int:
    """All combinations of the values given by `--over`, for all seeds."""
    fields = [split(text) for text in args.over or ()]
    if args.seeds is not None and args.seeds < 1:
        raise ConfigError(("seeds",), f"--seeds is {args.seeds}; give a whole number >= 1.")
    if not fields and args.seeds is None:
        raise ConfigError((), "nothing to sweep over; give --over method.dsgd.lr=0.1,0.2 or --seeds 4.")
    if args.out and Path(args.out).exists():
        raise FileExistsError(f"--out is {args.out!r}, which exists; give a new directory: nothing is overwritten")
    if args.out:
        check_writable(args.out, "--out")
    combos = [
        dict(zip([name for name, _ in fields], values, strict=True))
        for values in itertools.product(*(v for _, v in fields))
    ]
    base = read(args.config, args.set or ())
    trials = [t for combo in combos for t in trials_of(args, combo, base)]
    seeds = tuple(range(args.seeds)) if args.seeds is not None else base.seeds
    records, facts, whole = run_all(
        trials, seeds, base.eval, args.quiet, args.at_once, base.mesh, check_memory=not args.anyway
    )
    if not records:
        return INTERRUPTED
    from ..history import History

    history = History(records, facts)
    if args.out:
        from .. import report

        report.save(history, args.out, config=base.yaml())
    if args.json:
        print_json({"over": dict(fields), "seeds": seeds, "records": records, "facts": facts, "best": best(history)})
        return DONE if whole else INTERRUPTED
    out = console()
    print_table(history.table(), out)
    winner = best(history)
    if winner is not None:
        out.print(f"best {winner['by']}: {winner['run']} ({winner['value']:.4g})", markup=False, soft_wrap=True)
    if args.out:
        out.print(f"written to {args.out}", markup=False, soft_wrap=True)
    if not whole:
        out.print(
            f"stopped after {len(history.runs)} of {len(trials)} combinations; those that were running are lost",
            markup=False,
        )
    return DONE if whole else INTERRUPTED


class Trial:
    """One run of one combination: its label, its objects, and what was set."""

    def __init__(self, label: str, combo: dict[str, Any], run: Any):
        self.label, self.combo, self.rounds, self.run = label, combo, run.rounds, run
        self.method, self.problem, self.network = run.objects()


class Member(NamedTuple):
    """A trial with its method, problem and network as prepared, and as laid on devices (the same without a mesh)."""

    trial: Trial
    ready: Any
    placed: Any


def split(text: str) -> tuple[str, list[Any]]:
    """`method.dsgd.lr=0.1,0.2` -> ("method.dsgd.lr", [0.1, 0.2]).

    Raises:
      ConfigError: no `=`, or no value.
    """
    path, sep, values = text.partition("=")
    if not sep or not path.strip() or not values.strip():
        raise ConfigError((), f"--over {text!r} is not of the form a.b.c=value,value, e.g. method.dsgd.lr=0.1,0.2.")
    got = parse(f"[{values}]")[0]
    if len({repr(v) for v in got}) != len(got):
        raise ConfigError(tuple(path.split(".")), f"--over gives a value twice: {values}; give each once.")
    return path.strip(), got


def trials_of(args: argparse.Namespace, combo: dict[str, Any], base: Any) -> list[Trial]:
    """The runs of the config with `combo` set; data are shared with `base`."""
    from ..config._yaml import _inline

    sets = [f"{path}={_inline(value)}" for path, value in combo.items()]
    config = read(args.config, [*(args.set or ()), *sets])
    config.share(base)
    short = {path: path.rsplit(".", 1)[-1] for path in combo}
    if len(set(short.values())) < len(short):
        short = {path: path for path in combo}
    said = ", ".join(f"{short[path]}={_inline(value)}" for path, value in combo.items())
    runs = touched(config, [tuple(path.split(".")) for path in combo])
    many = len(runs) > 1 or not said
    return [Trial(" ".join(x for x in (run.label if many else "", said) if x), combo, run) for run in runs]


def touched(config: Any, paths: Sequence[tuple[str, ...]]) -> list[Any]:
    """The runs that some field is read by: those of the labels that fields name, where any does; all without fields."""
    named = [path for path in paths if path[0] == "methods" and len(path) > 1]
    labels = {label for path in named or paths for label in readers(config, path)}
    return [run for run in config.runs if not paths or run.label in labels]


def run_all(
    trials: Sequence[Trial],
    seeds: Sequence[int],
    evals: dict[str, Any],
    quiet: bool,
    at_once: int | None,
    mesh: Any = None,
    check_memory: bool = True,
) -> tuple[list[dict[str, Any]], dict[str, Any], bool]:
    """Records and facts of every trial, groups of equal structure at once, and whether all of them came to their end.

    On a mesh, combinations and seeds lie along `runs`, nodes along `nodes`. Ctrl-C keeps the groups that are done.
    """
    import math
    import time

    import jax

    from .. import _place, engine
    from .._progress import Progress
    from .._schedule import Schedule

    layout = _place.as_layout(mesh)
    runs = 1 if layout is None else layout.mesh.shape[_place.RUNS]
    step = runs // math.gcd(runs, len(seeds))  # trials and seeds fill the devices of `runs`
    groups: dict[Any, list[Member]] = {}
    for trial in trials:
        with blamed(trial.run.config, trial.run):
            Schedule(trial.rounds, **evals).check(trial)
            ready = engine.prepare(trial.method, trial.problem, trial.network, trial.rounds)
        placed = ready if layout is None else engine.placed(*ready, layout)
        shapes = tuple((x.shape, str(x.dtype)) for x in jax.tree.leaves((placed[0], placed[2])))
        data = tuple(id(x) for x in jax.tree.leaves(ready[1]))
        order = None if layout is None or placed[1].place.ids is None else tuple(placed[1].place.ids.tolist())
        structure = jax.tree.structure(placed)
        groups.setdefault((structure, shapes, data, order, trial.rounds), []).append(Member(trial, ready, placed))
    records, facts = {}, {}
    parts: list[Any] = []
    there: dict[int, Any] = {}  # data on devices, of which all groups are checked
    for group in groups.values():
        most = max(1, (at_once or len(group) * len(seeds)) // len(seeds))
        size = -(-len(group) // -(-len(group) // most))  # parts as equal as can be: one program serves them all
        size = -(-size // step) * step
        varying = varying_leaves([member.placed for member in group])
        parts += [(group[i : i + size], size, varying) for i in range(0, len(group), size)]
        if check_memory:
            fewer = f"fewer runs at once (now {size * len(seeds)}; --at-once)"
            fewer = fewer if size > step else f"fewer seeds (now {len(seeds)}; --seeds)"
            check_fits(group[0], size * len(seeds), varying, evals, layout, fewer, there)
    there.clear()
    with Progress(not quiet) as bar:
        try:
            for part, size, varying in parts:
                began = time.perf_counter()
                with blamed(part[0][0].run.config, part[0][0].run):
                    done = together(part, seeds, evals, bar, size, varying)
                for trial, found in zip([member.trial for member in part], done, strict=True):
                    records[trial.label] = [clean_record(trial, r) for r in found["records"]]
                    facts[trial.label] = found["facts"] | {"wall": round(time.perf_counter() - began, 3)}
        except KeyboardInterrupt:
            pass
    ordered = [trial.label for trial in trials if trial.label in records]
    whole = len(ordered) == len(trials)
    return [r for label in ordered for r in records[label]], {label: facts[label] for label in ordered}, whole


def clean_record(trial: Trial, record: dict[str, Any]) -> dict[str, Any]:
    """A record with the trial's label, and its numbers where they can stand in a table."""
    numbers = {k: v for k, v in trial.combo.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    return {"run": trial.label} | record | numbers


def check_fits(
    first: Member,
    runs: int,
    varying: Sequence[int],
    evals: dict[str, Any],
    layout: Any,
    fewer: str,
    there: dict[int, Any],
) -> None:
    """`runs` runs in one program take the memory of one run with as many seeds, and what differs between them as often.

    Raises:
      TooLargeError: more than there is; before anything is compiled.
    """
    import jax

    from .. import _fits, _place
    from .._run import Run
    from .._schedule import Schedule

    trial = first.trial
    leaves = jax.tree.leaves((first.placed[0], first.placed[2]))
    copies = (runs - 1) * sum(_place.bytes_of(leaves[i]) for i in varying)
    copies /= 1 if layout is None else layout.mesh.shape[_place.RUNS]
    with blamed(trial.run.config, trial.run):
        given = (trial.method, trial.problem, trial.network)
        alike = Run(trial.label, *given, list(range(runs)), trial.rounds, placed=there, mesh=layout)
        _fits.check(alike, Schedule(trial.rounds, **evals), fewer, copies)


def varying_leaves(group: Sequence[Any]) -> tuple[int, ...]:
    """Which leaves of (method, network) differ between prepared trials of one structure."""
    import jax
    import numpy as np

    flat = [jax.tree.leaves((ready[0], ready[2])) for ready in group]
    same = lambda xs: all(x is xs[0] or np.array_equal(np.asarray(x), np.asarray(xs[0])) for x in xs)
    return tuple(i for i, xs in enumerate(zip(*flat, strict=True)) if not same(xs))


@functools.lru_cache(maxsize=32)
def programs(shape: Any, varying: tuple[int, ...], rounds: int, mesh: bool) -> tuple[Any, Any, Any, Any]:
    """(rebuild, start, chunk, apart) of all trials whose (method, network) have this structure and differ in these leaves."""
    import inspect

    import jax
    import jax.numpy as jnp

    from .. import _place, engine
    from .._driver import CHUNK

    over = functools.partial(jax.vmap, spmd_axis_name=_place.RUNS) if mesh else jax.vmap
    start_one: Any = inspect.unwrap(engine.start)
    chunk_one: Any = inspect.unwrap(engine.run_chunk)

    def rebuild(values: Sequence[Any], leaves: Sequence[Any]) -> Any:
        out = list(leaves)
        for i, value in zip(varying, values, strict=True):
            out[i] = value
        return jax.tree.unflatten(shape, out)

    @jax.jit
    def start(stacked: Any, keys: Any, leaves: Any, problem: Any) -> Any:
        def one(values: Any, key: Any) -> Any:
            method, network = rebuild(values, leaves)
            return start_one(method, problem, network, key, None)

        return over(one)(stacked, keys)

    @functools.partial(jax.jit, donate_argnums=0)
    def chunk(carry: Any, stacked: Any, keys: Any, leaves: Any, problem: Any, first: Any, count: Any) -> Any:
        def one(carry: Any, values: Any, key: Any) -> Any:
            method, network = rebuild(values, leaves)
            return chunk_one(method, problem, network, carry, key, first, count, CHUNK, jnp.int32(rounds))

        return over(one)(carry, stacked, keys)

    @functools.partial(jax.jit, static_argnums=1)
    def apart(tree: Any, runs: int) -> list[Any]:
        """A tree per run, by one program: a slice of each leaf on its own would take longer than to evaluate a small run."""
        return [jax.tree.map(lambda x: x[i], tree) for i in range(runs)]  # noqa: B023

    return rebuild, start, chunk, apart


def together(
    part: Sequence[Member],
    seeds: Sequence[int],
    evals: dict[str, Any],
    bar: Any,
    size: int,
    varying: tuple[int, ...],
) -> list[dict[str, Any]]:
    """Trials of one structure and all seeds as one vmapped program; their records by trial, then round, then seed.

    A part of fewer than `size` trials is filled up with its last one, whose copies are not looked at: no other program for it.
    """
    import time

    import jax
    import jax.numpy as jnp
    import numpy as np

    from .. import _place, engine
    from .._counters import Counters
    from .._driver import CHUNK
    from .._schedule import Schedule
    from ..metrics._together import Together
    from ..metrics._view import Lazy, View

    trial, (single, problem, graph), (method, placed, network) = part[0]
    place = placed.place
    flat = [jax.tree.leaves((member.placed[0], member.placed[2])) for member in part]
    shape = jax.tree.structure((method, network))
    count, width = len(part), len(seeds)
    full = [*flat, *[flat[-1]] * (size - count)]
    stacked = [jnp.repeat(jnp.stack([leaves[i] for leaves in full]), width, axis=0) for i in varying]
    all_keys = [jax.random.key(s) for _ in range(size) for s in seeds]
    keys, key_of = jnp.stack(all_keys), all_keys[: count * width]
    if place is not None:
        rows = place.sharding(False, (_place.RUNS,))
        keys, stacked = _place.put(keys, rows), [_place.put(x, rows) for x in stacked]
        problem = _place.everywhere(problem, place.mesh)
    rebuild, start, chunk, apart = programs(shape, varying, trial.rounds, place is not None)
    methods = [rebuild([x[at] for x in stacked], flat[0])[0] for at in range(size * width)]

    began, compiled = time.perf_counter(), 0.0
    bar.begin(f"{count} x {width} runs" if count > 1 else f"{trial.label} x {width}", trial.rounds)
    counters = [Counters() for _ in key_of]
    broken: dict[int, tuple[int, int]] = {}
    carry, done = start(stacked, keys, flat[0], placed), 0
    schedule = Schedule(trial.rounds, **evals)
    measures = schedule.measures(problem)
    records: list[list[dict[str, Any]]] = [[] for _ in part]
    axes = None if place is None else engine.state_of(engine.carry_axes(single, problem, graph, key_of[0]))

    def record() -> None:
        """Measure every run that is still finite."""
        every = engine.state_of(carry)
        few = place is not None or Together.pays(every)  # of large states one copy at a time
        states = apart(every, size * width) if few else None  # of all, so that a filled-up part compiles nothing
        models = [engine.model(*one) for one in zip(methods, states, strict=True)] if states else None
        others = Together(models, all_keys) if models and place is None else None
        for at, (key, counter) in enumerate(zip(key_of, counters, strict=True)):
            t, seed = at // width, seeds[at % width]
            row: dict[str, Any] = {"seed": seed, "round": done} | counter.loss()
            if at not in broken:
                state = states[at] if states else jax.tree.map(lambda x, at=at: x[at], every)
                view = View(
                    models[at] if models else engine.model(methods[at], state), problem, part[t].ready[2], index=done, key=key, place=place,
                    state=state if place is None else Lazy(functools.partial(place.in_order, axes, state)),
                    nodes=schedule.final_nodes if done == trial.rounds else schedule.nodes, width=schedule.nodes,
                    together=None if others is None else (others, at),
                )  # fmt: skip
                bad = view.bad_node()
                if bad is None:
                    for measure in measures:
                        row |= {k: clean(v) if hasattr(v, "tolist") else v for k, v in measure(view).items()}
                else:
                    broken[at] = (done, bad)
            if at not in broken or done == trial.rounds:
                records[t].append(row | counter.numbers(problem.n) | {"wall": round(time.perf_counter() - began, 3)})

    record()
    while done < trial.rounds:
        steps = min(CHUNK if done else 4, schedule.next_stop(done) - done)
        carry, meters = chunk(carry, stacked, keys, flat[0], placed, jnp.int32(done), jnp.int32(steps))
        meters = jax.device_get(meters)
        for i, counter in enumerate(counters):
            bad = counter.add(jax.tree.map(lambda x, i=i, steps=steps: x[i, :steps], meters))
            if bad is not None and i not in broken:
                broken[i] = (done + bad[0], bad[1])
        done += steps
        compiled = compiled or time.perf_counter() - began
        alive = [c.last_loss for i, c in enumerate(counters) if i not in broken]
        bar.update(done, {"loss": float(np.mean(alive)) if alive else float("nan")})
        if schedule.evaluates(done):
            record()
    out = []
    for t in range(count):
        first = min((at for at in broken if at // width == t), default=None)
        status = "done"
        if first is not None:
            status = f"diverged in round {broken[first][0]} (seed {seeds[first % width]}, node {broken[first][1]})"
        facts = {"status": status, "rounds": trial.rounds, "seeds": list(seeds), "nodes": problem.n}
        out.append({"records": records[t], "facts": facts})
    bar.end(done, time.perf_counter() - began, compiled, {"loss": float(np.mean([c.last_loss for c in counters]))})
    return out


def best(history: Any) -> dict[str, Any] | None:
    """The run with the best final accuracy of local models, or, without accuracy, the smallest objective or loss."""
    for name, sign in (("accuracy/local", 1), ("accuracy/mean_model", 1), ("objective", -1), ("loss", -1)):
        scores = {}
        for run in history.runs:
            if history.facts.get(run, {}).get("status", "done") == "done" and name in history.names:
                scores[run] = history.last(name, run)
        if scores:
            run = max(scores, key=lambda r: sign * scores[r])
            return {"run": run, "by": name, "value": scores[run]}
    return None


__all__ = ["Trial", "best", "run_all", "split", "sweep", "together", "trials_of"]
