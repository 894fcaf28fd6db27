"""Two real processes on this machine, two devices each, against one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from shared import experiment

import dejax as dj

HERE = Path(__file__).resolve().parent


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one_device(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    out = tmp_path / "out.npz"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(HERE / "child.py")]
    both = [
        subprocess.Popen([*command, str(rank), port, str(out)], env=env, stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    try:
        errors = [child.communicate(timeout=120)[1] for child in both]
    finally:
        for child in both:
            child.kill()
    assert [child.returncode for child in both] == [0, 0], errors[0][-3000:] + errors[1][-3000:]
    method, problem, network = experiment()
    final, meters = dj.rollout(method, problem, network, jax.random.key(0), 4)
    got = np.load(out)
    np.testing.assert_allclose(got["x"], final.params["x"], rtol=0, atol=1e-5)
    assert got["awake"] == meters.totals()["awake"] and got["bytes"] == meters.bytes()
