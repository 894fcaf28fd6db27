"""Commands that look and do not run: list, show, plan, topology."""

import argparse
from pathlib import Path
from typing import Any

from .shared import DONE, console, escape, grid, load, objects_of, print_json, seed_of, sinks_of, write


def listing(args: argparse.Namespace) -> int:
    """What a config can name."""
    from ..config import listing

    groups = listing.chosen(args.kinds)
    if args.json:
        print_json(listing.as_json(groups))
        return DONE
    out = console()
    for group, members in groups.items():
        out.print(f"\n[bold underline]{group}[/]" + (" (none)" if not members else ""))
        for m in members:
            name, _, rest = m.signature.partition("(")
            out.print(f"  [bold cyan]{name}[/]({escape(rest)}", soft_wrap=True)
            out.print(f"      {escape(m.summary)}", soft_wrap=True)
            if m.reference:
                out.print(f"      [dim]{escape(m.reference)}[/]", soft_wrap=True)
    return DONE


def show(args: argparse.Namespace) -> int:
    """Print the resolved config, once it has passed the checks of `dejax run`.

    The memory of this machine is not checked.
    """
    from ..config import blamed
    from ..core.struct import labelled
    from ..runs.simulate import planned

    config = load(args)
    sinks_of(config)
    with blamed(config):
        rounds = {run.label: run.rounds for run in config.runs}
        for run, _ in planned(objects_of(config), rounds, seed=seed_of(config), mesh=config.mesh, **config.eval):
            with labelled(run.label):
                run.recorded()  # what fits each other by its shapes alone, such as k and the size of a message
    write(config.json() + "\n" if args.json else config.yaml())
    return DONE


def plan(args: argparse.Namespace) -> int:
    """Memory and messages of every run."""
    from ..config import blamed
    from ..engine import prepare
    from ..planning import plan as planning
    from ..planning.privacy import account, check_alike

    memory = None if args.memory is None else planning.parse_bytes(args.memory)
    config = load(args)
    shared: dict[str, Any] = {"seeds": len(config.seeds), "mesh": config.mesh}
    plans, spent, most = [], {}, {}
    for run in config.runs:
        with blamed(config, run):
            first = None
            parts: tuple[Any, Any, Any]
            for i, (label, (begin, end, parts)) in enumerate(stretches(run)):
                p = planning.plan(*parts, end - begin, memory=memory, label=label, **shared)
                p = p.compiled(compiled(parts, p, config)) if args.compile else p
                most[label] = most_of_data(run)
                plans.append(planning.with_traffic(p, *parts, **shared))
                mine = None if parts[2].privacy is None else account(*prepare(*parts, end))
                first = mine if begin == 0 else first
                check_alike(i, first, mine)
                if mine is not None:
                    spent[label] = mine.spent(end)
    if args.json:
        more: dict[str, dict[str, Any]] = {label: {"most_n_of_data": samples} for label, samples in most.items()}
        for label, s in spent.items():
            more[label]["privacy"] = {"epsilon": float(s.epsilon.max()), "delta": s.delta, "words": s.words}
        print_json({"runs": [p.plain() | more[p.label] for p in plans]})
        return DONE
    out, size = console(), planning.spoken_bytes
    for p in plans:
        table = grid("", "per node", "in all", "", right=(1, 2))
        for part in p.parts:
            table.add_row(
                part.name,
                size(part.per_node + part.square * p.n),
                size(part.total(p.n)),
                f"[dim]{escape(part.note)}[/]",
            )
        table.add_row("[bold]memory[/]", f"[bold]{size(p.per_node)}[/]", f"[bold]{size(p.total)}[/]", "")
        out.print(
            f"\n[bold]{escape(p.label)}[/]: {p.n:,} nodes, {p.parameters:,} parameters, {p.rounds:,} rounds{on_mesh(p)}"
        )
        out.print(table)
        room = size(p.memory) + (" of a device" if p.devices else "")
        fits = f"fits into {room}" if p.fits else f"[bold red]does not fit[/] into {room}"
        at_most = "" if p.allocated else " at most (the scratch of the rounds comes on top: --compile)"
        out.print(f"{fits}; largest n by memory: {p.largest:,}{at_most}")
        if (samples := most[p.label]) is not None and p.largest > samples:
            out.print(f"the data allow fewer: {samples:,} samples, of which each node needs one of its own")
        if p.allocated is not None:
            a = p.allocated
            out.print(
                f"the rounds as compiled: {size(a.total)} (arguments {size(a.arguments)}, results {size(a.results)} of which "
                f"{size(a.aliased)} lie in arguments, scratch {size(a.scratch)})"
            )
        if p.sent is not None:
            each = ", ".join(f"{escape(k)} {size(v)}" for k, v in p.sent.items())
            sent = sum(p.sent.values())
            out.print(f"messages: {size(sent)} a round ({each or 'none'}), {size(sent * p.rounds)} in all")
        if p.label in spent:
            s = spent[p.label]
            epsilon = f"epsilon {s.epsilon.max():.4g} at delta {s.delta:g}, a {s.words}" if s.guarantee else s.words
            out.print(f"privacy after {s.rounds:,} rounds: {escape(epsilon)}")
        if p.crossing is not None:
            rows, must = p.crossing
            needed = "" if must is None else f" ({size(must)} must cross)"
            others = "sums and gathers of the compiler: --compile"
            if p.allocated is not None:
                others = f"as compiled, sums and gathers included: {size(p.allocated.crossing)}"
            out.print(f"between devices: rows of nodes {size(rows)} a round{needed}; {others}")
    return DONE


