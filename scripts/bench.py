"""Time every hot path of dejax against its bound, in one table.

    python scripts/bench.py [--only GROUP ...] [--match TEXT] [--n N ...] [--json FILE] [--quick] [--dtype bfloat16]

A row is one hot path: group, name, n, milliseconds, bound, ratio, spread. A path and its bound take turns within one run; the
milliseconds are a median, the ratio is the median over turns (time / bound; "4.2x" marks rival / dejax: how much faster dejax is),
the spread the quartiles of that ratio. Runs as it is on CPU, GPU and TPU; on a GPU or TPU, paths that take hardly longer than a call that
does nothing (its time stands above the table) are bound by the host. Torch is optional: its rows say so when it is missing. FILE gets
what was measured, also when something fails or Ctrl-C comes in between.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from benches import _harness as harness

import dejax

os.environ["DEJAX_CACHE"] = "off"  # what is timed as compilation compiles


def nodes(text: str) -> int:
    """A number of nodes.

    Raises:
      argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of nodes; give whole numbers from 1 on, e.g. 64 1024")
    return int(text)


def seconds(text: str) -> float:
    """A time to measure.

    Raises:
      argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no time to measure for; give seconds above 0, e.g. 6")
    return value


def _parser(groups: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="GROUP", default=list(groups), choices=list(groups))
    parser.add_argument("--match", default="", metavar="TEXT", help="only rows whose name holds this text")
    parser.add_argument("--n", type=nodes, nargs="+", help="only rows with these numbers of nodes")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="few repeats and small sizes: does it run, not how fast")
    parser.add_argument("--dtype", default="float32", choices=harness.DTYPES)
    parser.add_argument("--seconds", type=seconds, help="most seconds of measuring per row")
    return parser


def _no_row(args: argparse.Namespace, rows: dict[str, list[tuple[str, int]]]) -> str:
    """The error where no row is asked for: what was asked, and which rows there are."""
    asked = [f"--match {args.match!r}"] * bool(args.match)
    asked += [f"--n {' '.join(map(str, args.n or ()))}"] * bool(args.n)
    lines = [f"no row of {', '.join(rows)} fits {' and '.join(asked)}; there are:"]
    for group, found in rows.items():
        names = "; ".join(dict.fromkeys(name for name, _ in found))
        lines.append(f"  {group}, n = {', '.join(map(str, sorted({n for _, n in found})))}: {names}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table; write it as JSON where asked."""
    argv = sys.argv[1:] if argv is None else argv
    groups = harness.groups()
    parser = _parser(list(groups))
    args = parser.parse_args(argv)
    flags = dejax.fast_cpu()

    def wants(name: str, n: int) -> bool:
        return args.match in name and (args.n is None or n in args.n)

    options = harness.Options(args.quick, args.dtype, args.seconds or (0.5 if args.quick else 6.0), wants)
    rows = {group: harness.names(groups[group], options) for group in args.only}
    if not any(wants(*row) for found in rows.values() for row in found):
        parser.error(_no_row(args, rows))
    if args.json is not None:
        try:
            open(args.json, "a").close()  # now, not after an hour of measuring
        except OSError as error:
            parser.error(
                f"--json {args.json!r} cannot be written ({error.strerror}); give a file in a directory that exists and is yours to write to"
            )
    machine = harness.machine()
    line = harness.machine_line(machine) + (", with the flags of dejax.fast_cpu()" if flags else "")
    print(f"{line}\n{args.dtype}; a call that does nothing takes {machine['call_ms']:.2g} ms")
    table: list[dict[str, Any]] = []
    try:
        for group in args.only:
            if any(wants(*row) for row in rows[group]):
                print(f"\n{group}: {groups[group].__doc__.splitlines()[0]}\n{harness.HEADER}")
                for row in groups[group].rows(options):
                    print(row.line(), flush=True)
                    table.append(row.record())
    finally:
        if args.json is not None and table:
            facts = {"machine": line, "dtype": args.dtype, "command": " ".join(argv)} | machine
            with open(args.json, "w") as file:
                json.dump(facts | {"rows": table}, file, indent=1)


if __name__ == "__main__":
    main()
