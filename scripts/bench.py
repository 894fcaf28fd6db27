"""Time every hot path of dejax against its bound, in one table.

    python scripts/bench.py [--only GROUP ...] [--json FILE] [--quick]

A row is one hot path: group, name, n, milliseconds, bound, ratio, spread. A path and its bound take turns within one run; the
milliseconds are a median, the ratio is the median over turns (time / bound; "4.2x" marks rival / dejax: how much faster dejax is),
the spread the quartiles of that ratio. Runs as it is on CPU, GPU and TPU. Torch is optional: its rows say so when it is missing.
"""

import argparse
import json
import sys

from benches import _harness as harness

import dejax


def main() -> None:
    """Print the table; write it as JSON where asked."""
    groups = harness.groups()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="GROUP", default=list(groups), choices=list(groups))
    parser.add_argument("--match", default="", metavar="TEXT", help="only rows whose name holds this text")
    parser.add_argument("--n", type=int, nargs="+", help="only these numbers of nodes")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="few repeats and small sizes: does it run, not how fast")
    parser.add_argument("--dtype", default="float32", choices=harness.DTYPES)
    parser.add_argument("--seconds", type=float, help="most seconds of measuring per row")
    args = parser.parse_args()
    seconds = args.seconds or (0.5 if args.quick else 6.0)
    options = harness.Options(args.quick, args.dtype, seconds, args.match, None if args.n is None else tuple(args.n))
    flags = dejax.fast_cpu()
    machine = harness.machine() + (", with the flags of dejax.fast_cpu()" if flags else "")
    print(machine)
    table = []
    for group in args.only:
        print(f"\n{group}: {groups[group].__doc__.splitlines()[0]}")
        print(harness.HEADER)
        for row in groups[group].rows(options):
            print(row.line(), flush=True)
            table.append(row.record())
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"machine": machine, "command": " ".join(sys.argv[1:]), "rows": table}, file, indent=1)


if __name__ == "__main__":
    main()
