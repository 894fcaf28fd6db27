"""What a run leaves behind: records of numbers, the final state, and ways to look at them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsIndex

import numpy as np

from .. import population
from ..core.types import Axes, PathLike
from ..devices import processes
from ..errors import NULL, bad, call, keyword
from .arrays import Arrays
from .seeds import mean_over

Record = dict[str, Any]
KEYS = ("run", "seed", "round")  # what tells records apart; all other names are numbers
AXES = ("round", "bytes", "gradients", "epochs", "seconds", "wall", "flops", "joules")
BY = {name: name for name in AXES} | {"rounds": "round"}


class History:
    """The records of one or several runs, and their final states.

    A record is a flat dict: "run" (label), "seed", "round" (rounds done), then numbers: "loss"
    (mean training loss since the record before), "accuracy/local", "accuracy/mean_model",
    "consensus", "bytes" (directed payload of all nodes so far), "bytes/node", "seconds" (virtual,
    with a clock), "wall" (real seconds so far), and what own metrics add.

    Attributes:
      records: list of records, in the order made.
      facts: label -> facts of that run: "rounds", "seeds", "nodes", "parameters", "method",
        "status", "wall", "compile".
      graphs: label -> (rounds done when it came into use, graph in plain values) of each phase of that run, for pictures.
      interrupted: the run was stopped by Ctrl-C (or Colab's stop button) before its end.
      directory: where the run was written, or None.
      held: arrays that metrics returned; see `arrays`.
    Example:
      >>> h = History([{"run": "a", "seed": 0, "round": 0, "loss": 2.0}, {"run": "a", "seed": 0, "round": 9, "loss": 1.0}])
      >>> h.last("loss")
      1.0
    """

    def __init__(
        self, records: Iterable[Record] = (), facts: Mapping[str, Mapping[str, Any]] | None = None, *,
        states: Mapping[str, Any] | None = None, interrupted: bool = False, directory: PathLike | None = None,
    ):  # fmt: skip
        self.records: list[Record] = list(records)
        self.facts: dict[str, dict[str, Any]] = {k: dict(v) for k, v in (facts or {}).items()}
        self._states: dict[str, Any] = dict(states or {})
        self.interrupted, self.directory, self.held = interrupted, directory, Arrays()
        self.graphs: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        self.theory: dict[str, dict[str, Any]] = {}  # label -> `Prediction.plain()`, drawn over the records

    # ---- what is there
    @property
    def runs(self) -> list[str]:
        """Labels of the runs, in order."""
        return list(dict.fromkeys([*(r["run"] for r in self.records), *self.facts]))

    @property
    def names(self) -> list[str]:
        """Names of the numbers that records hold, in the order first seen."""
        return list(dict.fromkeys(name for r in self.records for name in r if name not in KEYS))

    def seeds(self, run: str | None = None) -> list[int]:
        """Seeds of one run (the only one, if None)."""
        run = self._run(run)
        return list(dict.fromkeys(r["seed"] for r in self.records if r["run"] == run))

    def __len__(self) -> int:
        return len(self.records)

    def __add__(self, other: "History") -> "History":
        """Both side by side; the labels must differ.

        Raises:
          ValueError: a label that both have.
        """
        if not isinstance(other, History):
            return NotImplemented
        twice = [label for label in self.runs if label in other.runs]
        if twice:
            raise bad(
                "label",
                twice[0],
                says=f"{twice[0]!r} stands in both histories",
                instead="give runs labels of their own: simulate(..., label='...')",
            )
        out = History(
            self.records + other.records, self.facts | other.facts, states=self._states | other._states,
            interrupted=self.interrupted or other.interrupted,
        )  # fmt: skip
        out.held, out.graphs = self.held + other.held, self.graphs | other.graphs
        out.theory = self.theory | other.theory
        return out

    # ---- numbers
    def series(self, name: str, run: str | None = None, by: str = "round") -> tuple[np.ndarray, np.ndarray]:
        """Return one number over the rounds of one run: x [R] and values [seeds, R].

        They are float64; NaN where a record lacks the number.

        Args:
          name: e.g. "accuracy/local". run: label; may be left out when there is one run.
          by: x axis: "round", "bytes", "gradients", "epochs", "seconds", "wall", "flops" or "joules" (the mean over seeds of those).
        Raises:
          ValueError: unknown name, run or axis.
        """
        run, by = self._run(run), self._axis(by)
        self._known(name)
        self._check_axis(by, run)
        mine = [r for r in self.records if r["run"] == run and (name in r)]
        rounds, seeds = sorted({r["round"] for r in mine}), self.seeds(run)
        column = {t: i for i, t in enumerate(rounds)}
        values, x = np.full((len(seeds), len(rounds)), np.nan), np.full((len(seeds), len(rounds)), np.nan)
        for r in mine:
            at = seeds.index(r["seed"]), column[r["round"]]
            values[at] = math.nan if r[name] is None else r[name]
            x[at] = spent(r, by)
        if not len(rounds):
            return np.zeros(0), values
        return (np.asarray(rounds, float) if by == "round" else mean_over(x)), values

    def arrays(self, name: str, run: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return what a metric returned as an array: rounds [R] and values [seeds, R, ...].

        Args:
          name: e.g. "accuracy/local_nodes", whose values are [seeds, R, n]; NaN where a seed lacks it. run: label; may be left out when there is one run.
        Raises:
          ValueError: unknown name or run; an array whose shape changes; a file that is damaged.
        """
        run = self._run(run)
        return self.held.series(name, run, self.seeds(run))

    def last(self, name: str, run: str | None = None) -> float:
        """The number at the last evaluation that has it, averaged over seeds.

        Of a seed that ended early it is that at its last.

        Raises:
          ValueError: no record of that run holds the name.
        """
        from .targets import finals

        return float(finals(self, name, run).mean())

    def peak(self, name: str, run: str | None = None) -> float:
        """The best value over all evaluations, averaged over seeds; see `report.targets`."""
        from .targets import peak

        return peak(self, name, run)

    def to_target(self, name: str, target: float, run: str | None = None, by: str = "round") -> np.ndarray:
        """What each seed [seeds] had spent at a target; see `report.targets`."""
        from .targets import to_target

        return to_target(self, name, target, run, by)

    def measure(self) -> str | None:
        """Return the name of the number that ranks runs where nothing else is said.

        That of the validation part where there is one, so that test rows do not choose. None if no such number was
        measured.
        """
        from .targets import RANKS

        return next((name for name in RANKS if name in self.names), None)

    def best(self, name: str | None = None) -> str | None:
        """Return the run whose number at its last evaluation is best (mean of seeds).

        Not the best that a run had on the way: for that look at `series`.

        Runs that diverged, failed or ended with numbers that are not finite are left out; None if no other is there.

        Args:
          name: e.g. "accuracy/local"; None: the first of accuracy/validation, loss/validation, accuracy/local,
            accuracy/mean_model, objective, loss/local, loss that there is. Higher is better for accuracy and its like
            (`metrics.HIGHER_IS_BETTER`), lower for all others.
        Raises:
          ValueError: unknown name.
        """
        from .targets import best

        return best(self, name)

    def to_numpy(self) -> dict[str, np.ndarray]:
        """Return columns: name -> array [records].

        "run" holds text, "seed" and "round" int64, the others float64 (NaN if missing).
        """
        out: dict[str, np.ndarray] = {"run": np.array([r["run"] for r in self.records], dtype=np.str_)}
        out |= {name: np.array([r[name] for r in self.records], np.int64) for name in ("seed", "round")}
        for name in self.names:
            out[name] = np.array([math.nan if r.get(name) is None else r[name] for r in self.records], np.float64)
        return out

    def to_pandas(self) -> Any:
        """A pandas DataFrame, one row a record.

        Raises:
          ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError(
                "history.to_pandas() needs pandas, which is not installed; `pip install pandas`, or use to_numpy()"
            ) from None
        return pandas.DataFrame(self.to_numpy())

    # ---- pictures and tables
    def plot(
        self, name: str = "accuracy", by: str = "round", ax: Axes | None = None, *, band: str | None = "std"
    ) -> Any:
        """Draw a number over rounds, bytes or seconds: means over seeds, with bands.

        Args:
          name: a name of `names`, or a family such as "accuracy": local models as solid lines, the
            mean model thin.
          by: "round", "bytes", "gradients", "epochs", "seconds", "wall", "flops" or "joules".
          ax: matplotlib axes; None makes a figure. On axes of your own the legend is yours, too.
          band: "std" (mean ± standard deviation over seeds, as in tables), "minmax" (lowest to highest seed), "ci95" (95 % interval
            of the mean by Student's t), or None. The legend names it.
        Returns:
          The axes.
        Raises:
          ValueError: unknown name, axis or band; an axis that the records lack, such as seconds without a clock.
        """
        from . import draw

        return draw(self, name, by=by, ax=ax, band=band)

    def table(
        self, columns: Sequence[str] | None = None, *, band: str = "std", target: tuple[str, float] | None = None
    ) -> Any:
        """Return the final numbers, one row a run.

        It prints as text and shows as HTML in a notebook; `.rows` are plain dicts, `.save(path)` writes LaTeX, Markdown or CSV.

        Args:
          columns: names of numbers, in their order; None: those of `dejax.report.table`.
          band: what stands behind ±, "std" or "ci95", as in `plot`.
          target: ("accuracy/local", 0.8) adds what was spent until it was there.
        """
        from . import table

        return table(self, columns, band=band, target=target)

    def figure(self, *, band: str | None = "std") -> Any:
        """Draw accuracy over rounds and over bytes; `band` as in `plot`."""
        from . import figure

        return figure(self, band=band)

    def save(self, directory: PathLike | None, config: str | None = None) -> Any:
        """Write records, run.json, figure.png and report.html; see `dejax.report.save`."""
        from . import save

        return save(self, directory, config=config)

    # ---- states and models
    def state(self, run: str | None = None) -> Any:
        """Return the final state of the method of one run.

        With several seeds, leaves have a leading seeds axis.

        Raises:
          ValueError: the run has none here (it was read from files, or interrupted before its first
            round).
        """
        return self._live(run).state

    @property
    def final(self) -> Any:
        """The final state of the only run, e.g. `history.final.params`."""
        return self.state()

    def memory(self, run: str | None = None) -> Any:
        """Return what `Problem(source=...)`, or the sampler, remembers: [n, ...] by id."""
        return self._live(run).memory

    def params(self, run: str | None = None, seed: int | None = None) -> Any:
        """Return what is evaluated at the end, `method.model(state)`.

        A tree of [n, ...], or one model for a server's method.
        """
        return self._live(run).params(seed)

    def model(self, node: int | None = None, *, run: str | None = None, seed: int | None = None) -> Any:
        """Return the final model as the user's own flax module.

        It is the mean of the honest nodes' models, or that of node `node`.

        Args:
          node: node id, or None for the mean model.
          run, seed: which run and which of its seeds; may be left out when there is one.
        Returns:
          What `task.module(params)` gives, or the tree of parameters if the task has no modules.
        Raises:
          FieldError: no such node, run or seed; a node that is no whole number.
        """
        live = self._live(run)
        if node is not None and (isinstance(node, bool) or not isinstance(node, SupportsIndex)):
            raise bad(
                "node",
                node,
                owner="history.model",
                instead="give the id of a node, a whole number, or " + NULL + " for the mean model",
            )
        view = live.view(seed)
        if node is not None and not 0 <= node < view.n:
            why = f"which is not in a population of {view.n}"
            raise bad("node", node, owner="history.model", why=why, instead=f"give 0 <= node < {view.n}")
        params = view.mean if node is None or view.shared else population.node(view.params, node)
        if processes.count() > 1:  # arrays that this process can use by itself
            params = processes.to_host(params)
        module = getattr(view.task, "module", None)
        return params if module is None else module(params)

    def continue_(self, rounds: int, **options: Any) -> "History":
        """Run for `rounds` more rounds from the final state.

        The new history holds the old records too. Keeps the evaluation schedule and the run
        directory; `options` override those of `simulate`. The state is that of one unbroken run,
        bit for bit, unless an option of the network follows t / T.
        Raises:
          ValueError: several runs, or none with a state.
        """
        return self._live(self._run(None)).continue_(self, rounds, options)

    # ---- looks
    def __repr__(self) -> str:
        runs = self.runs
        head = f"History of {len(runs)} run{'s' * (len(runs) != 1)}, {len(self.records)} records"
        head += " (interrupted)" if self.interrupted else ""
        if not self.records:
            return head
        return f"{head}\n{self.table()}\nnumbers: {', '.join(self.names)}"

    def _repr_html_(self) -> str:
        import html

        note, names = " (interrupted)" if self.interrupted else "", html.escape(", ".join(self.names))
        return f"{self.table()._repr_html_()}<p>{len(self.records)} records{note}; <code>history.plot(name)</code> with: {names}</p>"

    # ---- inside
    def _run(self, run: str | None) -> str:
        if run is None:
            if len(self.runs) != 1:
                why = f"but this history has {len(self.runs)} runs ({', '.join(self.runs)})"
                raise bad("run", run, why=why, instead="say which: run=...")
            return self.runs[0]
        if run not in self.runs:
            raise bad("run", run, why="and no run of this history", instead=f"there are: {', '.join(self.runs)}")
        return run

    def _known(self, name: str) -> None:
        if name not in self.names:
            import difflib

            near = difflib.get_close_matches(name, self.names, 1, 0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise bad("name", name, why="which no record holds", instead=f"{hint}there are: {', '.join(self.names)}")

    def _axis(self, by: str) -> str:
        if by not in BY:
            raise bad("by", by, instead=f"give {', '.join(map(repr, AXES[:-1]))} or {AXES[-1]!r}")
        return BY[by]

    def _check_axis(self, by: str, run: str | None = None) -> None:
        """Refuse an axis that no record (of `run`) has."""
        if by == "round" or any(r.get(by) is not None for r in self.records if run is None or r["run"] == run):
            return
        none = "the records" if run is None else f"the records of run {run!r}"
        if by == "seconds":
            clock = call("dejax.faults.clock", latency=0.01)
            way = "give the network a clock, " + keyword("clock", clock) + ", or take by='wall' for real seconds"
            raise bad("by", by, why=f"but {none} hold no virtual seconds: the network has no clock", instead=way)
        ways = {"flops": "measure metrics=['flops']", "joules": "measure dejax.metrics.energy"}
        raise bad("by", by, why=f"but {none} hold no {by}", instead=ways.get(by, "take another axis: 'round'"))

    def _live(self, run: str | None) -> Any:
        run = self._run(run)
        if self._states.get(run) is None:
            why = "which has no final state in memory: it was read from files or stopped too early"
            where = f"simulate(..., resume={str(self.directory)!r})" if self.directory else "simulate"
            raise bad("run", run, why=why, instead="make one by " + where)
        return self._states[run]


def spent(record: Record, by: str) -> float:
    """What a run had spent at a record, NaN where it does not say; before round 0 nothing was."""
    return float(record.get(by, 0.0 if record["round"] == 0 and by != "wall" else math.nan))


__all__ = ["History", "Record", "spent"]
