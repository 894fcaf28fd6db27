"""Draw with which method to begin: python scripts/draw_choice.py docs/images/choice.svg (or .png)."""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

NEIGHBORS, SERVER, QUESTION, DARK = "#0072B2", "#D55E00", "#777777", "#333333"  # colour-blind readers tell them apart
STEP, HIGH = 1.0, 0.66  # distance of questions; height of boxes
ASKED, NAMED = 2.9, 3.9  # widths of questions and answers
MIDDLE, AWAY = 6.4, 4.35  # center of the questions; of the answers, left and right of it

# question -> the method to begin with among neighbors, and at a server: (`method` names, what stands below); None: not asked there
STEPS = (
    ("false messages?", (("dsgd",), "with rule=nna(f=1)"), (("fedavg",), "with rule=trimmed_mean(f=1)")),
    ("a model of its own\nfor every node?", (("network_lasso", "dispfl"), "or dsgd with roles"), (("ditto", "fedrep"), "nodes of a few kinds: ifca")),
    ("one-way links?", (("sgp",), "on directed_ring(n, weights=push_sum())"), None),
    ("wait for nobody?", (("ad_psgd",), "with events=poisson()"), (("fedbuff", "favano"), "wait for the first k: dbw")),
    ("few bits?", (("choco",), "or most with codec=copies(top_k(ratio=0.1), gamma=0.3)"),
     (("fedavg",), "with codec=direct(qsgd(levels=16)); scalars alone: fedes")),
    ("unequal data?", (("gradient_tracking",), "half the bytes: exact_diffusion; few rounds: kgt"), (("scaffold",), "no state at nodes: mime")),
    ("none of these", (("dsgd",), "few rounds: local_sgd; one mean now and then: gossip_pga"), (("fedavg",), "")),
)  # fmt: skip


def box(ax, x: float, y: float, wide: float, colour: str, strong: str, weak: str = "") -> None:
    """A box around (x, y): one line of weight, and one below it."""
    corner = (x - wide / 2, y - HIGH / 2)
    shape = FancyBboxPatch(corner, wide, HIGH, "round,pad=0,rounding_size=0.1", ec=colour, lw=1.4, fc=colour + "1f")
    ax.add_patch(shape)
    ax.text(x, y + 0.12 * bool(weak), strong, ha="center", va="center", fontsize=10, color="black", linespacing=1.1)
    ax.text(x, y - 0.16, weak, ha="center", va="center", fontsize=7.5, color=DARK)


def arrow(ax, start: tuple[float, float], end: tuple[float, float], colour: str, word: str = "") -> None:
    """An arrow between two points, with a word beside its beginning."""
    style = {"arrowstyle": "-|>", "mutation_scale": 11, "lw": 1.2, "color": colour, "shrinkA": 0, "shrinkB": 0}
    ax.add_patch(FancyArrowPatch(start, end, **style))
    down = start[0] == end[0]
    x, y = (start[0] + 0.12, (start[1] + end[1]) / 2) if down else ((start[0] + end[0]) / 2, start[1] + 0.12)
    ax.text(x, y, word, ha="left" if down else "center", va="center", fontsize=8.5, color=colour)


def main(target: str) -> None:
    """Questions from top to bottom; the first that is answered by yes names a method, left or right."""
    figure, ax = plt.subplots(figsize=(11.2, 6.7))
    top = STEP * len(STEPS)
    for side, colour, title in ((-1, NEIGHBORS, "neighbors on a graph"), (1, SERVER, "a server")):
        ax.text(MIDDLE + side * AWAY, top, title, ha="center", fontsize=11, fontweight="bold", color=colour)
    ax.text(MIDDLE, top, "Who averages, and which is the first yes?", ha="center", fontsize=9.5, color=DARK)
    for i, (question, *answers) in enumerate(STEPS):
        y = top - 0.62 - i * STEP
        box(ax, MIDDLE, y, ASKED, QUESTION, question)
        last = i == len(STEPS) - 1
        if not last:
            arrow(ax, (MIDDLE, y - HIGH / 2), (MIDDLE, y - STEP + HIGH / 2 + 0.02), QUESTION, "no")
        for side, colour, answer in zip((-1, 1), (NEIGHBORS, SERVER), answers):
            if answer is not None:
                names, more = answer
                edge = MIDDLE + side * ASKED / 2
                word = "" if last else "yes"
                arrow(ax, (edge, y), (MIDDLE + side * (AWAY - NAMED / 2 - 0.03), y), colour, word)
                box(ax, MIDDLE + side * AWAY, y, NAMED, colour, " or ".join(names), more)
    note = "Put local_only and centralized beside any of them: they bound what communication can give."
    ax.text(MIDDLE, -0.18, note, ha="center", fontsize=9, color=DARK)
    ax.set(xlim=(0, 2 * MIDDLE), ylim=(-0.35, top + 0.3))
    ax.axis("off")
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.995)
    metadata = {"Date": None} if target.endswith(".svg") else {"Software": None}  # the same bytes every time
    with plt.rc_context({"svg.hashsalt": "choice"}):
        figure.savefig(target, dpi=110, facecolor="white", metadata=metadata)


if __name__ == "__main__":
    main(*sys.argv[1:])
