"""From the call to the first round: how many programs are compiled, in a first start and in a second one."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = 6  # the start, the rounds, and four that an evaluation takes: finite?, local models, mean model, consensus

COUNT = """
import json, sys
import jax
seen = {"backend_compile_duration": 0, "compile_requests_use_cache": 0, "cache_hits": 0}
def count(event, *_, **more):
    name = event.rsplit("/", 1)[-1]
    if name in seen:
        seen[name] += 1
jax.monitoring.register_event_listener(count)
jax.monitoring.register_event_duration_secs_listener(count)
"""
COMMAND = """
from dejax import cli
assert cli.main(["run", "configs/digits.yaml", "--set", "rounds=1", "--quiet", "--out", sys.argv[1]]) == 0
"""
PYTHON = """
import dejax as dj
data = dj.data.digits().partition(dj.data.dirichlet(alpha=0.5), nodes=16, seed=0)
problem = dj.Problem(dj.tasks.mlp(hidden=[16]), data, batch_size=8)
dj.simulate(dj.methods.dsgd(lr=0.2), problem, dj.Network(dj.topology.ring(16)), 1, progress=False, out=sys.argv[1])
"""
SEEDS = PYTHON.replace("1, progress", "1, seeds=[0, 1], progress")


def started(code, cache, out):
    """What a fresh process counted: programs, and of those that asked the cache those that it held."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("JAX_") or k == "JAX_PLATFORMS"}
    env |= {"DEJAX_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", COUNT + code + "print(json.dumps(seen))", str(out)],
        env=env, cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def numbers(out):
    with (out / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "wall"} for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "most"), [(COMMAND, PROGRAMS), (PYTHON, PROGRAMS), (SEEDS, PROGRAMS + 2)]
)  # the models of all seeds, the lane of one
def test_few_programs_are_compiled_and_none_in_a_second_start(tmp_path, code, most):
    cache = tmp_path / "cache"
    first, second = (started(code, cache, tmp_path / name) for name in ("first", "second"))
    assert 0 < first["backend_compile_duration"] <= most
    assert first["cache_hits"] == 0
    assert second["compile_requests_use_cache"] == second["cache_hits"] == first["backend_compile_duration"]
    assert numbers(tmp_path / "first") == numbers(tmp_path / "second")
