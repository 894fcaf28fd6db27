"""What a run shows while it runs.

At first "compiling", then a bar with rounds/s, time left, loss and consensus distance.
"""

import math
import time
from typing import Any, Self


class Progress:
    """Show one live line per run on a terminal or in a notebook.

    Elsewhere, print one plain line when a run ends.

    Args:
      on: False says nothing at all.
    """

    def __init__(self, on: bool = True):
        self.on, self._live, self._task = on, None, None
        self._tasks: dict[str, Any] = {}
        self._label, self._total, self._seen, self._since = "", 0, 0, 0.0

    def __enter__(self) -> Self:
        if self.on:
            from rich.console import Console

            console = Console()
            if console.is_terminal or console.is_jupyter:
                self._live = _bar(console)
                self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def begin(self, label: str, total: int, done: int = 0) -> None:
        """A run starts, or its rounds are compiled; it says "compiling" until the first `update`."""
        self._label, self._total, self._seen, self._since = label, total, done, 0.0
        if self._live is not None:
            if label not in self._tasks:
                self._tasks[label] = self._live.add_task(_escape(label), note="compiling", rate="", left="")
            self._task = self._tasks[label]
            self._live.update(self._task, total=total, completed=done)

    def say(self, text: str) -> None:
        """A line of its own."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)
        elif self.on:
            print(text, flush=True)

    def update(self, done: int, numbers: dict[str, Any]) -> None:
        """`done` rounds are over; `numbers` may hold loss, consensus and accuracy."""
        now = time.perf_counter()
        if not self._since:  # the first chunk was mostly compilation
            self._seen, self._since = done, now
            rate = 0.0
        else:
            rate = (done - self._seen) / max(now - self._since, 1e-9)
        if self._live is not None:
            left = _clock((self._total - done) / rate) if rate > 0 else ""
            speed = f"{rate:.3g} rounds/s" if rate > 0 else ""
            self._live.update(self._task, completed=done, note=_escape(said(numbers)), rate=speed, left=left)

    def end(self, done: int, wall: float, compile: float, numbers: dict[str, Any], status: str = "done") -> None:
        """A run is over."""
        if self._live is not None:
            note = said(numbers) if status == "done" else f"{status}; {said(numbers)}"
            self._live.update(self._task, completed=done, note=_escape(note), left=_clock(wall), rate="in all")
        elif self.on:
            how = "" if status == "done" else f" ({status})"
            print(
                f"{self._label}: {done} rounds{how} in {wall:.1f} s, {compile:.1f} s of it compiling; {said(numbers)}",
                flush=True,
            )


def said(numbers: dict[str, Any]) -> str:
    """The numbers that a line shows."""
    shown = []
    for name, title in (
        ("loss", "loss"),
        ("accuracy/local", "accuracy"),
        ("objective", "objective"),
        ("consensus", "consensus"),
    ):
        value = numbers.get(name)
        if value is not None and not math.isnan(value):
            shown.append(
                f"{title} {value:.3f}"
                if name.startswith(("loss", "accuracy")) and value < 1e3
                else f"{title} {value:.2e}"
            )
    return ", ".join(shown)


def _bar(console: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress as Rich, TextColumn

    columns = [
        TextColumn("[bold]{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[left]}"), TextColumn("[dim]{task.fields[note]}"),
    ]  # fmt: skip
    return Rich(*columns, console=console, refresh_per_second=8)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _clock(seconds: float) -> str:
    """75 -> '1:15'."""
    if not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


__all__ = ["Progress", "said"]
