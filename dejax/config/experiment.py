"""The top level of a config: its names, the runs it describes, and the objects of each run."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigError, FieldError, Path
from . import calls, hints
from .blame import blamed, located
from .calls import Call
from .names import experiment, run
from .registry import Registry
from .words import shown
from .yaml import dump

_PROBLEM = (
    "batch_size",
    "sampling",
    "starts",
    "block",
    "roles",
    "personal_lr",
    "personal_optimizer",
    "source",
    "rule",
    "augment",
)


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """One run of a config: its label, its length, and how to make its objects.

    Runs share the data.
    """

    label: str
    rounds: int
    args: dict[str, Any]
    path: Path
    config: "Config"

    def plain(self) -> dict[str, Any]:
        """All that this run takes, every default filled in."""
        return {k: calls.unbuild(v, None, self.config.registry) for k, v in self.args.items() if v is not None}

    def data(self) -> Any:
        """NodeData, or a synthetic problem that holds it (made once for all runs that share it)."""
        return self.config.make(self.args["data"], _build_data)

    def objects(self) -> tuple[Any, Any, Any]:
        """(method, problem, network), as `simulate` takes them.

        Raises:
          ConfigError: what a constructor refused, with the path of the call.
        """
        with blamed(self.config, self, strict=True):
            return self._objects()

    def _objects(self) -> tuple[Any, Any, Any]:
        from ..problem import Problem

        made = self.data()
        node_data = getattr(made, "data", made)
        if self.args["task"] is not None:
            with located(self.args["task"].path):
                task = self.config.make(
                    self.args["task"], lambda call: fit(call.build(), node_data), extra=self.args["data"]
                )
        elif (task := getattr(made, "task", None)) is None:
            raise ConfigError(self.path, "a config needs task, e.g. task: mlp; only synthetic sources bring their own.")
        given = {k: calls.build(self.args[k]) for k in _PROBLEM if self.args.get(k) is not None or k == "block"}
        problem = Problem(task, node_data, **given)
        given = self.args["phases"]
        if given:
            first = self._phase(given[0], problem)
            return first["method"], problem, first["network"]
        method, network = self.args["method"].build(), self.network(node_data.n)
        network.check(method, problem)  # what cannot work together, before anything is compiled
        return method, problem, network

    def phases(self, problem: Any) -> list[dict[str, Any]] | None:
        """The phases of the run, as `simulate` takes them beside `objects`; None where it has none.

        Raises:
          ConfigError: what a constructor refused, with the path of the call.
        """
        given = self.args["phases"]
        if not given:
            return None
        with blamed(self.config, self, strict=True):
            return [{"until": given[0].args.get("until")}, *(self._phase(call, problem) for call in given[1:])]

    def experiment(self) -> tuple[Any, ...]:
        """(method, problem, network), and the phases where there are some, as `compare` takes them."""
        method, problem, network = self.objects()
        phases = self.phases(problem)
        return (method, problem, network) if phases is None else (method, problem, network, phases)

    def _phase(self, call: Call, problem: Any) -> dict[str, Any]:
        """One phase, its method and network whole."""
        top, own = self.args["network"], call.args.get("network")
        merged = top if own is None else dataclasses.replace(own, args={**top.args, **own.args})
        with located(call.path):
            method = (call.args.get("method") or self.args["method"]).build()
            network = self.network(problem.n, merged)
            network.check(method, problem)
        return {"until": call.args.get("until"), "method": method, "network": network}

    @property
    def names(self) -> list[str]:
        """What may stand at the top of the config."""
        return [name for name, *_ in hints.arguments(experiment)]

    def names_of(self, section: str) -> list[str]:
        """What may stand in a section."""
        params = {p.name: p for p in hints.parameters(experiment, self.config.registry)}
        return [name for name, *_ in hints.arguments(params[section].section)]

    def where(self, field: str, section: str | None = None) -> Path:
        """Return where this run has a field of the top level, or of a section.

        That is under its label, or at the top.
        """
        own = self.config.overrides.get(self.label, self.config.overrides.get(""))
        for holder in (own, self.config.top):
            held = holder if section is None else holder.args.get(section) if holder is not None else None
            if held is not None and field in held.args:
                return (*held.path, field)
        return (section, field) if section else (field,)

    def network(self, n: int, call: Any = None) -> Any:
        """The network of this run for n nodes; of a phase, where its call is given."""
        call = self.args["network"] if call is None else call
        args = {k: calls.build(v) for k, v in call.args.items()}
        topology = args.get("topology")
        build = getattr(topology, "build", None)  # of one that waits for n
        if build is not None:
            with located(call.args["topology"].path, call.args["topology"].fn):
                args["topology"] = build(n)
        elif topology is not None and getattr(topology, "n", n) != n:
            raise ConfigError(
                (*call.args["topology"].path, "n"),
                f"the graph has n = {topology.n} but data.nodes is {n}; leave n out, or make them equal.",
            )
        with located(call.path, call.fn):
            return call.fn(**args)


def fit(task: Any, node_data: Any) -> Any:
    """A task whose sizes are those of the data: members that wait for them have `build(data)`."""
    build = getattr(task, "build", None)
    return task if build is None else build(node_data)


def _build_data(call: Call) -> Any:
    args = dict(call.args)
    source, nodes = args["source"], args.get("nodes")
    names = {p.name for p in hints.parameters(source.fn, source.registry)}
    if "nodes" in names and "nodes" not in source.args and nodes is not None:
        source = dataclasses.replace(source, args=source.args | {"nodes": nodes})
    return dataclasses.replace(call, args=args | {"source": source}).build()


class Config:
    """A checked config: `runs` says what there is to do, `yaml()` is its resolved form.

    Args:
      values: plain values, as YAML gives them.
      registry: the members that names stand for.
      source, lines: the file, and the line of each path in it. sets: what `--set` wrote, by path.
        For messages.
    Raises:
      ConfigError: anything that is not a call with the right arguments; nothing is built for this.
    """

    def __init__(
        self,
        values: object,
        registry: Registry | None = None,
        source: str | None = None,
        lines: Any = None,
        sets: Mapping[Path, str] | None = None,
    ):
        self.registry = registry or Registry()
        self.source, self.lines, self.sets = source, lines or {}, sets or {}
        self._made: dict[str, Any] = {}
        try:
            self._read(values)
        except ConfigError as error:
            raise self.at(error) from error.__cause__

    def at(self, error: ConfigError) -> ConfigError:
        """The same error with the override, or the line of the file, that its path comes from."""
        return error.at(self.source, self.lines, self.sets)

    def _read(self, values: object) -> None:
        if not isinstance(values, Mapping):
            raise ConfigError((), f"a config is a mapping of names, e.g. rounds: 100; got {shown(values)}.")
        self.values = dict(values)
        self._methods = self.values.get("methods")
        rest = {k: v for k, v in self.values.items() if k != "methods"}
        self.top = calls.read_call(None, experiment, rest, (), self.registry, partial=True)
        params = {p.name: p for p in hints.parameters(experiment, self.registry)}
        labels = self._labels()
        given = set(rest).union(
            *(
                {k for k, v in (spec or {}).items() if v is not None}
                for spec in labels.values()
                if isinstance(spec, Mapping)
            )
        )
        calls.require(params, given, (), "a config")
        self._check_numbers()
        self.overrides = {label: self._override(label, spec) for label, spec in labels.items()}
        self.runs = [self._run(label, call) for label, call in self.overrides.items()]

    def _labels(self) -> dict[str, Any]:
        methods = self._methods
        if methods is None:
            if self.values.get("method") is None:
                members = ", ".join(self.registry.members("method"))
                raise ConfigError(
                    (),
                    f"a config needs method, e.g. method: {{dsgd: {{lr: 0.1}}}}, or methods. Known methods: {members}.",
                )
            return {"": {}}
        if not isinstance(methods, Mapping) or not methods:
            raise ConfigError(
                ("methods",), f"expected a label for each run, {{label: {{method: ...}}}}; got {shown(methods)}."
            )
        return dict(methods)

    def _override(self, label: str, spec: object) -> Call:
        path: Path = ("methods", label) if label else ()
        if not isinstance(spec, Mapping):
            if isinstance(spec, str) and spec in self.registry.members("method"):
                raise ConfigError(path, f"expected what this run overrides; write {{method: {spec}}}.")
            raise ConfigError(path, f"expected what this run overrides, e.g. {{method: ...}}; got {shown(spec)}.")
        known = [p.name for p in hints.parameters(run, self.registry)]
        for key in spec:
            if key not in known and key in self.registry.members("method"):
                raise ConfigError((*path, key), f"a method stands under its name: {'.'.join((*path, 'method', key))}.")
        return calls.read_call(None, run, spec, path, self.registry, partial=True)

    def _run(self, label: str, over: Call) -> RunSpec:
        args: dict[str, Any] = {}
        for p in hints.parameters(run, self.registry):
            top, own = self.top.args.get(p.name), over.args.get(p.name)
            if p.section is not None and not p.many:
                # one section from two places: name by name, the path of what the run says itself
                empty = Call(None, p.section, {}, (p.name,), self.registry)
                top, own = top or empty, own or dataclasses.replace(top or empty, args={})
                merged = dataclasses.replace(own, args={**top.args, **own.args})
                calls.require(
                    {q.name: q for q in hints.parameters(p.section, self.registry)}, merged.args, merged.path, p.name
                )
                args[p.name] = merged
            else:
                args[p.name] = top if p.name not in over.args else own
        if not any("block" in call.args for call in (self.top, over)):
            args["block"] = "auto"  # null says: all nodes at once
        path = over.path
        if args["method"] is None:
            raise ConfigError(path, "this run has no method; give method here, or at the top for all runs.")
        if args["rounds"] is None:
            raise ConfigError(path, "this run has no rounds; give them here, or at the top for all runs.")
        _checked((*path, "rounds") if "rounds" in over.args else ("rounds",), args["rounds"])
        return RunSpec(label or args["method"].name, args["rounds"], args, path, self)

    def _check_numbers(self) -> None:
        evals = self.top.args.get("eval")
        for name in ("every", "nodes", "final_nodes", "checkpoint_every", "patience"):
            if evals is not None and evals.args.get(name) is not None:
                _checked(("eval", name), evals.args[name])
        section = self.top.args.get("data")
        if section is not None and section.args.get("nodes") is not None:
            _checked(("data", "nodes"), section.args["nodes"])
        if len(set(self.seeds)) != len(self.seeds) or not self.seeds:
            raise ConfigError(
                ("seed",), f"expected one seed or a list of different ones, got {shown(self.top.args['seed'])}."
            )
        for seed in self.seeds:
            _checked(("seed",), seed, "seed")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of every run."""
        seed = self.top.args.get("seed", 0)
        return tuple(seed) if isinstance(seed, (tuple, list)) else (seed,)

    @property
    def eval(self) -> dict[str, Any]:
        """Arguments of the evaluation: every, nodes, metrics, as far as given."""
        call = self.top.args.get("eval")
        return call.build() if call is not None else {}

    @property
    def mesh(self) -> dict[str, Any] | None:
        """The devices, as `compare(mesh=...)` takes them; None for one device."""
        call = self.top.args.get("mesh")
        return None if call is None else call.build()

    @property
    def sinks(self) -> tuple[Any, ...]:
        """Where records go, beside the run directory."""
        return calls.build(self.top.args.get("sinks", ()))

    @property
    def out(self) -> str | None:
        """Where the run directory goes, if the config says."""
        return self.top.args.get("out")

    def make(self, call: Call, build: Callable[[Call], Any], extra: Any = None) -> Any:
        """Build once for all runs that spell the call alike."""
        key = json.dumps([calls.unbuild(c, None, self.registry) for c in (call, extra)], default=repr)
        if key not in self._made:
            self._made[key] = build(call)
        return self._made[key]

    def share(self, other: "Config") -> None:
        """Use data and tasks that another config has made, and the other way round."""
        self._made = other._made

    def plain(self) -> dict[str, Any]:
        """Return the plain values with every default filled in.

        They read back as the same experiment.
        """
        top = self.top.plain()
        if self._methods is None:
            return {k: v for k, v in top.items() if k != "methods"}
        top.pop("method")
        shared = self.top.args.get("method")
        if shared is not None:
            top["method"] = shared.plain()
        top["methods"] = {label: calls.overridden(call, self.registry) for label, call in self.overrides.items()}
        return top

    def yaml(self) -> str:
        """The resolved form as YAML."""
        return dump(self.plain())

    def json(self) -> str:
        """The resolved form as JSON; infinite numbers stand as words, which read back as numbers."""
        return json.dumps(_words(self.plain()), indent=2, allow_nan=False)


def _words(value: object) -> Any:
    if isinstance(value, dict):
        return {k: _words(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_words(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _checked(path: Path, value: object, rule: str = "whole") -> None:
    """Check a number by a rule of `core.checks`, under its own path."""
    from ..core import checks  # here, because it imports NumPy

    try:
        getattr(checks, rule)(path[-1], value)
    except FieldError as error:
        raise ConfigError(path, error.sentence(path[-1])) from None


__all__ = ["Config", "RunSpec", "fit"]
