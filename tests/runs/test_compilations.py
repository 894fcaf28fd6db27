"""Loops compile nothing: evaluations, chunks of any length, and the parts of a sweep share their programs."""

import contextlib

import jax
import pytest

import dejax as dj
from dejax import cli

CONFIG = """
rounds: 3
data: {source: digits, nodes: 4, partition: iid}
task: logistic
batch_size: 4
network: {topology: ring}
method: {dsgd: {lr: 0.1}}
eval: {every: 1}
"""


@contextlib.contextmanager
def compilations():
    seen, watching = [], True
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **more: seen.append(event) if watching and event.endswith("backend_compile_duration") else None
    )
    yield seen
    watching = False


@pytest.mark.slow
def test_a_longer_run_with_more_evaluations_compiles_nothing_more():
    data = dj.data.digits().partition(dj.data.iid(), nodes=4, seed=0)
    run = lambda rounds: dj.simulate(
        dj.methods.dsgd(lr=0.1), dj.Problem(dj.tasks.logistic(), data, batch_size=4), dj.Network(dj.topology.ring(4)), rounds,
        every=1, nodes=2, progress=False,
    )  # fmt: skip
    with compilations() as first:
        run(3)
    with compilations() as second:
        run(11)
    assert first
    assert not second


@pytest.mark.slow
def test_parts_of_a_sweep_share_one_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG)

    def sweep(values, at_once):
        over = ["--over", f"method.dsgd.lr={values}", "--at-once", str(at_once)]
        assert cli.main(["sweep", str(tmp_path / "c.yaml"), *over, "--seeds", "2", "--quiet", "--json"]) == 0

    with compilations() as first:
        sweep("0.1,0.2", 4)
    with compilations() as second:
        sweep("0.3,0.4,0.5,0.6,0.7", 4)  # parts of two trials, two, and one that is filled up
    assert first
    assert not second
