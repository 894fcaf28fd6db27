"""What all experiments share: claims, tables, the page that a run leaves, and the list of all pages.

An experiment is a file in this folder. The first line of its docstring is the title of its page, the rest its first words. It holds

    FLOAT64: bool                        # compute in float64
    def run(short: bool) -> Result       # short: small sizes, for tests

A page is `render` of a record, and a record is what a run measured: nothing on it is written by hand.
"""

import importlib
import io
import json
import math
import pkgutil
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib as mpl
import yaml
from matplotlib.figure import Figure

LARGEST = 60_000  # bytes of a figure


@dataclass(frozen=True)
class Claim:
    """What somebody says, and whether a run bears it out.

    Attributes:
      says: one sentence. source: the paper, or the theory, that says it.
      held: what the run decided. seen: the numbers that decided it.
      why: printed where it did not hold: the reason, as far as the run shows one.
    """

    says: str
    source: str
    held: bool
    seen: str
    why: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; numbers are formatted by the experiment (`number`)."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    read: str = ""  # one line under it


@dataclass(frozen=True)
class Result:
    """What an experiment found.

    Attributes:
      claims, tables: as above. setup: what was run, as plain values; shown as YAML.
      seeds: of starts, draws or data, as `setup` says; none where nothing is random. figure: drawn with `figure()`; caption: under it.
    """

    claims: Sequence[Claim]
    tables: Sequence[Table]
    setup: Mapping[str, Any]
    seeds: Sequence[int]
    figure: Figure | None = None
    caption: str = ""


def finished(history: Any) -> Any:
    """The history of a run that came to its end; Ctrl-C ends the experiment, for half a run proves nothing.

    Raises:
      KeyboardInterrupt: the run was stopped before its end.
    """
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def experiments() -> list[str]:
    """Names of all experiments, in alphabetical order."""
    names = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return sorted(name for name in names if not name.startswith("_"))


def load(name: str) -> ModuleType:
    """The module of one experiment."""
    return importlib.import_module(f"{__package__}.{name}")


def words(module: ModuleType) -> tuple[str, str]:
    """Title and first words of an experiment's page."""
    title, _, rest = (module.__doc__ or "").strip().partition("\n")
    return title.rstrip("."), rest.strip()


def tidy(setup: Any) -> Any:
    """Plain values, without the addresses of functions in the words of an object."""
    return json.loads(re.sub(r"<function ([\w.<>]+) at 0x[0-9a-f]+>", r"\1", json.dumps(setup)))


class Compact(yaml.SafeDumper):
    """Short lists in one line; nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal values out."""
        return True


def number(x: float, digits: int = 2, infinite: str = "diverged") -> str:
    """A number for a table: plain from 0.001 to 100,000, else with an exponent; `infinite` in place of inf and nan."""
    if not math.isfinite(x):
        return infinite if math.isnan(x) or x > 0 else "-inf"
    if x == 0 or 1e-3 <= abs(x) < 1e5:
        return f"{x:.{digits + 1}g}" if abs(x) < 1000 else f"{x:,.0f}"
    return f"{x:.{max(digits - 1, 0)}e}"


def spread(values: Iterable[float], form: str = "", infinite: str = "diverged") -> str:
    """Mean and standard deviation of several seeds (of one: its number), or median and range of numbers that span magnitudes."""
    values = [float(v) for v in values]
    if form:
        mean = sum(values) / len(values)
        if len(values) == 1:
            return f"{mean:{form}}"
        return f"{mean:{form}} ± {math.sqrt(sum((v - mean) ** 2 for v in values) / len(values)):{form}}"
    least, middle, most = (number(f(values), infinite=infinite) for f in (min, statistics.median, max))
    return least if least == most else f"{middle} ({least} to {most})"


def figure(width: float = 7.0, height: float = 3.4, panels: int = 1) -> tuple[Figure, Any]:
    """A figure and its axes (a list of them where `panels` > 1)."""
    drawn = Figure(figsize=(width, height), layout="constrained")
    axes = drawn.subplots(1, panels)
    for ax in [axes] if panels == 1 else axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25, linewidth=0.5)
    return drawn, axes


