"""Draw the growth curve out of a bench's JSON: python scripts/bench.py --only growth --json FILE; python scripts/plot_growth.py FILE PICTURE."""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main(source: str, target: str) -> None:
    """Nanoseconds per node-step over n."""
    with open(source) as file:
        bench = json.load(file)
    rows = [r for r in bench["rows"] if r["group"] == "growth"]
    n, cost = [r["n"] for r in rows], [r["nanoseconds"] for r in rows]
    base = next(r["nanoseconds"] for r in rows if r["n"] == 256)
    figure, ax = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    ax.axhspan(base / 1.5, base * 1.5, color="#0072B2", alpha=0.1, lw=0, label="within 1.5 of n = 256")
    ax.plot(n, cost, "o-", color="#0072B2", label=rows[0]["name"])
    ax.set_xscale("log", base=2)
    ax.set_ylim(0, 1.1 * max(*cost, base * 1.5))
    ax.set(xlabel="nodes n", ylabel="nanoseconds per node-step")
    ax.set_title(bench["machine"], fontsize=7, color="#555555")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="#e6e6e6")
    ax.legend(frameon=False)
    figure.savefig(target, dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
