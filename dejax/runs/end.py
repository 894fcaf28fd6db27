"""Where and why a run ended before its last round."""

from typing import NamedTuple


class End(NamedTuple):
    """The last round of a run, and why it was.

    by: what it ended by, "a callback" or "patience". said: as tables and files say it.
    """

    round: int
    by: str
    said: str


__all__ = ["End"]
