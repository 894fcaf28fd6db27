"""What W&B and MLflow keep of a run, of its resume and of a sweep, read back from their files.

The libraries are no part of the common environment: `.ci/run trackers` installs them.
"""

import json
import time

import pytest
import toy

from dejax import cli

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the libraries below them
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run, another of its label, the first resumed, and a sweep, whose records went to both trackers."""
    pytest.importorskip("wandb")
    pytest.importorskip("mlflow")
    place = tmp_path_factory.mktemp("trackers")
    sinks = "[{wandb: {project: p, folder: wb}}, {mlflow: {experiment: graphs, folder: mf}}]"
    (place / "c.yaml").write_text(toy.CONFIG + f"sinks: {sinks}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for command in (
            ["run", "c.yaml", "--out", "A", "--set", "seed=[0,1]"],
            ["run", "c.yaml", "--out", "B"],
            ["resume", "A", "--rounds", "8"],
            ["sweep", "c.yaml", "--over", "method.dsgd.lr=0.1,0.2", "--out", "C"],
        ):
            assert cli.main([*command, "--quiet"]) == 0
    return place


STEPS = {
    "dsgd, seed 0": [0, 2, 4, 6, 8], "dsgd, seed 1": [0, 2, 4, 6, 8], "dsgd (2), seed 0": [0, 2, 4],
    "lr=0.1, seed 0": [0, 2, 4], "lr=0.2, seed 0": [0, 2, 4],
}  # fmt: skip


def accuracies(directory, run, seed):
    """round -> accuracy, as the run directory has it."""
    records = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return {r["round"]: r["accuracy/local"] for r in records if (r["run"], r["seed"]) == (run, seed)}


# ---- W&B
def entries(path):
    """The records of a .wandb file: a log in the format of LevelDB, in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # no room for another head in this block
            at += 32768 - at % 32768
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part of one
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def finished(path, seconds=60.0):
    """The records of a run that was ended: W&B writes them in a process of its own."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = list(entries(path))
        if any(record.HasField("exit") for record in found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{path} has no end")


def runs_of_wandb(folder):
    """name -> (ids, group, config, [(step, accuracy)]) over all files of a folder, in the order of their dates."""
    found = {}
    for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        name, held = None, []
        for record in finished(path):
            if record.HasField("run"):
                name = record.run.display_name
                ids, group, config, _ = found.setdefault(name, (set(), [], {}, []))
                ids.add(record.run.run_id)
                group.append(record.run.run_group)
                config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            if record.HasField("history"):
                items = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
                if "accuracy/local" in items:
                    held.append((int(items["_step"]), json.loads(items["accuracy/local"])))
        found[name][3].extend(held)
    return found


def test_wandb_offline(place):
    found = runs_of_wandb(place / "wb")
    assert {name: [step for step, _ in curve] for name, (*_, curve) in found.items()} == STEPS
    assert all(len(ids) == 1 for ids, *_ in found.values())
    assert len({id for ids, *_ in found.values() for id in ids}) == len(STEPS)
    for seed in (0, 1):
        _, groups, setup, curve = found[f"dsgd, seed {seed}"]
        assert dict(curve) == pytest.approx(accuracies(place / "A", "dsgd", seed)) and set(groups) == {"dsgd"}
        assert setup["seed"] == seed and setup["run"] == "dsgd" and setup["rounds"] == 8
        assert setup["method"]["dsgd"]["lr"] == pytest.approx(0.1) and setup["network"]["topology"]["ring"]["n"] == 4
    assert found["lr=0.2, seed 0"][2]["swept"] == {"lr": 0.2}


# ---- MLflow
def test_mlflow_keeps_a_store_of_its_own(place):
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{place / 'mf' / 'mlflow.db'}")
    runs = {r.info.run_name: r for r in client.search_runs([client.get_experiment_by_name("graphs").experiment_id])}
    curve = lambda run: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "accuracy/local")]
    assert {name: [step for step, _ in curve(run)] for name, run in runs.items()} == STEPS
    for seed in (0, 1):
        run = runs[f"dsgd, seed {seed}"]
        assert dict(curve(run)) == pytest.approx(accuracies(place / "A", "dsgd", seed))
        assert run.data.tags["run"] == "dsgd" and run.info.status == "FINISHED"
        told = run.data.params
        assert told["seed"] == str(seed) and told["network.topology.ring.n"] == "4" and told["rounds"] == "4"
        assert float(told["method.dsgd.lr"]) == pytest.approx(0.1)
    assert runs["lr=0.2, seed 0"].data.params["swept.lr"] == "0.2"


def test_mlflow_takes_any_name_and_any_value(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    import dejax as dj

    sink = dj.sinks.mlflow("graphs", folder=str(tmp_path))
    many = {f"field {i}": i for i in range(250)}
    setup = {"long": "x" * 7000, "a": {"b": {"c" * 300: [1, None]}}, "é(&)": {}, "many": many, "flag": True}
    sink.begin("one", {"a, b=ü*": setup}, [0])
    record = {"run": "a, b=ü*", "seed": 0, "round": 3, "loss": float("nan"), "gap(%)": 0.5}
    sink(record | {f"class {i}": i / 1 for i in range(1200)})
    sink.close()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("graphs").experiment_id])
    told = run.data.params
    assert told["long"] == "x" * 6000 and told["many.field 249"] == "249" and told["flag"] == "true"
    assert told[("a.b." + "c" * 300)[:250]] == "[1, null]" and told["é___"] == "{}"
    assert run.data.metrics["gap___"] == 0.5 and run.data.metrics["class 1199"] == 1199
    assert run.data.metrics["loss"] != run.data.metrics["loss"]