def stretches(run: Any) -> list[tuple[str, Any]]:
    """(label, phase) of a run: each of its phases, or one that is the whole run."""
    from ..runs.arguments import experiment_of
    from ..runs.phases import phases_of

    phases = phases_of(*experiment_of(run.experiment()), run.rounds)
    if len(phases) == 1:
        return [(run.label, phases[0])]
    return [(f"{run.label}, rounds {p.begin} to {p.end - 1}", p) for p in phases]


def compiled(parts: tuple[Any, Any, Any], plan: Any, config: Any) -> Any:
    """What XLA allocates for the rounds of a run, compiled as `dejax run` would.

    Raises:
      ValueError: the devices are on paper, or do not say.
    """
    import jax

    from ..planning.compiled import allocated
    from ..runs.single import SingleRun

    devices = 1 if plan.devices is None else plan.devices[0] * plan.devices[1]
    if devices > jax.device_count():
        raise ValueError(
            f"--compile cannot compile for the {devices} devices of mesh: there {'is' if jax.device_count() == 1 else 'are'} "
            f"{jax.device_count()}; leave --compile out, or simulate them on a CPU by JAX_NUM_CPU_DEVICES={devices}"
        )
    run = SingleRun(plan.label, *parts, seed_of(config), plan.rounds, mesh=config.mesh)
    known = allocated(run.compiled(), *(() if plan.devices is None else reversed(plan.devices)))
    if known is None:
        raise ValueError(f"--compile asks what XLA allocates, which the {jax.default_backend()} back end does not say")
    return known


def most_of_data(run: Any) -> int | None:
    """Return the most nodes that a run's data can be split over: one for each sample.

    None where nodes share samples or make their own.
    """
    import jax
    import numpy as np

    made = run.data()
    data = getattr(made, "data", made)
    size = len(jax.tree.leaves(data.arrays)[0])
    partition = run.args["data"].args.get("partition")
    shared = getattr(partition, "name", None) == "overlapping" or int(np.asarray(data.count).sum()) > size
    return None if shared or partition is None else size


def on_mesh(plan: Any) -> str:
    """The devices of a plan, in words."""
    if plan.devices is None:
        return ""
    runs, nodes = plan.devices
    return f"; bytes on each of {runs * nodes} devices" + (f" ({runs} runs x {nodes} nodes)" if runs > 1 else "")


def topology(args: argparse.Namespace) -> int:
    """Facts and picture of a graph."""
    from ..config import Registry
    from ..config.assign import _slot
    from ..config.calls import read
    from ..config.yaml import parse_value
    from ..errors import ConfigError
    from ..topology import in_words

    registry = Registry()
    spec: Any = parse_value(args.spec)
    for assignment in args.arguments:
        name, sep, text = assignment.partition("=")
        held = (
            spec
            if isinstance(spec, str)
            else next(iter(spec), None)
            if isinstance(spec, dict) and len(spec) == 1
            else None
        )
        if not sep or held is None:
            raise ConfigError(("topology",), f"{assignment!r} is not an argument of the form name=value, e.g. n=16.")
        spec = _slot(spec, "topology", (held, *name.split(".")), parse_value(text), ("topology",), registry)
    graph = read(spec, "topology", ("topology",), registry).build()
    build = getattr(graph, "build", None)  # of one that waits for n
    if build is not None:
        if args.n is None:
            raise ConfigError(("topology",), f"{args.spec} needs a number of nodes: --n 16.")
        graph = build(args.n)
    elif args.n is not None and graph.n != args.n:
        raise ConfigError(("topology", "n"), f"the graph has n = {graph.n} but --n is {args.n}; give one of them.")
    if args.out:
        check_picture(args.out, args.force)
    facts = graph_facts(graph)
    if args.out:
        picture(graph, args.out)
    if args.json:
        print_json(facts)
        return DONE
    table = grid("", "", right=())
    table.show_header = False
    words = in_words(facts)
    for name, value in facts.items():
        table.add_row(words.get(name, name.replace("_", " ")), said(value))
    out = console()
    out.print(table)
    if args.out:
        out.print(f"picture: {args.out}")
    return DONE


def said(value: object) -> str:
    """A fact in words."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def graph_facts(graph: Any) -> dict[str, Any]:
    """Plain facts of a topology."""
    from .. import topology as room

    facts: dict[str, Any] = {
        "name": graph.name,
        "nodes": graph.n,
        "period": graph.period,
        "weights": f"{graph.kind} stochastic",
        "symmetric": graph.symmetric,
        "connected": graph.connected,
        "max_degree": graph.max_degree,
        "mean_degree": graph.mean_degree,
    }
    return facts | room.facts(graph)


def check_picture(path: str, force: bool = False) -> None:
    """Refuse a file that exists, of another kind, or in no directory.

    That is before the graph is looked at.
    """
    if Path(path).exists() and not force:
        raise FileExistsError(f"{path} exists; give another --out, or --force to replace it")
    if not Path(path).absolute().parent.is_dir():
        raise FileNotFoundError(
            f"--out is {path!r}, but there is no directory {Path(path).parent}; make it, or give another"
        )
    if Path(path).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--out is {path!r}; give a file that ends in .png, .svg or .pdf")


def picture(graph: Any, path: str) -> None:
    """Draw the graph and its spectrum into a file."""
    from .. import topology as room

    figure = room.plot(graph)
    getattr(figure, "figure", figure).savefig(path, dpi=150, bbox_inches="tight")


__all__ = [
    "check_picture",
    "graph_facts",
    "listing",
    "most_of_data",
    "picture",
    "plan",
    "said",
    "show",
    "topology",
]
