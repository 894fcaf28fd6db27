"""One of two processes that share a job, two devices each: child.py RANK PORT DIR leaves in DIR what test_processes.py compares."""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from shared import digits, experiment

import dejax as dj
from dejax.devices import processes
from dejax.devices.processes import to_host
from dejax.planning import plan as planning
from dejax.runs import memory_check

rank, port, room = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_enable_x64", True)  # as in the process that compares
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=rank)

written = []


def note_writes(event, args):
    """What this process makes, opens for writing, renames or removes below DIR; orbax writes its part of the arrays by itself."""
    if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"):
        path = str(args[0])
        reads = event == "open" and isinstance(args[1], str) and not set(args[1]) & set("wax+")
        reads = reads or (event == "open" and args[1] is None)
        if path.startswith(str(room)) and not reads and "/arrays" not in path:
            written.append(f"{event} {path}")


def rolled():
    """Four rounds of `rollout` on four devices."""
    method, problem, network = experiment()
    final, meters = dj.rollout(method, problem, network, jax.random.key(0), 4, mesh=4)
    leaf = final.params["x"]
    shapes = {s.data.shape for s in leaf.addressable_shards}
    assert not leaf.is_fully_addressable and shapes == {(leaf.shape[0] // 4, *leaf.shape[1:])}, shapes
    return {"x": np.asarray(to_host(leaf)).tolist(), "awake": meters.totals()["awake"], "bytes": meters.bytes()}


def simulated():
    """A run that a process with four devices began, taken on and ended; its nodes change places."""
    method, problem, network = experiment()
    told = []
    history = dj.simulate(
        method,
        problem,
        network,
        rounds=4,
        every=2,
        mesh={},
        resume=room / "begun",
        callbacks=[told.append],
        progress=False,
    )
    (run,) = history._states.values()
    for x in jax.tree.leaves(run.ready[1].data.index):
        assert {s.data.shape[0] for s in x.addressable_shards} == {problem.n // 4}  # each device its own rows
    (record,) = [r for r in history.records if r["round"] == 4]
    assert told == ([record] if rank == 0 else [])
    return {"records": history.records, "facts": history.facts, "x": np.asarray(history.final.params["x"]).tolist()}


def evaluated():
    """Several seeds, one on the devices of each process, and what an evaluation can ask for."""
    method, problem, network, metrics = digits()
    history = dj.simulate(
        method, problem, network, rounds=1, every=1, nodes=3, final_nodes=3, seeds=[0, 1], mesh={"runs": 2, "nodes": 2},
        metrics=metrics, out=room / "seeds", progress=False,
    )  # fmt: skip
    history = history.continue_(1, progress=False)
    own = jax.tree.leaves(history.model(seed=1))[0]
    if rank == 0:  # arrays that a process has for itself
        own = jnp.asarray(own) + 0
    nodes = {name: history.arrays(name)[1].tolist() for name in ("index", "loss/local_nodes", "confusion/local")}
    return {"records": history.records, "model": np.asarray(own).tolist(), "arrays": nodes}


def planned():
    """What each process takes for the memory of a device: of a plan on paper, and where a run is checked."""
    memory, real = [planning.plan(*experiment(), rounds=2, mesh=devices).memory for devices in (4, 2)], planning.plan
    memory_check.CLOSE = 0
    memory_check.planning.plan = lambda *args, **kw: memory.append(kw["memory"]) or real(*args, **kw)
    dj.simulate(*experiment(), rounds=1, mesh={}, progress=False)
    memory_check.planning.plan = real
    hosts = processes.hosts()
    return {"memory": memory, "machine": planning.machine_memory(), "one host": hosts[0] == hosts[1]}


def refused():
    """What each process says of runs that cannot be."""
    method, problem, network = experiment()
    said = {}

    def note(name, **kw):
        try:
            dj.simulate(
                **{"method": method, "problem": problem, "network": network, "rounds": 2, "mesh": {}, "progress": False}
                | kw
            )
        except Exception as error:
            said[name] = [type(error).__name__, str(error), getattr(error, "told", None)]

    def breaks(*_):
        raise LookupError("no such key")

    def on_one(view):
        return breaks() if rank == 1 else {"zero": 0.0}

    note("no mesh", mesh=None)
    note("odd mesh", mesh=3)
    note("taken", out=room / "begun")
    note("other problem", problem=experiment(rank=rank)[1])
    note("other rounds", rounds=2 + rank)
    note("callback", callbacks=[breaks])
    note("metric", metrics=[on_one])
    note("file", out=room / "file")
    there = Path.is_dir
    if rank == 1:  # as on a host with a disk of its own
        Path.is_dir = lambda self: self.name != "unseen" and there(self)
    note("unseen", out=room / "unseen")
    Path.is_dir = there
    return said


def main():
    """All of it, one after another."""
    sys.addaudithook(note_writes)
    found = {f.__name__: f() for f in (rolled, simulated, evaluated, planned, refused)}
    found["written"] = list(written)
    (room / f"found{rank}.json").write_text(json.dumps(found))


main()
