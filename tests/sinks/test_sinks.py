"""Records reach a tracker once: through kills and resumes, other runs of the same label, and a tracker that fails."""

import json
import re
import shutil
import sys
import warnings

import numpy as np
import pytest
import toy

import dejax as dj
from dejax.runs.sending import catch_up_ended
from dejax.runs.simulate import compare, simulate
from dejax.runs.sweep import sweep
from dejax.sinks import Sink


class Kept:
    """A board that keeps what it gets."""

    def __init__(self, name, setup):
        self.name, self.setup, self.got, self.closed = name, setup, [], 0

    def log(self, numbers, round):
        self.got.append((round, numbers))

    def close(self):
        self.closed += 1


class Boards(Sink):
    """A sink whose boards stay in memory; it fails where `fails` says so of a round."""

    def __init__(self, folder, boards, fails=lambda round: False):
        super().__init__(folder)
        self.boards, self.fails, self.tried = boards, fails, []

    def open(self, run, seed, kept, setup):
        name = kept or f"{run}, seed {seed}"
        board = self.boards.setdefault(name, Kept(name, setup))
        return Failing(board, self), name


class Failing:
    def __init__(self, board, sink):
        self.board, self.sink, self.close = board, sink, board.close

    def log(self, numbers, round):
        self.sink.tried.append(round)
        if self.sink.fails(round):
            raise ConnectionError("no network")
        self.board.log(numbers, round)


def record(round, run="a", seed=0, **numbers):
    return {"run": run, "seed": seed, "round": round, "loss": 1.0 - round / 10} | numbers


def rounds(boards):
    return {name: [t for t, _ in board.got] for name, board in boards.items()}


def test_each_record_once_also_after_a_kill(tmp_path):
    boards = {}
    first = Boards(tmp_path, boards)
    first.begin("one", {"a": {}}, [0])
    for t in (0, 2, 4):
        first(record(t, other=None, text="x"))
    second = Boards(tmp_path, boards)  # another process, whose run goes on from its checkpoint of round 2
    second.begin("one", {"a": {}}, [0])
    for t in (4, 6):
        second(record(t))
    second.close()
    (board,) = boards.values()
    assert [t for t, _ in board.got] == [0, 2, 4, 6] and board.closed == 1
    assert np.isnan(board.got[0][1]["other"]) and "text" not in board.got[0][1]
    assert json.loads((tmp_path / "sent" / "a" / "seed 0.json").read_text()) == {"round": 6, "kept": "a, seed 0"}
    assert json.loads((tmp_path / "sent" / "a" / "run.json").read_text()) == {"run": "one", "label": "a"}


def test_another_run_of_a_label_takes_nothing_from_the_first(tmp_path):
    """A stops after round 50, B of the same label runs to its end, A goes on: both boards have all of their own."""
    boards = {}
    for id, loss, some in (("A", 1, (0, 25, 50)), ("B", 2, (0, 25, 50, 75, 100)), ("A", 1, (50, 75, 100, 125))):
        sink = Boards(tmp_path, boards)
        sink.begin(id, {"dsgd": {}}, [0])
        for t in some:
            sink(record(t, "dsgd", loss=loss))
        sink.close()
    got = {name: [(t, numbers["loss"]) for t, numbers in board.got] for name, board in boards.items()}
    assert got == {
        "dsgd, seed 0": [(t, 1) for t in (0, 25, 50, 75, 100, 125)],
        "dsgd (2), seed 0": [(t, 2) for t in (0, 25, 50, 75, 100)],
    }


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "a")])
def test_two_processes_of_one_folder_do_not_meet(labels, tmp_path):
    boards = {}
    both = [Boards(tmp_path, boards) for _ in labels]
    for i, (sink, label) in enumerate(zip(both, labels, strict=True)):
        sink.begin(str(i), {label: {}}, [0])
    for t in (0, 10):
        for sink, label in zip(both, labels, strict=True):
            sink(record(t, label))
    both[1](record(20, labels[1]))
    again = Boards(tmp_path, boards)
    again.begin("0", {labels[0]: {}}, [0])
    for t in (10, 20):
        again(record(t, labels[0]))
    assert list(rounds(boards).values()) == [[0, 10, 20]] * 2


def test_seeds_and_second_runs_have_boards_of_their_own(tmp_path):
    boards = {}
    sink = Boards(tmp_path, boards)  # called by hand: of no run that it knows
    for seed in (0, 1):
        sink(record(0, "b", seed=seed))
    sink.begin("one", {"a": {}}, [0, 1])
    for seed in (0, 1):
        sink(record(0, seed=seed))
    sink.close()
    sink.begin("two", {"a": {}}, [0])
    sink(record(0))
    sink(record(5))
    sink(record(0, "b"))  # begins anew
    assert rounds(boards) == {
        "b, seed 0": [0], "b (2), seed 1": [0], "a, seed 0": [0], "a, seed 1": [0], "a (2), seed 0": [0, 5], "b (3), seed 0": [0]
    }  # fmt: skip
    assert boards["a, seed 0"].closed == 1


