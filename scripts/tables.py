"""Write the tables of the documents that are made from the library: members, traits, and which method goes with which option.

python scripts/tables.py            # write them
python scripts/tables.py --check    # say which are not current, and end with 1

A table stands between `<!-- table NAME: made by scripts/tables.py -->` and `<!-- end -->`. Nothing is compiled.
"""

# ruff: noqa: E402

import argparse
import ast
import functools
import inspect
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "harness"), str(ROOT / "scripts")]

import members
import method_facts

from dejax.config import listing
from dejax.core import kinds
from dejax.core.method import traits
from dejax.network.compatibility import table
from dejax.network.refusals import REFUSALS

ACTS = "+"


def rows(head, body):
    """A markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


@functools.cache
def verdicts():
    """(name of a table, row, column) -> None where the two go together, or the refusal."""
    methods, problem = members.methods(), members.problem()
    options, graphs = members.options(), members.graphs()
    found = {}
    for name, given in (("options", options), ("graphs", graphs)):
        networks = lambda method, given=given: {o: members.network(method, **kw) for o, kw in given.items()}
        found |= {(name, *pair): verdict for pair, verdict in table(methods, networks, problem).items()}
    for graph, kw in graphs.items():
        probe = members.probe(graph)
        networks = lambda method, kw=kw: {o: members.network(method, **kw, **option) for o, option in options.items()}
        for (_, option), verdict in table({probe: methods[probe]}, networks, problem).items():
            found["together", option, graph] = verdict
    return found


def numbers(found):
    """Name of a refusal -> its number on the page, in the order of the library's list."""
    met = {verdict.name for verdict in found.values() if verdict is not None}
    return {name: i for i, name in enumerate((r.name for r in REFUSALS if r.name in met), 1)}


def grid(found, name):
    """One table of the page: rows x columns, + or the number of the reason."""
    number = numbers(found)
    cells = {(row, column): verdict for (which, row, column), verdict in found.items() if which == name}
    lines, columns = dict.fromkeys(row for row, _ in cells), dict.fromkeys(column for _, column in cells)
    mark = lambda verdict: ACTS if verdict is None else number[verdict.name]
    return rows(["", *(f"`{c}`" for c in columns)], [[f"`{r}`", *(mark(cells[r, c]) for c in columns)] for r in lines])


def reasons():
    """The refusals that the tables meet, each with the first sentence that a user reads."""
    found = verdicts()
    first = {}
    for verdict in found.values():
        if verdict is not None:
            first.setdefault(verdict.name, verdict.text)
    return "\n".join(f"{i}. **{name}**: {first[name]}" for name, i in numbers(found).items())


def methods_table():
    """What `dejax list methods` and the traits know."""
    known = {type(method).__name__: method for method in members.methods().values()}
    body = []
    for member in listing.listing()["methods"]:
        said = traits(known[member.target])
        talks = {"neighbors": "neighbors", "edges": "edges", "server": "server", "none": "nobody"}[said.channel]
        talks += ", and a server" * (said.gossips and said.served)
        weights = " or ".join(said.weights) if said.channel == "neighbors" else "unused" if said.gossips else ""
        weights += ", the graph a tree" * (said.graph == "tree")
        weights += ", symmetric" * said.symmetric
        weights += "" if said.spectrum is None else f", eigenvalues > {said.spectrum:.3g}"
        family = Path(member.file).parent.name
        body.append([f"`{member.name}`", family, member.summary, talks, weights, member.reference])
    return rows(["method", "family", "what it is", "talks to", "W", "reference"], body)


def choice_table():
    """Of each method: its update and use by its docstring, amounts by shapes."""
    body = []
    for member in listing.listing()["methods"]:
        method, sent, kept = method_facts.facts()[member.target]
        doc = inspect.getdoc(type(method))
        update, use, identity = (method_facts.field(doc, name) for name in ("Update", "Choose it for", "Identity"))
        if not (update and use):
            raise ValueError(f"{member.target} says no `Update:` or `Choose it for:` in its docstring; write both")
        made = (
            method_facts.settings(member.name, method),
            update,
            method_facts.step(method),
            sent,
            kept,
            method_facts.counts(method),
        )
        body.append([*made, use, identity.rstrip(".")])
    head = [
        "method",
        "update",
        "step",
        "sent per round",
        "kept per node",
        "counts",
        "when to choose it",
        "identities tested",
    ]
    return rows(head, body)


def facts_table():
    """What options say of themselves, from the comments beside the defaults."""
    source, body = inspect.getsource(kinds).splitlines(), []
    for node in ast.parse("\n".join(source)).body:
        if not isinstance(node, ast.ClassDef) or node.name == "Interface":
            continue
        for item in node.body:
            if isinstance(item, ast.Assign):
                code, _, meaning = source[item.lineno - 1].partition("  # ")
                name, _, default = code.strip().partition(" = ")
                body.append([f"`dj.{node.name}`", f"`{name}`", f"`{default}`", meaning])
    return rows(["class", "says", "default", "meaning"], body)


TABLES = {
    "docs/methods.md": {"methods": methods_table, "facts": choice_table},
    "docs/write-your-own-method.md": {"facts": facts_table},
    "docs/compatibility.md": {
        "options": lambda: grid(verdicts(), "options"),
        "graphs": lambda: grid(verdicts(), "graphs"),
        "together": lambda: grid(verdicts(), "together"),
        "reasons": reasons,
    },
}


def current(page):
    """The text of a page with its tables as they should stand.

    Raises:
      ValueError: the page lacks the marks of a table.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, make in TABLES[page].items():
        mark = f"<!-- table {name}: made by scripts/tables.py -->"
        text, count = re.subn(
            rf"({re.escape(mark)}\n).*?(<!-- end -->)",
            lambda m, make=make: f"{m[1]}\n{make()}\n\n{m[2]}",
            text,
            flags=re.S,
        )
        if count != 1:
            raise ValueError(f"{page} has {count} places for the table {name}; give one: {mark} and <!-- end -->")
    return text


def main():
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where a page is not current")
    check = parser.parse_args().check
    stale = [page for page in TABLES if (ROOT / page).read_text(encoding="utf-8") != current(page)]
    for page in stale:
        print(page, "is not current; run python scripts/tables.py" if check else "written")
        if not check:
            (ROOT / page).write_text(current(page), encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
