"""Break the code on purpose, one fault at a time, and see which test notices: `python scripts/mutants.py [NAME...]`.

Each mutant of `mutants.toml` replaces one text of one file by another in a copy of the tree, and runs there the tests that should fail.
The table goes to docs/mutants.md. A mutant that no test notices, or whose text is no longer in its file, makes this end with an error.

    python scripts/mutants.py                 all of them (about ten minutes)
    python scripts/mutants.py dropped_weight  some, whose rows of the table are renewed
    python scripts/mutants.py --list          names, rooms and files
    python scripts/mutants.py --clean         the same tests on the code as it is: they must pass
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST, TABLE = ROOT / "scripts" / "mutants.toml", ROOT / "docs" / "mutants.md"
LIMIT = 300  # seconds; a mutant may hang
HEAD = """# Mutants

Faults made on purpose, and the test that noticed each of them. Made by `python scripts/mutants.py`, from the list in
`scripts/mutants.toml`; seconds are those of the tests named there, stopped at the first failure, on a machine that was busy with others.

| mutant | room | the fault | what caught it | seconds |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Mutant:
    """One deliberate fault: `old` becomes `new` in `file`, and one of `tests` (pytest's arguments) should fail."""

    name: str
    fault: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def room(self) -> str:
        """The room of the file."""
        parts = Path(self.file).parts
        return parts[1].removesuffix(".py")

    def apply(self, tree: Path) -> None:
        """Write the fault into a tree.

        Raises:
          ValueError: the text is not there, or more than once.
        """
        path = tree / self.file
        text = path.read_text() if path.exists() else ""
        found = text.count(self.old)
        if found != 1:
            where = "is gone" if not path.exists() else f"holds its text {found} times"
            raise ValueError(f"mutant {self.name}: {self.file} {where}; it must be there once: write the mutant anew")
        path.write_text(text.replace(self.old, self.new))


def mutants(path: Path = LIST) -> list[Mutant]:
    """The committed list.

    Raises:
      ValueError: two mutants of one name.
    """
    rows = tomllib.loads(path.read_text())["mutant"]
    out = [Mutant(**{**row, "tests": tuple(row["tests"])}) for row in rows]
    names = [m.name for m in out]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"mutants {sorted(twice)} stand twice in {path.name}")
    return out


def copy_tree(to: Path) -> None:
    """The files that git knows, or would know, as they stand."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def run_tests(tree: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """(exit code of pytest, its output) in a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.setdefault("JAX_PLATFORMS", "cpu")
    environment.setdefault("MPLBACKEND", "Agg")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=line", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return 1, f"FAILED (no end within {LIMIT} s)"
    return done.returncode, done.stdout + done.stderr


def caught_by(code: int, output: str) -> str | None:
    """The test that failed; None where all passed.

    Raises:
      RuntimeError: pytest itself could not run.
    """
    if code == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", output, re.MULTILINE)
    if code not in (1, 2) or found is None:
        raise RuntimeError(f"pytest ended with {code}:\n{output[-2000:]}")
    return found[1]


def try_one(mutant: Mutant, tree: Path, clean: bool = False) -> tuple[str | None, float]:
    """(what caught it, seconds); with `clean` the tests run on the code as it is."""
    path = tree / mutant.file
    before = path.read_text() if path.exists() else None
    start = time.perf_counter()
    try:
        if not clean:
            mutant.apply(tree)
        return caught_by(*run_tests(tree, mutant.tests)), time.perf_counter() - start
    finally:
        if before is not None:
            path.write_text(before)


def row(mutant: Mutant, caught: str, seconds: float) -> str:
    """One line of the table."""
    cell = lambda text: text.replace("|", "\\|")
    return f"| {mutant.name} | {mutant.room} | {cell(mutant.fault)} | `{cell(caught)}` | {seconds:.0f} |"


def write_table(rows: dict[str, str], order: list[str]) -> None:
    """Rows in the order of the list; those that were not run now are kept."""
    old = {}
    if TABLE.exists():
        lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| ")]
        old = {line.split("|")[1].strip(): line for line in lines}
    merged = {**old, **rows}
    TABLE.write_text(HEAD + "\n".join(merged[name] for name in order if name in merged) + "\n")


def main(argv: list[str] | None = None) -> int:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants to try; all if left out")
    parser.add_argument("--list", action="store_true", help="show the list and try nothing")
    parser.add_argument("--clean", action="store_true", help="run the tests on the code as it is")
    given = parser.parse_args(argv)
    every = mutants()
    unknown = set(given.names) - {m.name for m in every}
    if unknown:
        parser.error(f"no mutant is called {', '.join(sorted(unknown))}; see --list")
    chosen = [m for m in every if not given.names or m.name in given.names]
    if given.list:
        print("\n".join(f"{m.name:28} {m.room:14} {m.file}" for m in chosen))
        return 0
    rows, wrong = {}, []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        for mutant in chosen:
            try:
                caught, seconds = try_one(mutant, tree, given.clean)
            except (ValueError, RuntimeError) as error:
                wrong.append(mutant.name)
                print(f"{mutant.name:28} {error}", flush=True)
                continue
            print(f"{mutant.name:28} {mutant.room:14} {seconds:5.0f} s  {caught or 'nothing failed'}", flush=True)
            if given.clean != (caught is None):
                wrong.append(mutant.name)
            elif caught is not None:
                rows[mutant.name] = row(mutant, caught, seconds)
    if not given.clean:
        write_table(rows, [m.name for m in every])
    print(f"{len(chosen) - len(wrong)} of {len(chosen)}" + (f"; wrong: {', '.join(wrong)}" if wrong else ""))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
