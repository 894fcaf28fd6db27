"""Run small experiments and write a page of each: the claim, what was seen, table, figure, seeds, time.

python scripts/reproduce.py finite_time       # writes docs/results/finite_time.md, and the list of all pages anew
python scripts/reproduce.py --list            # what there is
python scripts/reproduce.py --all             # each in a process of its own
python scripts/reproduce.py --short NAME      # small sizes; prints the page, writes nothing unless --out is given

An experiment whose claim does not hold has run well: the page says so, and the exit code is 0.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import jax

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benches import _harness as harness  # noqa: E402
from experiments import _page as pages  # noqa: E402

import dejax  # noqa: E402

RESULTS = ROOT / "docs" / "results"


def reproduce(name: str, short: bool, out: Path | None) -> dict:
    """Run one experiment; write its page where `out` says, and return its record."""
    module = pages.load(name)
    jax.config.update("jax_enable_x64", module.FLOAT64)
    began = time.perf_counter()
    result = module.run(short)
    seconds = time.perf_counter() - began
    found = pages.record(name, result, seconds, harness.machine_line(harness.machine()))
    if out is not None:
        pages.write(out, found, result.figure)
        (out / "index.md").write_text(pages.index(pages.records(out)), encoding="utf-8")
    return found


def main(argv: list[str] | None = None) -> int:
    """The command."""
    names = pages.experiments()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments: " + ", ".join(names))
    parser.add_argument("--list", action="store_true", help="name all experiments, with their titles")
    parser.add_argument("--all", action="store_true", help="run all of them, each in a process of its own")
    parser.add_argument("--short", action="store_true", help="small sizes; prints the pages in place of writing them")
    parser.add_argument("--out", type=Path, help="folder to write to (default: docs/results)")
    args = parser.parse_args(argv)
    if args.list:
        for name in names:
            print(f"{name:20} {pages.words(pages.load(name))[0]}")
        return 0
    wrong = [name for name in args.names if name not in names]
    if wrong or not (args.names or args.all):
        parser.error(
            f"no experiment {', '.join(map(repr, wrong))}; there are " + ", ".join(names)
            if wrong
            else "give a NAME, --all or --list"
        )
    out = args.out or (None if args.short else RESULTS)
    chosen = names if args.all else args.names
    if len(chosen) > 1:
        flags = ["--short"] * args.short + (["--out", str(out)] if args.out else [])
        return max(subprocess.run([sys.executable, __file__, *flags, name], check=False).returncode for name in chosen)
    found = reproduce(chosen[0], args.short, out)
    for claim in found["claims"]:
        print(f"{pages.held(claim):18} {claim['says']} {claim['seen']}")
    print(pages.render(found) if out is None else f"{found['seconds']} s; {out / chosen[0]}.md")
    return 0


if __name__ == "__main__":
    dejax.fast_cpu()  # before JAX computes anything
    sys.exit(main())
