"""Draw the growth curve out of a bench's JSON: python scripts/bench.py --only growth --json FILE; python scripts/plot_growth.py FILE PICTURE."""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main(source: str, target: str) -> None:
    """Time per node-step over that at n = 256, with which every size took turns, and the quartiles of it."""
    with open(source) as file:
        bench = json.load(file)
    rows = [r for r in bench["rows"] if r["group"] == "growth"]
    n, cost = [r["n"] for r in rows], [r["ratio"] for r in rows]
    around = [[r["ratio"] - r["spread"][0] for r in rows], [r["spread"][1] - r["ratio"] for r in rows]]
    base = next(r["nanoseconds"] for r in rows if r["n"] == 256)
    figure, ax = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    ax.axhspan(1 / 1.5, 1.5, color="#0072B2", alpha=0.1, lw=0, label="within 1.5 of n = 256")
    label = f"{rows[0]['name']}; n = 256: {base:,.0f} ns"
    ax.errorbar(n, cost, around, fmt="o-", capsize=3, color="#0072B2", label=label)
    ax.set_xscale("log", base=2)
    ax.set_ylim(0, 1.1 * max(*cost, 1.5))
    ax.set(xlabel="nodes n", ylabel="time per node-step / that at n = 256")
    ax.set_title(bench["machine"], fontsize=7, color="#555555")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="#e6e6e6")
    ax.legend(frameon=False)
    figure.savefig(target, dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
