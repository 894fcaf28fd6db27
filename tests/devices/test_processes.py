"""Two real processes on this machine, two devices each, against one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from shared import digits, experiment

import dejax as dj
from dejax.cli import main

HERE = Path(__file__).resolve().parent
QUIET = {"progress": False}
SINKS = "sinks=[{tensorboard: {folder: board}}]"


def environment(**more):
    """That of this process, in which the package is found."""
    paths = [str(HERE.parents[1]), str(HERE.parent / "harness"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | more


def pair(command, where, **env):
    """The same command as two processes at once, `PORT` and `RANK` filled in; (exit codes, outputs, errors)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    both = []
    for rank in ("0", "1"):
        words = [word.replace("PORT", port).replace("RANK", rank) for word in command]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        both.append(subprocess.Popen([sys.executable, *words], env=environment(**env), cwd=where, **pipes))
    try:
        said = [child.communicate(timeout=300) for child in both]
    finally:
        for child in both:
            child.kill()
    return [child.returncode for child in both], [out for out, _ in said], [err for _, err in said]


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """What both processes found, and the directory they shared, in which this one began a run on four devices."""
    where = tmp_path_factory.mktemp("processes")
    dj.simulate(*experiment(), rounds=2, every=2, mesh=4, out=where / "begun", **QUIET)
    (where / "file").write_text("taken")
    codes, _, errors = pair([str(HERE / "child.py"), "RANK", "PORT", str(where)], HERE)
    assert codes == [0, 0], errors[0][-3000:] + errors[1][-3000:]
    return where, *(json.loads((where / f"found{rank}.json").read_text()) for rank in (0, 1))


def close(got, want, skip=("wall",), atol=1e-4):
    """Records of the same moments: whole numbers equal, floats up to the order of sums."""
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - set(skip):
            if isinstance(b[name], float):
                np.testing.assert_allclose(a[name], b[name], rtol=1e-3, atol=atol, err_msg=name)
            else:
                assert a[name] == b[name], name


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one_device(room):
    _, first, second = room
    final, meters = dj.rollout(*experiment(), jax.random.key(0), 4)
    np.testing.assert_allclose(first["rolled"]["x"], final.params["x"], rtol=0, atol=1e-5)
    assert first["rolled"]["awake"] == meters.totals()["awake"] and first["rolled"]["bytes"] == meters.bytes()
    assert first["rolled"] == second["rolled"]


