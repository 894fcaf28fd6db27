"""What processes agree on, with the words of the others put in: no process is started."""

import types

import jax
import numpy as np
import pytest

from dejax.devices import mesh, placement, processes
from dejax.errors import CheckpointError


@pytest.fixture
def second(monkeypatch):
    """This is process 1 of 2; process 0 hands in what the list holds."""
    words = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(processes, "gather", lambda mine: [words.pop(0), mine])
    return words


def test_one_process_says_and_does_what_it_would_alone():
    assert processes.gather({"a": 1}) == [{"a": 1}] and processes.share("x") == "x"
    assert processes.agree(True, 5) == (True, 5) and processes.leads()
    assert processes.led(lambda x: x + 1)(2) == 3
    with pytest.raises(KeyError, match="mine"), processes.everyone():
        raise KeyError("mine")


def test_process_0_runs_for_all_and_its_errors_are_theirs(second):
    def never():
        raise AssertionError("process 1 runs nothing")

    second += [[None, {"round": 3}], [["CheckpointError", "is damaged", "is damaged"], None], [["OddError", "odd", "odd"], None]]
    assert processes.led(never)() == {"round": 3}
    with pytest.raises(CheckpointError, match="process 0 of 2: is damaged") as caught:
        processes.led(never)()
    assert caught.value.told  # by process 0
    with pytest.raises(processes.ProcessError, match="process 0 of 2 failed: OddError: odd"):
        processes.led(never)()


def test_an_error_in_one_of_them_ends_all(second):
    second += [[["ValueError", "lr", "lr"], None], [["ValueError", "lr", "lr"], None], [None, None]]
    with pytest.raises(processes.ProcessError, match="process 0 of 2 failed: ValueError: lr"), processes.everyone():
        pass
    for told in (True, False):  # the same error as that of process 0; one of its own
        with pytest.raises(ValueError, match="lr") as caught, processes.everyone():
            raise ValueError("lr")
        assert caught.value.told == told and caught.value.__notes__ == ["on process 1 of 2"]


def test_processes_with_different_experiments_are_refused(second):
    second += [{"a": {"rounds": 3}}, {"a": {"rounds": 3}}, {"b": {"rounds": 3}}]
    processes.same({"a": {"rounds": 3}})
    with pytest.raises(ValueError, match=r"process 1 of 2 was given another .* rounds of the run 'a' differs"):
        processes.same({"a": {"rounds": 4}})
    with pytest.raises(ValueError, match="the run 'b' is only on one of them"):
        processes.same({"a": {"rounds": 3}})


@pytest.mark.parametrize("notice", [False, True, RuntimeError("the service is off")])
@pytest.mark.parametrize("asked", [False, True])
def test_all_stop_where_one_is_asked_and_take_the_rounds_of_process_0(second, monkeypatch, asked, notice):
    def looked(step):
        if isinstance(notice, Exception):
            raise notice
        return notice

    monkeypatch.setattr("jax.experimental.multihost_utils.reached_preemption_sync_point", looked)
    monkeypatch.setattr(processes, "_allgather", lambda x: np.stack([np.array([0, 7], x.dtype), x]))
    assert processes.agree(asked, 3) == (asked or notice is True, 7)


def test_process_0_chooses_the_directory_of_a_run(second, monkeypatch):
    from dejax.cli import shared

    monkeypatch.setattr(shared, "default_directory", lambda config: pytest.fail("process 1 looks for itself"))
    second.append([None, "runs/theirs"])
    args = types.SimpleNamespace(out=None, config="c.yaml")
    assert shared.chosen_directory(args, types.SimpleNamespace(out=None)) == "runs/theirs"


def place(devices, size=None):
    """Nodes on so many devices that are there, or on `size` on paper."""
    devices_of = (
        mesh.on_paper(size).mesh if size else types.SimpleNamespace(size=len(devices), devices=np.array(devices))
    )
    return types.SimpleNamespace(mesh=devices_of)


@pytest.mark.parametrize(("other", "near"), [("mine", 4), ("another", 2)])
def test_devices_of_processes_on_one_host_share_its_memory(second, monkeypatch, other, near):
    devices = [types.SimpleNamespace(process_index=i // 2) for i in range(4)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(processes, "_host", lambda: "mine")
    monkeypatch.setattr(processes, "_met", [])
    assert placement.here(place(devices)) == 4  # nobody was asked: all as on one host
    second.append(other)
    processes.meet()
    for _ in range(2):
        processes.meet()  # asks once
        assert placement.here(place(devices)) == near and placement.here(place(devices), host=False) == 2
        assert placement.here(place(devices, size=8)) == 2 * near  # on paper they lie as those that are there
        assert placement.here(None) == 1 and second == []


def test_every_process_gives_as_many_devices(monkeypatch):
    devices = [types.SimpleNamespace(process_index=i // 4, id=i) for i in range(8)]
    assert [d.id for d in mesh._of_each_process(devices, 4)] == [0, 1, 4, 5]
    assert mesh._of_each_process(devices, 8) == devices
    with pytest.raises(ValueError, match="mesh asks for 3 devices of 2 processes"):
        mesh._of_each_process(devices, 3)
    with pytest.raises(ValueError, match="3 of each process, but process 1 has fewer"):
        mesh._of_each_process([*devices[:6], types.SimpleNamespace(process_index=0, id=9)], 6)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="no device of process 1"):
        mesh._mesh(np.array(jax.devices(), object).reshape(1, -1))


def test_every_host_keeps_devices_where_they_do_not_divide_the_nodes():
    devices = np.array([types.SimpleNamespace(process_index=i // 2) for i in range(8)]).reshape(1, 8)
    given = types.SimpleNamespace(devices=devices, shape={"runs": 1, "nodes": 8})
    with pytest.raises(ValueError, match="no number of devices that uses all hosts divides; .* e.g. 8 or 16"):
        mesh.fitting(given, 10)  # 5 and 2 divide them: fewer than the hosts, or no multiple of them
    assert mesh.fitting(given, 16) is given
