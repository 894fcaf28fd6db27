"""Live lines, one for each run: on a terminal, and in the output of a notebook's cell."""

import html
import time
from typing import Any

LABEL = 20  # letters of a label in a bar that must fit into 80 columns
OFTEN = 0.2  # seconds between two looks of a notebook: each is a message to the browser


class Terminal:
    """Lines with a bar, which `rich` redraws."""

    def __init__(self, out: Any):
        self._live, self._tasks = _rich(out), {}
        self._live.start()

    def begin(self, label: str, total: int, done: int) -> None:
        """Show that a run compiles."""
        if label not in self._tasks:
            name = label if len(label) <= LABEL else label[: LABEL - 1] + "…"
            self._tasks[label] = self._live.add_task(_escape(name), note="compiling")
        self._live.update(self._tasks[label], total=total, completed=done)

    def show(self, label: str, done: int, note: str) -> None:
        """Show how far a run is."""
        self._live.update(self._tasks[label], completed=done, note=_escape(note))

    def say(self, text: str) -> None:
        """Print a line above."""
        self._live.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        """Leave the lines as they are."""
        self._live.stop()


class Cell:
    """One output of a notebook's cell, replaced while runs go on, with a line for each.

    It needs no widgets, so it looks the same in Jupyter, Colab, VS Code and a notebook that was saved.
    """

    def __init__(self) -> None:
        from IPython.display import display

        self._lines: dict[str, tuple[int, int, str]] = {}
        self._drawn = 0.0
        self._handle: Any = display(self._bundle(), raw=True, display_id=True)

    def begin(self, label: str, total: int, done: int) -> None:
        """Show that a run compiles."""
        self._lines[label] = (done, total, "compiling")
        self._draw()

    def show(self, label: str, done: int, note: str) -> None:
        """Show how far a run is."""
        self._lines[label] = (done, self._lines[label][1], note)
        if time.perf_counter() - self._drawn > OFTEN:
            self._draw()

    def say(self, text: str) -> None:
        """Print a line of its own."""
        print(text, flush=True)

    def stop(self) -> None:
        """Leave the last of what was shown."""
        self._draw()

    def _draw(self) -> None:
        self._drawn = time.perf_counter()
        self._handle.update(self._bundle(), raw=True)

    def _bundle(self) -> dict[str, str]:
        lines = [f"{label}: {done}/{total}  {note}" for label, (done, total, note) in self._lines.items()]
        rows = [
            f"<div><b>{html.escape(label)}</b> <progress max='{max(total, 1)}' value='{done}' style='width:8em'></progress> "
            f"{done}/{total} &nbsp; <span style='opacity:.7'>{html.escape(note)}</span></div>"
            for label, (done, total, note) in self._lines.items()
        ]
        return {"text/plain": "\n".join(lines), "text/html": "".join(rows)}


def _rich(out: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress as Rich, TextColumn
    from rich.table import Column

    whole, rest = Column(no_wrap=True), Column(no_wrap=True, overflow="ellipsis", ratio=1)
    columns = [
        TextColumn("[bold]{task.description}", table_column=whole), BarColumn(bar_width=24 if out.width >= 120 else 10),
        MofNCompleteColumn(table_column=Column(no_wrap=True)), TextColumn("[dim]{task.fields[note]}", table_column=rest),
    ]  # fmt: skip
    return Rich(*columns, console=out, refresh_per_second=8, expand=True)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


__all__ = ["Cell", "Terminal"]