@pytest.mark.parametrize("name", ["run.json", "seed 0.json"])
@pytest.mark.parametrize("text", ["", '{"round": 4', "[]", "{}"])
def test_a_damaged_file_is_named_with_the_way_out(name, text, tmp_path):
    boards = {}
    sink = Boards(tmp_path, boards)
    sink.begin("one", {"a": {}}, [0])
    sink(record(0))
    (tmp_path / "sent" / "a" / name).write_text(text)
    sink = Boards(tmp_path, boards)
    with pytest.raises(ValueError, match="which is damaged") as error:
        sink.begin("one", {"a": {}}, [0])
    assert str(tmp_path / "sent" / "a" / name) in str(error.value)
    (way,) = re.findall(r"or remove (.*run\.json)", str(error.value))
    (tmp_path / way).unlink()
    sink.begin("one", {"a": {}}, [0])
    sink(record(0))
    assert rounds(boards) == {"a, seed 0": [0], "a (2), seed 0": [0]}


# ---- trackers that fail
def test_what_a_tracker_does_not_take_is_sent_later_in_order(tmp_path):
    boards, down = {}, [True]
    sink = Boards(tmp_path, boards, fails=lambda round: down[0] and round in (2, 4))
    sink.begin("one", {"a": {}}, [0])
    sink(record(0))
    with pytest.warns(UserWarning, match=r"sinks.boards .* does not take records \(ConnectionError: no network\)"):
        sink(record(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once
        sink._wait = 0.0
        sink(record(4))
        assert rounds(boards) == {"a, seed 0": [0]} and sink.tried == [0, 2, 2]
        down[0] = False
        sink._wait = 0.0
        sink(record(6))
        assert rounds(boards) == {"a, seed 0": [0, 2, 4, 6]}


def test_a_tracker_that_is_gone_costs_at_most_half_of_the_time(tmp_path, monkeypatch):
    """The clock is handed in: an attempt that took 40 s is followed by 40 s without one, but for the end."""
    now = [100.0]
    monkeypatch.setattr("dejax.sinks.sink.time.monotonic", lambda: now[0])

    def fails(round):
        now[0] += 40.0
        return True

    sink = Boards(tmp_path, {}, fails)
    sink.begin("one", {"a": {}}, [0])
    with pytest.warns(UserWarning, match="does not take"):
        sink(record(0))
    now[0] += 39.0
    sink(record(1))
    assert len(sink.tried) == 1
    now[0] += 1.0
    sink(record(2))
    assert len(sink.tried) == 2
    with pytest.warns(UserWarning, match="has not taken 3 records; they are sent when their run is resumed"):
        sink.close()
    assert sink.tried == [0, 0, 0]


def test_a_record_that_is_always_refused_holds_up_its_own_board_alone(tmp_path):
    boards = {}
    sink = Boards(tmp_path, boards)
    sink.fails = lambda round: round == 2
    sink.begin("one", {label: {} for label in "abz"}, [0, 1])
    with pytest.warns(UserWarning, match="does not take"):
        for label in "ab":
            for t in (0, 2, 3):
                sink(record(t, label))
        sink(record(0, "a", seed=1))
        for t in (4, 5, 6):
            sink(record(t, "z"))
    with pytest.warns(UserWarning, match="has not taken 4 records"):
        sink.close()
    assert rounds(boards) == {"a, seed 0": [0], "b, seed 0": [0], "a, seed 1": [0], "z, seed 0": [4, 5, 6]}
    sink.fails = lambda round: False
    sink.close()
    assert rounds(boards)["a, seed 0"] == rounds(boards)["b, seed 0"] == [0, 2, 3]


def test_the_end_tries_every_board_but_not_for_ever(tmp_path, monkeypatch):
    """An attempt takes 25 s: three of them are more than a minute, and the other two boards are left."""
    now = [100.0]
    monkeypatch.setattr("dejax.sinks.sink.time.monotonic", lambda: now[0])

    def fails(round):
        now[0] += 25.0
        return True

    sink = Boards(tmp_path, {}, fails)
    sink.begin("one", {label: {} for label in "abcde"}, [0])
    sink._wait = 1000.0
    for t, label in enumerate("abcde"):
        sink(record(t, label))
    with pytest.warns(UserWarning) as said:
        sink.close()
    assert len(said) == 2 and "has not taken 5 records" in str(said[1].message)
    assert sink.tried == [0, 1, 2] and sink._wait == 250.0


@pytest.mark.slow
def test_a_run_outlives_its_tracker_and_a_resume_sends_the_rest(tmp_path):
    boards, out = {}, tmp_path / "run"
    dead = Boards(tmp_path / "board", boards, fails=lambda round: round >= 4)
    with pytest.warns(UserWarning) as said:
        history = simulate(*toy.experiment(), 6, every=2, out=out, callbacks=dead, progress=False)
    assert history.facts["dsgd"]["status"] == "done" and [r["round"] for r in history.records] == [0, 2, 4, 6]
    assert len(said) == 2 and "has not taken 2 records" in str(said[1].message)
    assert rounds(boards) == {"dsgd, seed 0": [0, 2]}
    simulate(*toy.experiment(), 8, every=2, resume=out, callbacks=Boards(tmp_path / "board", boards), progress=False)
    assert rounds(boards) == {"dsgd, seed 0": [0, 2, 4, 6, 8]}
    simulate(*toy.experiment(), 8, every=2, resume=out, callbacks=Boards(tmp_path / "late", late := {}), progress=False)
    assert rounds(late) == {"dsgd, seed 0": [0, 2, 4, 6, 8]}  # a tracker that comes later gets all of it


# ---- runs
@pytest.mark.slow
def test_runs_of_one_label_and_their_resumes(tmp_path):
    boards, board = {}, tmp_path / "board"
    go = lambda rounds, **where: simulate(
        *toy.experiment(), rounds, every=2, callbacks=Boards(board, boards), progress=False, **where
    )
    go(4, out=tmp_path / "A")
    go(4, out=tmp_path / "B")
    go(8, resume=tmp_path / "A")
    go(2)
    go(2)
    assert rounds(boards) == {
        "dsgd, seed 0": [0, 2, 4, 6, 8], "dsgd (2), seed 0": [0, 2, 4], "dsgd (3), seed 0": [0, 2], "dsgd (4), seed 0": [0, 2]
    }  # fmt: skip
    ids = [json.loads((tmp_path / name / "run.json").read_text())["id"] for name in "AB"]
    assert len(set(ids)) == 2
    assert json.loads((board / "sent" / "dsgd" / "run.json").read_text())["run"] == ids[0]


def test_a_directory_without_an_id_gets_one_for_good(tmp_path):
    boards, out = {}, tmp_path / "run"
    simulate(*toy.experiment(), 2, every=2, out=out, progress=False)
    before = json.loads((out / "run.json").read_text())
    del before["id"]
    (out / "run.json").write_text(json.dumps(before))
    for _ in range(3):
        catch_up_ended([Boards(tmp_path / "board", boards)], out)
    after = json.loads((out / "run.json").read_text())
    id = after.pop("id")
    assert after == before and json.loads((tmp_path / "board/sent/dsgd/run.json").read_text())["run"] == id
    assert not (out / ".lock").exists()
    simulate(*toy.experiment(), 4, every=2, resume=out, callbacks=Boards(tmp_path / "board", boards), progress=False)
    assert rounds(boards) == {"dsgd, seed 0": [0, 2, 4]}
    assert json.loads((out / "run.json").read_text())["id"] == id


@pytest.mark.slow
def test_a_run_that_goes_on_in_memory_keeps_its_board(tmp_path):
    boards = {}
    sink = Boards(tmp_path, boards)
    history = simulate(*toy.experiment(), 2, every=2, callbacks=sink, progress=False)
    history.continue_(2, every=2, callbacks=sink, progress=False)
    assert rounds(boards) == {"dsgd, seed 0": [0, 2, 4]}


@pytest.mark.slow
def test_trackers_hear_what_a_run_is_made_of(tmp_path):
    boards = {}
    simulate(*toy.experiment(0.25), 2, every=2, callbacks=Boards(tmp_path / "a", boards), progress=False)
    setup = boards["dsgd, seed 0"].setup
    assert setup["method"]["dsgd"]["lr"] == 0.25 and setup["rounds"] == 2 and "swept" not in setup
    assert json.loads(json.dumps(setup)) == setup
    boards.clear()
    _, problem, network = toy.experiment()
    build = lambda lr, words: (toy.experiment(lr)[0], problem, network)
    over = {"lr": [0.1, 0.2], "words": ["so"]}
    sweep(build, over, 2, every=2, callbacks=Boards(tmp_path / "b", boards), progress=False)
    assert {name: board.setup["swept"] for name, board in boards.items()} == {
        f"lr={lr}, words=so, seed 0": {"lr": lr, "words": "so"} for lr in (0.1, 0.2)
    }


def test_two_sinks_of_one_folder_and_damaged_files_are_refused_before_anything(tmp_path):
    both = [Boards(tmp_path / "x", {}), Boards(tmp_path / "y" / ".." / "x", {})]
    with pytest.raises(ValueError, match="callbacks has two sinks with the folder .*x'; give each a folder of its own"):
        compare({"a": toy.experiment()}, 2, callbacks=both[:1] * 2, out=tmp_path / "run", progress=False)
    place = tmp_path / "x" / "sent" / "a"
    place.mkdir(parents=True)
    (place / "run.json").write_text("{")
    with pytest.raises(ValueError, match="which is damaged"):
        compare({"a": toy.experiment()}, 2, callbacks=both[0], out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
    shutil.rmtree(place)


# ---- the members


@pytest.mark.slow
def test_a_run_its_resume_and_its_config(tmp_path, monkeypatch):
    """Two runs of one config with one board, and the first goes on after the second: through event files and back."""
    pytest.importorskip("tensorboardX")
    from dejax import cli

    monkeypatch.chdir(tmp_path)
    config = tmp_path / "c.yaml"
    config.write_text(toy.CONFIG + "sinks: [{tensorboard: {folder: board}}]\nseed: [0, 1]\n")
    assert cli.main(["run", str(config), "--out", "A", "--quiet"]) == 0
    assert cli.main(["run", str(config), "--out", "B", "--quiet"]) == 0
    assert cli.main(["resume", "A", "--rounds", "8", "--quiet"]) == 0
    for seed in (0, 1):
        assert steps(tmp_path / "board" / "dsgd" / f"seed {seed}", "loss") == [2, 4, 6, 8]  # round 0 has none
        assert steps(tmp_path / "board" / "dsgd" / f"seed {seed}", "accuracy/local") == [0, 2, 4, 6, 8]
        assert steps(tmp_path / "board" / "dsgd (2)" / f"seed {seed}", "accuracy/local") == [0, 2, 4]
    shutil.rmtree(tmp_path / "board")
    assert cli.main(["resume", "A", "--quiet"]) == 0  # nothing to run, all to send
    assert steps(tmp_path / "board" / "dsgd" / "seed 1", "accuracy/local") == [0, 2, 4, 6, 8]


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


@pytest.mark.slow
def test_labels_of_any_letters_have_folders_of_their_own(tmp_path):
    pytest.importorskip("tensorboardX")
    labels = ["a/b", "a_b", "..", "../up", ".", "x" * 300, "é", "sent", "seed 0"]
    sink = dj.sinks.tensorboard(str(tmp_path / "board"))
    sink.begin("one", {label: {} for label in labels}, [0])
    for label in labels:
        sink(record(1, label))
    sink.close()
    events = list((tmp_path / "board").rglob("events*"))
    assert {path.name for path in tmp_path.iterdir()} == {"board"}
    assert len(events) == len({path.parent for path in events}) == len(labels)
    assert all(steps(path.parent, "loss") == [1] for path in events)


LIBRARIES = [("tensorboard", "tensorboardX"), ("wandb", "wandb"), ("mlflow", "mlflow")]


@pytest.mark.parametrize(("sink", "package"), LIBRARIES)
def test_a_library_that_is_missing_is_named(sink, package, tmp_path, monkeypatch, capsys):
    """By the call, and by `show` and `run` before anything is read, compiled or written."""
    from dejax import cli

    monkeypatch.setitem(sys.modules, package, None)
    words = f"dejax.sinks.{sink} needs {package}, which is not installed; `pip install {package}`"
    with pytest.raises(ImportError, match=re.escape(words)):
        getattr(dj.sinks, sink)()
    (tmp_path / "c.yaml").write_text(
        toy.CONFIG.replace("digits", "cifar10") + f"sinks: [{{{sink}: {{folder: board}}}}]\n"
    )
    monkeypatch.chdir(tmp_path)
    for command in (["show"], ["run", "--out", "run"], ["sweep", "--seeds", "2", "--out", "run"]):
        assert cli.main([command[0], "c.yaml", *command[1:]]) == 2
        out, err = capsys.readouterr()
        assert words in err and f"sinks.0.{sink}" in err and out == ""
    assert {path.name for path in tmp_path.iterdir()} == {"c.yaml"}


def test_modes_and_sinks_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match="wandb.mode is 'off'"):
        dj.sinks.wandb(mode="off")
    with pytest.raises(TypeError, match="open"):
        Sink(tmp_path)  # says where records go to nobody