@pytest.mark.slow
def test_a_run_goes_from_one_process_to_two_and_back(room):
    where, first, second = room
    whole = dj.simulate(*experiment(), rounds=6, every=2, **QUIET)
    assert first["simulated"] == second["simulated"]  # the history of process 0, clocks too
    close(first["simulated"]["records"], [r for r in whole.records if r["round"] <= 4])
    back = dj.simulate(*experiment(), rounds=6, every=2, resume=where / "begun", mesh=4, **QUIET)
    assert [r["round"] for r in back.records] == [0, 2, 4, 6]
    close(back.records, whole.records)
    np.testing.assert_allclose(back.params()["x"], whole.params()["x"], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(dj.report.load(where / "begun").to_numpy()["round"], [0, 2, 4, 6])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* beside network.rule")
def test_seeds_and_every_metric_stand_on_the_devices_of_both(room):
    where, first, second = room
    method, problem, network, metrics = digits()
    kw = {"rounds": 2, "every": 1, "nodes": 3, "final_nodes": 3, "seeds": [0, 1], "metrics": metrics}
    one = dj.simulate(method, problem, network, **kw, **QUIET)
    assert first["evaluated"] == second["evaluated"]
    close(first["evaluated"]["records"], one.records, atol=5e-3)  # an accuracy is a count of few samples
    loaded = dj.report.load(where / "seeds")
    for name, values in first["evaluated"]["arrays"].items():
        np.testing.assert_allclose(values, one.arrays(name)[1], rtol=0, atol=2.0 if "confusion" in name else 5e-3)
        np.testing.assert_array_equal(values, loaded.arrays(name)[1])
    model = jax.tree.leaves(one.model(seed=1))[0]
    np.testing.assert_allclose(first["evaluated"]["model"], model, rtol=0, atol=1e-5)
    assert loaded.records == first["evaluated"]["records"]


@pytest.mark.slow
def test_two_processes_of_one_host_share_its_memory(room):
    _, *both = room
    for found in both:
        planned = found["planned"]
        assert planned["one host"]
        assert planned["memory"] == [
            planned["machine"] // devices for devices in (4, 2, 4, 4)
        ]  # on paper, by shapes, as compiled


@pytest.mark.slow
def test_process_0_alone_writes(room):
    _, first, second = room
    assert first["written"] and second["written"] == []


@pytest.mark.slow
def test_what_cannot_be_is_refused_by_both_with_the_number_of_the_process(room):
    _, *both = room
    for rank, found in enumerate(both):
        said = {name: " ".join(map(str, words[:2])) for name, words in found["refused"].items()}
        said = {name: text.replace("FieldError ", "ValueError ", 1) for name, text in said.items()}  # it is one
        assert said["no mesh"].startswith("ValueError mesh is None, but this job has 2 processes; give mesh={}")
        assert "mesh asks for 3 devices of 2 processes" in said["odd mesh"]
        assert said["taken"].startswith("FileExistsError")
        assert said["other problem"].startswith(
            "ValueError process 1 of 2 was given another experiment than process 0: problem"
        )
        assert "process 1 of 2" in said["other rounds"] and "rounds of the run 'dsgd' differs" in said["other rounds"]
        other = "ProcessError process 1 of 2 failed: LookupError: no such key"
        assert said["metric"] == ("LookupError no such key" if rank == 1 else other)
        assert said["callback"] == "LookupError " + ("process 0 of 2: " if rank == 1 else "") + "no such key"
        assert said["file"].startswith("NotADirectoryError")
        assert "which process 0 made and process 1 of 2 does not see" in said["unseen"]
    told = [[name for name, words in found["refused"].items() if words[2]] for found in both]
    assert told[0] == [] and set(told[1]) == set(both[0]["refused"]) - {"metric", "unseen"}  # what process 0 says


CONFIG = """
rounds: 4
data: {source: digits, nodes: 8, partition: iid}
task: {mlp: {hidden: [4]}}
network: {topology: ring}
method: {dsgd: {lr: 0.2}}
batch_size: 4
seed: [0, 1]
eval: {every: 2}
"""


@pytest.mark.slow
def test_the_command_runs_in_two_processes_and_goes_on_in_one(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    command = ["-m", "dejax", "run", "config.yaml", "--out", "two"]
    flags = ["--coordinator", "localhost:PORT", "--processes", "2", "--process-id", "RANK"]
    env = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2", "JAX_ENABLE_X64": "1"}
    codes, outs, errors = pair([*command, *flags], tmp_path, **env)
    assert codes == [0, 0], errors[0][-3000:] + errors[1][-3000:]
    assert "written to two" in outs[0] and "dsgd: 4 rounds in" in outs[0]
    assert (
        not any(word in outs[1] for word in ("dsgd", "digits", "written")) and errors[1] == ""
    )  # gloo prints for itself
    assert main(["run", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "one"), "--quiet"]) == 0
    one, two = (dj.report.load(tmp_path / name).records for name in ("one", "two"))
    close(two, one, atol=5e-3)
    codes, outs, errors = pair([*command, *flags], tmp_path, **env)  # the directory is taken now
    assert codes == [2, 2] and "dsgd" not in outs[0] + outs[1] and errors[1] == ""
    assert errors[0].startswith("dejax run: process 0 of 2: --out is 'two', which exists")
    alone = [sys.executable, "-m", "dejax", "resume", "two", "--rounds", "6", "--set", "mesh.nodes=4", "--quiet"]
    subprocess.run(alone, env=environment(**env | {"JAX_NUM_CPU_DEVICES": "4"}), cwd=tmp_path, check=True, timeout=300)
    assert [r["round"] for r in dj.report.load(tmp_path / "two").records] == [0, 0, 2, 2, 4, 4, 6, 6]
    pytest.importorskip("tensorboardX")
    ended = ["-m", "dejax", "resume", "two", "--rounds", "6", "--set", "mesh.nodes=4", "--set", SINKS]
    codes, outs, errors = pair([*ended, *flags], tmp_path, **env)  # nothing to run, all to send
    assert codes == [0, 0], errors[0][-3000:] + errors[1][-3000:]
    assert "nothing was run" in outs[0] and len(list((tmp_path / "board").rglob("seed*.json"))) == 2


@pytest.mark.nightly
def test_a_sweep_runs_in_two_processes(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    sweep = ["sweep", "config.yaml", "--over", "method.dsgd.lr=0.1,0.2", "--json", "--out"]
    flags = ["--coordinator", "localhost:PORT", "--processes", "2", "--process-id", "RANK"]
    env = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2", "JAX_ENABLE_X64": "1"}
    codes, outs, errors = pair(["-m", "dejax", *sweep, "two", *flags], tmp_path, **env)
    assert codes == [0, 0], errors[0][-3000:] + errors[1][-3000:]
    assert "lr" not in outs[1]  # process 0 alone prints
    assert main([*sweep[:1], str(tmp_path / "config.yaml"), *sweep[2:], str(tmp_path / "one"), "--quiet"]) == 0
    one, two = (dj.report.load(tmp_path / name).records for name in ("one", "two"))
    assert len(one) == 2 * 2 * 3
    close(two, one, atol=5e-3)
