"""Show what a run does: a bar on a terminal, lines in a log."""

import math
import threading
import time
from collections.abc import Mapping
from typing import Any, Self

from .bars import Cell, Terminal
from .printing import console, say

BEAT = 30.0  # seconds without a line, after which a log gets one
COMPILING, RUNNING = "compiling", "running"


class Progress:
    """Show a live line on a terminal or in a notebook; elsewhere print lines.

    Lines of a log: when a run begins to compile, at each evaluation, when 30 s passed without one (which says what the run does:
    it compiles, measures, or runs), and when a run ends.

    Args:
      on: False says nothing at all.
    """

    def __init__(self, on: bool = True):
        self.on = on
        self._live: Cell | Terminal | None = None
        self._label, self._total, self._done, self._seen, self._since = "", 0, 0, 0, 0.0
        self._began = self._spoke = 0.0
        self._pace: list[str] = []
        self._doing = ""  # what the run does at this moment, as a log says it; nothing between runs
        self._over: threading.Event | None = None

    def __enter__(self) -> Self:
        if self.on:
            out = console()
            if out.is_terminal or out.is_jupyter:
                self._live = Cell() if out.is_jupyter else Terminal(out)
            else:
                self._over = threading.Event()
                threading.Thread(target=self._watch, args=(self._over,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._over is not None:
            self._over.set()
            self._over = None

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(1.0):
            self.beat(time.perf_counter())

    def beat(self, now: float) -> None:
        """Print where the run is, if no line came in the `BEAT` seconds before `now`."""
        if self._doing and now - self._spoke >= BEAT:
            running = f"round {self._done} of {self._total}, {RUNNING}"
            doing = {COMPILING: f"still {COMPILING}", RUNNING: running}.get(self._doing, self._doing)
            self.say(f"{self._label}: {doing}, {now - self._began:.0f} s so far")

    def begin(self, label: str, total: int, done: int = 0) -> None:
        """Show that a run compiles, until it says what else it does."""
        self._label, self._total, self._done, self._seen, self._since = label, total, done, done, 0.0
        self._began, self._pace = time.perf_counter(), []
        if self._live is not None:
            self._live.begin(label, total, done)
        elif self.on:
            goes_on = (
                f"{label}: goes on from round {done} of {total}, compiling"
                if done < total
                else f"{label}: all {total} rounds are done"
            )
            self.say(goes_on if done else f"{label}: compiling, {total} rounds to go")
        self._doing = COMPILING

    def measures(self, done: int) -> None:
        """Show that the evaluation after `done` rounds goes on, until `runs` or `update`."""
        self._doing = f"measuring round {done}"
        if self._live is not None:
            self._live.show(self._label, done, self._doing)

    def runs(self, compiled: bool) -> None:
        """Show that rounds come now, which are compiled first where they are not yet."""
        doing = RUNNING if compiled else COMPILING
        if self._live is not None and doing != self._doing:
            self._live.show(self._label, self._done, doing)
        self._doing = doing

    def say(self, text: str) -> None:
        """Print a line of its own."""
        self._spoke = time.perf_counter()
        if self._live is not None:
            self._live.say(text)
        elif self.on:
            say(text)

    def update(self, done: int, numbers: Mapping[str, Any]) -> None:
        """Show that `done` rounds are over; `numbers` as in `said`."""
        now = time.perf_counter()
        if not self._since:  # the first chunk was mostly compilation
            self._seen, self._since = done, now
            rate = 0.0
        else:
            rate = (done - self._seen) / max(now - self._since, 1e-9)
        self._done, self._doing = done, RUNNING
        self._pace = [f"{rate:.3g} rounds/s", clock((self._total - done) / rate)] if rate > 0 else []
        if self._live is not None:
            self._live.show(self._label, done, "  ".join(text for text in (*self._pace, said(numbers)) if text))

    def measured(self, done: int, numbers: Mapping[str, Any]) -> None:
        """Say in a log what an evaluation after `done` rounds found."""
        if self.on and self._live is None:
            pace = f", {self._pace[0]}, {self._pace[1]} left" if self._pace and done < self._total else ""
            self.say(f"{self._label}: round {done} of {self._total}{pace}; {said(numbers)}".removesuffix("; "))

    def end(
        self, done: int, wall: float, compile: float, numbers: Mapping[str, Any], status: str = "done", of: str = ""
    ) -> None:
        """Show that a run is over; of: what its numbers are means of, such as "3 seeds"."""
        self._doing = ""
        shown = said(numbers) + (f" (mean ± std of {of})" if of and said(numbers) else "")
        if self._live is not None:
            note = "" if status == "done" else f"{status}; "
            self._live.show(self._label, done, f"{note}{clock(wall)} in all  {shown}")
        elif self.on:
            how = "" if status == "done" else f" ({status})"
            text = f"{self._label}: {done} rounds{how} in {wall:.1f} s, {compile:.1f} s of it compiling; {shown}"
            self.say(text.removesuffix("; "))


def said(numbers: Mapping[str, Any]) -> str:
    """The numbers that a line shows: each a number, or (mean, std) over seeds."""
    shown = []
    for name, title in (
        ("loss", "loss"),
        ("accuracy/local", "accuracy"),
        ("objective", "objective"),
        ("consensus", "consensus"),
    ):
        value = numbers.get(name)
        mean, *std = value if isinstance(value, tuple) else (value,)
        if mean is None or math.isnan(mean):
            continue
        plain = name.startswith(("loss", "accuracy")) and abs(mean) < 1e3
        shown.append(f"{title} " + " ± ".join(f"{x:.3f}" if plain else f"{x:.2e}" for x in (mean, *std)))
    return ", ".join(shown)


def clock(seconds: float) -> str:
    """75 -> '1:15'."""
    if not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


__all__ = ["Progress", "said"]
