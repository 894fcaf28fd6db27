"""Ctrl-C between chunks: the state is always that of a whole number of rounds."""

import signal
import threading
from typing import Any, Self


class Interrupt:
    """Let the first SIGINT set `asked` (the run stops after its chunk); the second interrupts.

    Outside of the main thread nothing is changed, and KeyboardInterrupt arrives as it does anywhere
    else.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)
            if self._before is not None and self._before is not signal.SIG_IGN:
                signal.signal(signal.SIGINT, self._note)
            else:
                self._before = None
        return self

    def _note(self, number: int, frame: Any) -> None:
        del number, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None


__all__ = ["Interrupt"]
