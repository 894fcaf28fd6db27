"""How runs ended, as `facts[label]["status"]` says it."""

from .history import History

BROKEN = ("diverged", "failed", "nonfinite")  # first words of what ended without numbers that count


def status_of(history: History, run: str) -> str:
    """Say how a run ended: "done", "running", "diverged in round 5 (node 1)", ..."""
    return history.facts.get(run, {}).get("status", "done")


def ended_well(status: str) -> bool:
    """Whether the numbers of a run count.

    It neither diverged nor failed, and they stayed finite. Those of runs that still go on, or were interrupted, do.

    Example:
      >>> ended_well("done"), ended_well("interrupted at round 5"), ended_well("diverged in round 5 (node 1)")
      (True, True, False)
    """
    return not status.startswith(BROKEN)


__all__ = ["ended_well", "status_of"]