def svg(drawn: Figure, name: str) -> str:
    """The picture as SVG, the same bytes for the same curves.

    Raises:
      ValueError: it is larger than 60 kB.
    """
    out = io.StringIO()
    for ax in drawn.axes:
        ax.minorticks_off()  # a hundred of them on a logarithmic axis of 16 decades
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "path.simplify": True, "font.size": 8.5}):
        drawn.savefig(out, format="svg", metadata={"Date": None})
    text = "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
    if len(text.encode()) > LARGEST:
        raise ValueError(
            f"the figure of {name} takes {len(text.encode()):,} bytes; draw fewer points: at most {LARGEST:,}"
        )
    return text


def record(name: str, result: Result, seconds: float, machine: str) -> dict[str, Any]:
    """What is kept of a run, as plain values."""
    title, intro = words(load(name))
    return {
        "name": name, "title": title, "intro": intro, "seconds": math.ceil(seconds), "machine": machine,
        "seeds": [int(s) for s in result.seeds], "setup": tidy(dict(result.setup)), "figure": result.figure is not None,
        "caption": result.caption, "claims": [asdict(c) | {"held": bool(c.held)} for c in result.claims], "tables": [asdict(t) for t in result.tables],
    }  # fmt: skip


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows])


def held(claim: Mapping[str, Any]) -> str:
    """A verdict in words."""
    return "held" if claim["held"] else "**did not hold**"


def render(found: Mapping[str, Any]) -> str:
    """The page of a record."""
    name, claims = found["name"], found["claims"]
    parts = [f"# {found['title']}", found["intro"]]
    parts += [
        "## Claims",
        _grid(["claim", "source", "verdict", "seen"], [[c["says"], c["source"], held(c), c["seen"]] for c in claims]),
    ]
    reasons = [f"- **{c['says']}** {c['why']}" for c in claims if not c["held"]]
    if reasons:
        parts += ["Where a claim did not hold:", "\n".join(reasons)]
    for table in found["tables"]:
        parts += [f"## {table['title']}", _grid(table["head"], table["rows"])]
        parts += [f"Read: {table['read']}"] if table["read"] else []
    if found["figure"]:
        parts += [f"![{found['caption'] or found['title']}]({name}.svg)", found["caption"]]
    parts += [
        "## Set-up",
        "```yaml\n"
        + yaml.dump(
            found["setup"], Dumper=Compact, sort_keys=False, width=120, allow_unicode=True, default_flow_style=None
        )
        + "```",
    ]
    parts += [
        f"Seeds: {', '.join(map(str, found['seeds'])) or 'none, as nothing is random'}. `python scripts/reproduce.py {name}` wrote this page in {found['seconds']:,} s "
        f"(programs that an earlier run compiled are kept) on {found['machine']}."
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def index(records: Sequence[Mapping[str, Any]]) -> str:
    """The list of all pages, with every verdict."""
    claims = [c for found in records for c in found["claims"]]
    minutes = sum(found["seconds"] for found in records) / 60
    lines = [
        "# Results",
        "Small experiments that ask whether what papers promise is seen here. Each page has the claims, what was seen, a table, a figure, "
        "seeds and time, and where a claim did not hold, why. An expectation is what was written down before a method was built. `python scripts/reproduce.py NAME` runs one again and writes its page; "
        "`--all` runs all, `--list` names them.",
        f"Of {len(claims)} claims on {len(records)} pages {sum(c['held'] for c in claims)} held. All of them take {minutes:.0f} minutes "
        "on the machine that each page names.",
    ]
    rows = []
    for found in records:
        for i, c in enumerate(found["claims"]):
            first = [f"[{found['title']}]({found['name']}.md)", f"{found['seconds']:,}"] if i == 0 else ["", ""]
            rows.append([*first, c["says"], held(c)])
    return "\n\n".join([*lines, _grid(["page", "seconds", "claim", "verdict"], rows)]) + "\n"


def write(folder: Path, found: Mapping[str, Any], drawn: Figure | None) -> None:
    """The record, the page and the picture of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = svg(drawn, found["name"]) if drawn is not None else None  # before any file is touched: it may be refused
    (folder / f"{found['name']}.json").write_text(
        json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / f"{found['name']}.md").write_text(render(found), encoding="utf-8")
    if picture is not None:
        (folder / f"{found['name']}.svg").write_text(picture, encoding="utf-8")


def records(folder: Path) -> list[dict[str, Any]]:
    """All records of a folder, by name."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
