"""scripts/bench.py: what it refuses before it measures, which rows it picks, and that all of them run in both dtypes."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import repository

sys.path.insert(0, str(repository.ROOT / "scripts"))
import bench
from benches import _harness as harness, _rivals as rivals, round as rounds

GROUPS = harness.groups()
INTEL = "processor\t: 0\nmodel name\t: Some CPU\ncpu family\t: 6\nmodel\t\t: 143\nflags\t\t: sse2 avx avx2 avx512f\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


def row(name, n=16):
    return harness.Row("rules", name, n, ms=1.0)


@pytest.fixture
def group(monkeypatch):
    """`main` on one made-up group "rules" with rows ("a, fast", 16), ("b", 16) and ("b", 64); what it measured is recorded."""
    measured = []

    class Group:
        """Made up."""

        @staticmethod
        def rows(options):
            for name, n in (("a, fast", 16), ("b", 16), ("b", 64)):
                if options.wants(name, n):
                    measured.append((name, n))
                    yield row(name, n)

    Group.__name__ = "rules"
    monkeypatch.setattr(harness, "groups", lambda: {"rules": Group})
    monkeypatch.setattr(bench.dejax, "fast_cpu", lambda: False)
    return measured


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--json", "/nonexistent/x.json"], ["--json", "'/nonexistent/x.json'", "a directory that exists"]),
        (["--match", "nothing"], ["no row of rules", "--match 'nothing'", "a, fast; b"]),
        (["--n", "7"], ["no row of rules", "--n 7", "n = 16, 64"]),
        (["--match", "a", "--n", "64"], ["--match 'a' and --n 64"]),
        (["--n", "0"], ["--n", "'0'", "from 1 on"]),
        (["--n", "-3"], ["--n"]),
        (["--seconds", "0"], ["--seconds", "'0'", "above 0"]),
        (["--seconds=-1"], ["--seconds", "'-1'", "above 0"]),
        (["--seconds", "nan"], ["--seconds", "'nan'", "above 0"]),
        (["--seconds", "soon"], ["--seconds", "'soon'", "above 0"]),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(group, capsys, argv, said):
    with pytest.raises(SystemExit) as ended:
        bench.main(argv)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and not group
    assert all(part in error for part in said), error


def test_rows_are_picked_by_their_full_names_and_sizes(group, capsys):
    bench.main(["--match", "fast"])
    bench.main(["--match", "b", "--n", "64", "128"])
    assert group == [("a, fast", 16), ("b", 64)]
    assert "rules   a, fast" in capsys.readouterr().out


def test_what_was_measured_is_kept_when_a_later_row_fails(group, monkeypatch, tmp_path):
    file = tmp_path / "x.json"
    rows = harness.groups()["rules"].rows

    def failing(options):
        yield from rows(options)
        if options.wants("a, fast", 16):
            raise KeyboardInterrupt

    monkeypatch.setattr(harness.groups()["rules"], "rows", staticmethod(failing))
    with pytest.raises(KeyboardInterrupt):
        bench.main(["--json", str(file)])
    found = json.loads(file.read_text())
    assert [(r["name"], r["n"]) for r in found["rows"]] == [("a, fast", 16), ("b", 16), ("b", 64)]
    assert {"name", "vectors", "cores"} <= set(found["cpu"]) and found["dtype"] == "float32"


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_a_group_names_its_rows_and_builds_nothing_for_those_that_are_not_wanted(group, quick, monkeypatch):
    monkeypatch.setattr(harness, "turns", lambda *_, **__: pytest.fail("measured"))
    monkeypatch.setattr(harness, "torch_here", lambda: pytest.fail("imported torch"))
    names = harness.names(group, harness.Options(quick=quick))
    assert names and all(name and n > 0 for name, n in names)
    if group.__name__.endswith("round"):
        assert ("MLP 64-32-10 B=16, torch loop", 16) in names


@pytest.mark.slow
def test_rows_that_are_measured_bear_the_names_that_were_asked_for(monkeypatch):
    """`--match` must hold for what is printed; the times are made up, so that nothing has to be compiled for long."""
    monkeypatch.setattr(harness, "turns", lambda calls, *_, **__: harness.Turns({name: np.ones(3) for name in calls}))
    for group in ("rules", "mixing", "eval"):
        asked = harness.names(GROUPS[group], harness.Options(quick=True))
        part = {"rules": "median", "mixing": "torus", "eval": "epoch"}[group]
        options = harness.Options(quick=True, wants=lambda name, n, part=part: part in name)
        got = [(r.name, r.n) for r in GROUPS[group].rows(options)]
        assert got == [(name, n) for name, n in asked if part in name] and got


def test_processors_of_one_name_are_told_apart():
    facts = harness.processor(INTEL)
    assert facts == {"name": "Some CPU", "family": "6", "model": "143", "vectors": "AVX-512"}
    assert harness.processor(INTEL.replace(" avx512f", ""))["vectors"] == "AVX2"
    assert harness.processor(ARM) | {"name": ""} == {
        "name": "",
        "implementer": "0x41",
        "part": "0xd40",
        "vectors": "SVE",
    }
    assert harness.processor("")["name"]
    machine = {"cpu": facts | {"cores": 2}, "devices": "1 x cpu cpu", "versions": {"jax": "1"}}
    assert harness.machine_line(machine) == "Some CPU (family 6, model 143, AVX-512), 2 cores; 1 x cpu cpu; jax 1"


def test_rivals_without_torch_say_why(monkeypatch):
    monkeypatch.setattr(harness, "torch_here", lambda: (None, "", "torch is not installed"))
    wants = lambda name, n: "torch" in name
    monkeypatch.setattr(rounds, "Own", lambda *_: type("Own", (), {"start": {}}))
    got = list(rounds.rows(harness.Options(quick=True, wants=wants)))
    assert [r.note for r in got] == ["torch is not installed"] * 2
    assert [r.name.split(", ")[1] for r in got] == ["torch loop", "torch vmap"]


def test_torch_on_a_gpu_is_waited_for():
    """What its `round` gives back is the rival itself, which `block_until_ready` of JAX asks to wait."""
    waited = []
    rival = object.__new__(rivals.TorchLoop)
    rival.torch = SimpleNamespace(cuda=SimpleNamespace(synchronize=lambda: waited.append("gpu")))
    rival.where = {"device": "cuda"}
    jax.block_until_ready(rival)
    rival.where = {"device": "cpu"}
    jax.block_until_ready(rival)
    assert waited == ["gpu"]


@pytest.mark.parametrize("part", ["qsgd 15, unbiased", "weighted mean"])
def test_rules_are_measured_in_the_dtype_that_was_asked_for(part, monkeypatch):
    def turns(calls, *_):
        for name, call in calls.items():
            dtypes = {x.dtype for x in jax.tree.leaves(call()) if jnp.issubdtype(x.dtype, jnp.floating)}
            assert dtypes == {jnp.dtype("bfloat16")}, name
        return harness.Turns({name: np.ones(3) for name in calls})

    monkeypatch.setattr(harness, "turns", turns)
    options = harness.Options(quick=True, dtype="bfloat16", wants=lambda name, n: part in name)
    assert len(list(GROUPS["rules"].rows(options))) == 1


TWICE = [pytest.param(dtype, marks=() if dtype == "float32" else pytest.mark.nightly) for dtype in harness.DTYPES]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TWICE)
def test_rivals_do_the_same_work(dtype):
    """The check that the bench itself makes before it measures a model."""
    code = (
        "from benches import _harness as h, _models as m, round as r; "
        f"r.check(m.mlp(6, 5, 10), r.RIVALS, h.Options(dtype={dtype!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TWICE)
def test_a_quick_run(dtype, tmp_path):
    file = tmp_path / "x.json"
    argv = ["--only", "mixing", "eval", "rules", "--match", "e", "--quick", "--seconds", "0.05", "--dtype", dtype]
    argv += ["--json", str(file)]
    command = [sys.executable, str(repository.ROOT / "scripts/bench.py"), *argv]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert found["dtype"] == dtype and all("e" in r["name"] and r["ms"] > 0 for r in found["rows"])
    assert {r["group"] for r in found["rows"]} == {"mixing", "eval", "rules"}


def environment():
    paths = [str(repository.ROOT), str(repository.ROOT / "scripts")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu"}
