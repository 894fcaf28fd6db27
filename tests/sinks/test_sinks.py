"""Records reach a tracker once: through a run, a kill and a resume, and a second run of the same name."""

import json

import numpy as np
import pytest

import dejax as dj
from dejax.sinks import Sink


class Kept:
    """A board that keeps what it gets."""

    def __init__(self, name):
        self.name, self.got, self.closed = name, [], 0

    def log(self, numbers, round):
        self.got.append((round, numbers))

    def close(self):
        self.closed += 1


class Boards(Sink):
    """A sink whose boards stay in memory."""

    def __init__(self, folder, boards):
        super().__init__(folder)
        self.boards = boards

    def open(self, run, seed, kept):
        name = kept or f"{run}, seed {seed}"
        self.boards.setdefault(name, Kept(name))
        return self.boards[name], name


def record(round, run="a", seed=0, **numbers):
    return {"run": run, "seed": seed, "round": round, "loss": 1.0 - round / 10} | numbers


def test_each_record_once_also_after_a_kill(tmp_path):
    boards = {}
    first = Boards(tmp_path, boards)
    for t in (0, 2, 4):
        first(record(t, other=None, text="x"))
    second = Boards(tmp_path, boards)  # another process, whose run goes on from its checkpoint of round 2
    for t in (4, 6):
        second(record(t))
    second.close()
    (board,) = boards.values()
    assert [t for t, _ in board.got] == [0, 2, 4, 6] and board.closed == 1
    assert np.isnan(board.got[0][1]["other"]) and "text" not in board.got[0][1]
    assert json.loads((tmp_path / "sent.json").read_text()) == {
        "a, seed 0": {"tries": 1, "round": 6, "kept": "a, seed 0"}
    }


def test_seeds_and_second_runs_have_boards_of_their_own(tmp_path):
    boards = {}
    sink = Boards(tmp_path, boards)
    for seed in (0, 1):
        sink(record(0, seed=seed))
    sink(record(0))  # a run that begins anew
    sink(record(5))
    assert {name: [t for t, _ in b.got] for name, b in boards.items()} == {
        "a, seed 0": [0], "a, seed 1": [0], "a (2), seed 0": [0, 5]
    }  # fmt: skip
    assert boards["a, seed 0"].closed == 1


@pytest.mark.slow
def test_a_run_its_resume_and_its_config(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    from dejax import cli

    monkeypatch.chdir(tmp_path)
    config = tmp_path / "c.yaml"
    config.write_text(
        "rounds: 4\ndata: {source: digits, nodes: 4, partition: iid}\ntask: {mlp: {hidden: [4]}}\nbatch_size: 8\nmethod: {dsgd: {lr: 0.1}}\n"
        "network: {topology: ring}\neval: {every: 2}\nsinks: [{tensorboard: {folder: board}}]\nseed: [0, 1]\n"
    )
    assert cli.main(["run", str(config), "--out", "run", "--quiet"]) == 0
    assert cli.main(["resume", "run", "--rounds", "6", "--quiet"]) == 0
    sent = json.loads((tmp_path / "board" / "sent.json").read_text())
    assert {key: (v["tries"], v["round"]) for key, v in sent.items()} == {f"dsgd, seed {s}": (1, 6) for s in (0, 1)}
    history = dj.report.load("run")
    for seed in (0, 1):
        assert steps(tmp_path / "board" / "dsgd" / f"seed {seed}", "loss") == [2, 4, 6]  # round 0 has no training loss
        assert steps(tmp_path / "board" / "dsgd" / f"seed {seed}", "accuracy/local") == [0, 2, 4, 6]
    assert history.seeds("dsgd") == [0, 1]


def steps(folder, name):
    """The steps of one curve in the event files of a folder, by their records alone."""
    from tensorboardX.proto.event_pb2 import Event

    out = []
    for path in sorted(folder.glob("events*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + size])
            out += [event.step for value in event.summary.value if value.tag == name]
            at += 12 + size + 4
    return sorted(out)


@pytest.mark.nightly
@pytest.mark.slow
def test_wandb_offline(tmp_path):
    pytest.importorskip("wandb")
    for t in (0, 2):
        sink = dj.sinks.wandb(project="p", folder=str(tmp_path))
        sink(record(t))
        sink.close()
    assert len(list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))) >= 1


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the libraries below it
def test_mlflow_keeps_a_store_of_its_own(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    for t in (0, 2, 2, 4):  # a new sink each time, as after kills
        sink = dj.sinks.mlflow("graphs", folder=str(tmp_path))
        sink(record(t))
        sink.close()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("graphs").experiment_id])
    assert [m.step for m in client.get_metric_history(run.info.run_id, "loss")] == [0, 2, 4]
    assert run.data.tags["run"] == "a" and run.info.run_name == "a, seed 0"


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    import sys

    for module, package, sink in (
        ("tensorboardX", "tensorboardX", dj.sinks.tensorboard(str(tmp_path / "a"))),
        ("wandb", "wandb", dj.sinks.wandb(folder=str(tmp_path / "b"))),
        ("mlflow", "mlflow", dj.sinks.mlflow(folder=str(tmp_path / "c"))),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ImportError, match=f"needs {package}, which is not installed; `pip install {package}`"):
            sink(record(0))


def test_modes_and_sinks_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match="wandb.mode is 'off'"):
        dj.sinks.wandb(mode="off")
    with pytest.raises(TypeError, match="open"):
        Sink(tmp_path)  # says where records go to nobody
