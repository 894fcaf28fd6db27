"""SIGKILL at the worst moments; the resumed run gives the numbers of one that was never killed, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import toy

from dejax.runs import checkpoint
from dejax.runs.simulate import simulate

CHILD = Path(__file__).with_name("killed_child.py")
PATIENCE = 120.0  # seconds


@pytest.fixture(scope="module")
def whole():
    return simulate(*toy.experiment(), 9, every=1, progress=False)


def killed(out, where):
    """Run the child until it hangs at `where`, then kill it."""
    path = os.pathsep.join([str(CHILD.parent), str(CHILD.parents[2]), *sys.path])
    child = subprocess.Popen([sys.executable, str(CHILD), str(out), where], env=os.environ | {"PYTHONPATH": path})
    marker, begin = out.with_name("marker"), time.monotonic()
    try:
        while not marker.exists():
            assert child.poll() is None, f"the child ended by itself with {child.returncode}"
            assert time.monotonic() - begin < PATIENCE, "the child never came to the place"
            time.sleep(0.02)
        assert marker.read_text() != "finished"
        child.send_signal(signal.SIGKILL)
        assert child.wait(30) == -signal.SIGKILL
    finally:
        child.kill()
        child.wait(30)


SLOW = pytest.mark.slow


@pytest.mark.slow
@pytest.mark.parametrize(
    "where",
    ["write", pytest.param("run", marks=SLOW), pytest.param("line", marks=SLOW), pytest.param("swap", marks=SLOW)],
)
def test_killed_and_resumed_equals_unbroken(where, whole, tmp_path):
    out = tmp_path / "run"
    killed(out, where)
    saved, left = out / "checkpoints" / "dsgd", None
    rounds = [checkpoint.verify(p)["round"] for p in checkpoint.existing(saved)]
    lines = (out / "metrics.jsonl").read_text().split("\n")
    hidden = [p.name for p in saved.iterdir() if p.name.startswith(".")]
    # The kill did hit the moment it was meant for.
    if where == "write":
        left = [name for name in hidden if name.startswith(".partial-")]
        assert left and not (saved / left[0] / "manifest.json").exists() and (saved / left[0] / "arrays").is_dir()
        assert rounds == [2, 4]
    elif where == "line":
        assert lines[-1] and not lines[-1].endswith("}")
    elif where == "swap":
        assert any(name.startswith(".old-") for name in hidden) and rounds == [4, 6]
    else:
        assert len(lines) - 1 == 6 and rounds == [2, 4] and json.loads(lines[5])["round"] == 5  # metrics ran ahead
    assert json.loads((out / "run.json").read_text())["runs"]["dsgd"]["status"] == "running"

    resumed = simulate(*toy.experiment(), 9, every=1, progress=False, resume=out)
    assert toy.plain(resumed.records) == toy.plain(whole.records)
    on_disk = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert toy.plain(on_disk) == toy.plain(whole.records)
    assert len((out / "metrics.csv").read_text().splitlines()) == 11
    for a, b in zip(jax.tree.leaves(resumed.state()), jax.tree.leaves(whole.state()), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    assert not [p for p in saved.iterdir() if p.name.startswith(".")]
