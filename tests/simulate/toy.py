"""A small experiment that runs in milliseconds: six nodes on a ring learn a softmax regression."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "metrics"))
sys.path.insert(0, "/tmp/b")
import softmax_toy  # noqa: E402
import stub  # noqa: E402

problem = softmax_toy.problem
ITEM = 4


def compilations():
    """Programs compiled so far for chunks of one seed."""
    return stub.run_chunk._cache_size()


def experiment(lr=0.3):
    """(method, problem, network)."""
    return stub.Dsgd(lr), problem(), None


def plain(records):
    """Records without real time."""
    return [{k: v for k, v in r.items() if k != "wall"} for r in records]
