"""Draw one round as the data see it: python scripts/draw_round.py docs/images/round.svg (or .png)."""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

LOCAL, CHANNEL, RECEIVER, HOST = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#777777",
)  # colours that colour-blind readers tell apart
DARK = "#333333"
WIDTH, HEIGHT, GAP, LEFT = 1.56, 0.74, 0.38, 2.3

# band -> (colour, title, the verb, what stands in the boxes; "*" marks what is there only when it is switched on)
BANDS = (
    (
        LOCAL, "1  At each node", "round.gradient",
        ("own rows\nof the data", "a batch", "*false labels\n(attack)", "loss,\ngradient", "*clip, noise\n(privacy)", "value\nto share"),
    ),
    (
        CHANNEL, "2  On the channel", "round.exchange\nround.average",
        ("*clip, noise\n(privacy)", "*compress\n(codec)", "*adversaries\nrewrite", "*links lose\nor delay", "what receivers\nhold"),
    ),
    (RECEIVER, "3  At each receiver", ".combine()", ("mean under W\nor robust rule", "new models\n[n, ...]", "*sleepers\nkeep theirs")),
    (
        HOST, "Between chunks,\non the host", "simulate",
        ("evaluate\n(metrics)", "record", "checkpoint", "history: table,\nplot, report"),
    ),
)  # fmt: skip


def box(ax, x: float, y: float, text: str, colour: str) -> None:
    """One box; dashed where the text begins with a star."""
    optional, text = text.startswith("*"), text.lstrip("*")
    style = {"ls": (0, (4, 2)), "fc": "white"} if optional else {"ls": "-", "fc": colour + "1f"}
    shape = FancyBboxPatch(
        (x, y - HEIGHT / 2), WIDTH, HEIGHT, "round,pad=0,rounding_size=0.1", ec=colour, lw=1.4, **style
    )
    ax.add_patch(shape)
    ax.text(x + WIDTH / 2, y, text, ha="center", va="center", fontsize=9, color="black", linespacing=1.15)


def arrow(ax, start: tuple[float, float], end: tuple[float, float], colour: str = DARK) -> None:
    """An arrow between two points."""
    ax.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, lw=1.2, color=colour, shrinkA=0, shrinkB=0)
    )


def place(i: int) -> float:
    """Left edge of the i-th box of a band."""
    return LEFT + i * (WIDTH + GAP)


def main(target: str) -> None:
    """Four bands of boxes, the path from band to band, and the way back to the next round."""
    heights = (5.2, 3.85, 2.5, 0.95)
    first, loop, top = place(0) + WIDTH / 2, place(5) + WIDTH + 0.32, heights[0] + 0.62
    figure, ax = plt.subplots(figsize=(11.2, 5.6))
    for y, (colour, title, verb, boxes) in zip(heights, BANDS):
        ax.text(0.05, y + 0.16, title, va="center", fontsize=10, fontweight="bold", color=colour)
        below = y - 0.2 - 0.12 * (title + verb).count("\n")
        ax.text(0.05, below, verb, va="center", fontsize=8.5, family="monospace", color=DARK)
        for i, text in enumerate(boxes):
            box(ax, place(i), y, text, colour)
            if i:
                arrow(ax, (place(i) - GAP + 0.04, y), (place(i) - 0.03, y))
    ends = [place(len(boxes) - 1) for *_, boxes in BANDS]
    for i, colour in enumerate((DARK, DARK, HOST)):  # from the last box of a band to the first of the next
        at, bottom = ends[i] + WIDTH / 2, heights[i] - HEIGHT / 2
        middle = (heights[i] + heights[i + 1]) / 2
        ax.plot([at, at, first], [bottom, middle, middle], color=colour, lw=1.2)
        arrow(ax, (first, middle), (first, heights[i + 1] + HEIGHT / 2 + 0.02), colour)
    y, right = heights[2], ends[2] + WIDTH
    ax.plot([right, loop, loop, first], [y, y, top, top], color=LOCAL, lw=1.6)
    arrow(ax, (first, top), (first, heights[0] + HEIGHT / 2 + 0.02), LOCAL)
    text = {"ha": "center", "fontsize": 9}
    ax.text((right + loop) / 2, y + 0.14, "next round (lax.scan, on the device)", color=LOCAL, **text)
    note = "Each step is metered: bits, gradients, virtual seconds.\nWhat an option must remember lies in slots."
    ax.text((right + loop) / 2, y - 0.2, note, va="top", color=DARK, **text)
    ax.text((place(4) + loop) / 2, heights[3], "dashed: only when switched on", va="center", color=DARK, **text)
    ax.set(xlim=(0, loop + 0.1), ylim=(0.45, 6.0))
    ax.axis("off")
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.995)
    metadata = {"Date": None} if target.endswith(".svg") else {"Software": None}  # the same bytes every time
    with plt.rc_context({"svg.hashsalt": "round"}):
        figure.savefig(target, dpi=110, facecolor="white", metadata=metadata)


if __name__ == "__main__":
    main(*sys.argv[1:])
