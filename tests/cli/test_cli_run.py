"""The command end to end on a tiny experiment: run, resume, sweep, plan, topology, and what each leaves behind."""

import csv
import json
import re
import warnings

import numpy as np
import pytest

from dejax import cli
from dejax.config import load
from dejax.errors import NULL
from dejax.planning import plan as planning
from dejax.planning.compiled import Allocated

CONFIG = """\
rounds: 6
data: {source: digits, nodes: 8, partition: {dirichlet: {alpha: 1.0}}}
task: {mlp: {hidden: [8]}}
eval: {every: 3}
methods:
  ring: {method: {dsgd: {lr: 0.1}}, network: {topology: ring}}
  alone: {method: {local_only: {lr: 0.1}}}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("configs") / "tiny.yaml"
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "first"
    assert cli.main(["run", config, "--out", str(out), "--quiet"]) == 0
    return out


def records(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_config_metrics_picture_and_page(finished):
    assert {"config.yaml", "metrics.jsonl", "metrics.csv", "figure.png", "report.html", "run.json"} <= {
        p.name for p in finished.iterdir()
    }
    got = records(finished)
    assert [(r["run"], r["round"]) for r in got] == [(run, t) for run in ("ring", "alone") for t in (0, 3, 6)]
    with open(finished / "metrics.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(got)
    page = (finished / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["']https?:""", page)  # nothing is loaded from elsewhere


def test_the_kept_config_is_the_same_experiment(config, finished):
    kept = load(finished / "config.yaml")
    assert kept.plain() == load(config).plain()


def test_a_directory_that_exists_is_refused_and_left_alone(config, finished, capsys):
    before = {p.name: p.stat().st_mtime_ns for p in finished.iterdir()}
    assert cli.main(["run", config, "--out", str(finished)]) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert {p.name: p.stat().st_mtime_ns for p in finished.iterdir()} == before


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("methods.ring.network.topology.ring.n=9", "methods.ring.network.topology.ring.n: the graph has n = 9"),
        ("methods.ring.network.topology=random_digraph", "column-stochastic"),
        ("data.nodes=100000", "nodes"),
        ("eval.metrics=[acuracy]", "no metric"),
        (
            "methods.alone.network.topology=ring",
            "methods.alone.network.topology: topology is 'ring', but LocalOnly does not communicate",
        ),
        ("data.partition.dirichlet.alpha=-1", "data.partition.dirichlet.alpha"),
    ],
)
def test_what_cannot_work_is_refused_and_leaves_nothing(config, tmp_path, override, words, capsys):
    out = tmp_path / "run"
    assert cli.main(["run", config, "--out", str(out), "--quiet", "--set", override]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert not out.exists()


@pytest.mark.slow
def test_resume_goes_on_to_more_rounds_with_the_same_numbers(config, tmp_path, capsys):
    short, long = tmp_path / "short", tmp_path / "long"
    assert cli.main(["run", config, "--out", str(short), "--quiet", "--set", "rounds=3"]) == 0
    assert cli.main(["resume", str(short), "--rounds", "6", "--quiet"]) == 0
    assert cli.main(["run", config, "--out", str(long), "--quiet"]) == 0
    capsys.readouterr()
    skip = {"wall"}
    a, b = ([{k: v for k, v in r.items() if k not in skip} for r in records(d)] for d in (short, long))
    a, b = (sorted(x, key=lambda r: (r["run"], r["round"])) for x in (a, b))
    assert a == b


@pytest.mark.slow
def test_quiet_says_where_results_are_and_nothing_else(config, tmp_path, capsys):
    sweep = ["--over", "methods.ring.method.dsgd.lr=0.1,1e30"]
    for command in (["run", config], ["sweep", config, *sweep]):
        out = str(tmp_path / command[0])
        assert cli.main([*command, "--out", out, "--quiet"]) == 0
        assert capsys.readouterr() == (out + "\n", "")
        for more in ([], ["--rounds", "8"], []):
            assert cli.main(["resume", out, "--quiet", *more]) == 0
            assert capsys.readouterr() == (out + "\n", "")
    assert cli.main(["run", config, "--out", str(tmp_path / "run"), "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "exists and is not empty" in said.err


@pytest.mark.parametrize("command", ["run", "sweep", "resume"])
def test_quiet_means_the_same_everywhere(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    assert "--quiet print nothing but the run directory" in " ".join(capsys.readouterr().out.split())


def test_a_finished_run_is_not_run_again_and_results_alone_are_no_run(finished, tmp_path, capsys):
    before = (finished / "metrics.jsonl").read_bytes()
    assert cli.main(["resume", str(finished)]) == 0
    assert "was finished before, nothing was run; for more rounds: dejax resume" in (out := capsys.readouterr().out)
    assert "ring" in out and "rounds in" not in out
    assert (finished / "metrics.jsonl").read_bytes() == before
    for name in ("metrics.jsonl", "config.yaml"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    assert cli.main(["resume", str(tmp_path)]) == 2
    assert "without checkpoints (saved from a history)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [["run"], ["sweep", "--seeds", "2"], ["report"], ["topology", "ring", "--n", "4"]], ids=lambda argv: argv[0]
)
def test_where_nothing_can_be_written_is_said_before_anything_is_made(config, finished, argv, capsys):
    command, *rest = argv
    what = {"report": [str(finished)], "topology": []}.get(command, [config])
    place = "/proc/none/x.png" if command == "topology" else "/proc/none"
    assert cli.main([command, *what, *rest, "--out", place]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "nothing can be written in /proc" in err or "there is no directory /proc/none" in err


def test_a_run_that_diverges_is_a_user_error_that_says_where(config, tmp_path, capsys):
    out = tmp_path / "run"
    sets = ["--set", "methods={ring: {method: {dsgd: {lr: 1e30}}, network: {topology: ring}}}"]
    assert cli.main(["run", config, "--out", str(out), "--quiet", *sets]) == 2
    err = capsys.readouterr().err
    assert "not finite" in err
    assert "lower lr" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_ctrl_c_keeps_the_results(config, tmp_path, monkeypatch, capsys):
    from dejax.runs import single

    advance = single.SingleRun.advance

    def stop(self, *args):
        if self.round >= 3:
            raise KeyboardInterrupt
        return advance(self, *args)

    monkeypatch.setattr(single.SingleRun, "advance", stop)
    out = tmp_path / "run"
    assert cli.main(["run", config, "--out", str(out), "--quiet"]) == 130
    assert "dejax resume" in capsys.readouterr().err
    assert [r["round"] for r in records(out)] == [0, 3]


@pytest.mark.slow
def test_a_sweep_equals_separate_runs(config, tmp_path, capsys):
    """Numbers and seeds share one program; each result is that of a run of its own."""
    argv = ["sweep", config, "--over", "methods.ring.method.dsgd.lr=0.05,0.2", "--seeds", "2", "--quiet", "--json"]
    assert cli.main([*argv, "--out", str(tmp_path / "sweep")]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["directory"] == str(tmp_path / "sweep")
    last = [r for r in got["records"] if r["round"] == 6]
    assert [r["run"] for r in last] == ["lr=0.05", "lr=0.05", "lr=0.2", "lr=0.2"]
    out = tmp_path / "one"
    sets = ["--set", "methods.ring.method.dsgd.lr=0.2", "--set", "seed=1"]
    assert cli.main(["run", config, "--out", str(out), "--quiet", *sets]) == 0
    alone = [r for r in records(out) if r["run"] == "ring"]
    swept = [r for r in got["records"] if r["run"] == "lr=0.2" and r["seed"] == 1]
    assert [r["round"] for r in swept] == [r["round"] for r in alone] == [0, 3, 6]
    for mine, theirs in zip(swept, alone, strict=True):
        assert mine["bytes"] == theirs["bytes"]
        for name in ("accuracy/local", "accuracy/mean_model", "consensus"):
            np.testing.assert_allclose(mine[name], theirs[name], rtol=2e-5, err_msg=name)
    assert got["best"]["by"] == "accuracy/local"


@pytest.mark.slow
@pytest.mark.parametrize(
    "argv", [["run", "--set", "method.dsgd.lr=0.2"], ["sweep", "--over", "method.dsgd.lr=0.1,0.2"]]
)
def test_a_method_that_every_run_overrides_cannot_be_set(config, argv, tmp_path, capsys):
    command, *rest = argv
    assert cli.main([command, config, *rest, "--out", str(tmp_path / "none")]) == 2
    assert "method.dsgd.lr: no run reads it" in (said := capsys.readouterr().err)
    assert "Write methods.ring.method.dsgd.lr (labels: ring, alone)" in said
    assert not (tmp_path / "none").exists()


def test_a_sweep_takes_the_runs_that_read_its_fields(config):
    from dejax.cli.sweep import trials_of

    sets = []

    def taken(**over):
        fields = {k.replace("_", "."): [v] for k, v in over.items()}
        return [trial.label for trial in trials_of(config, sets, fields, load(config))]

    assert taken(methods_ring_network_topology="complete") == ["topology=complete"]
    assert taken(rounds=5) == ["ring rounds=5", "alone rounds=5"]
    sets.append("methods.alone.rounds=3")
    assert taken(rounds=5) == ["rounds=5"]  # the other run would be the same for every value
    assert taken() == ["ring", "alone"]
    assert taken(rounds=5, methods_ring_method_dsgd_lr=0.2) == ["rounds=5, lr=0.2"]


def test_a_star_is_the_member_of_each_run_and_no_run_is_there_twice(config):
    from dejax.cli.sweep import trials_of
    from dejax.errors import ConfigError

    def taken(**over):
        return trials_of(config, [], over, load(config))

    rates = taken(**{"method.*.lr": [0.1, 0.2]})
    assert [trial.label for trial in rates] == ["ring lr=0.1", "alone lr=0.1", "ring lr=0.2", "alone lr=0.2"]
    assert [float(trial.run.objects()[0].lr) for trial in rates] == pytest.approx([0.1, 0.1, 0.2, 0.2])
    assert [trial.member().marks for trial in rates[:2]] == [{"method.*.lr": 0.1}] * 2
    both = taken(**{"methods.ring.method.dsgd.lr": [0.1, 0.2], "data.partition.dirichlet.alpha": [0.5, 1.0]})
    assert [trial.label for trial in both] == [
        "lr=0.1, alpha=0.5",
        "lr=0.1, alpha=1.0",
        "lr=0.2, alpha=0.5",
        "lr=0.2, alpha=1.0",
    ]
    graph = taken(**{"network.topology.*.n": [4], "rounds": [2, 3]})  # `alone` has no graph, and is there once a length
    assert [trial.label for trial in graph] == [
        "ring n=4, rounds=2",
        "alone rounds=2",
        "ring n=4, rounds=3",
        "alone rounds=3",
    ]
    with pytest.raises(ConfigError, match=r"method\.\*\.rate: no run has such a field"):
        taken(**{"method.*.rate": [1]})


@pytest.mark.slow
def test_a_sweep_over_structure_runs_group_after_group_and_marks_divergence(config, tmp_path, capsys):
    out = tmp_path / "sweep"
    over = ["--over", "methods.ring.network.topology=ring,complete", "--over", "methods.ring.method.dsgd.lr=0.1,1e30"]
    assert cli.main(["sweep", config, *over, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "topology=complete, lr=0.1" in text
    assert "diverged in round" in text
    assert len([r for r in records(out) if r["round"] == 6]) == 2
    assert len([r for r in records(out) if "1e+30" in r["run"]]) == 4  # at the start, and what was sent till it broke
    assert len([r for r in records(out) if r["run"] == "topology=ring, lr=0.1"]) == 3  # its curve
    assert {"metrics.csv", "metrics.jsonl", "report.html"} <= {p.name for p in out.iterdir()}
    assert list(out.glob("*.png"))
    assert cli.main(["sweep", config, *over, "--out", str(out)]) == 2


@pytest.mark.slow
def test_a_sweep_that_does_not_fit_is_refused_before_it_compiles(config, tmp_path, monkeypatch, capsys):
    from dejax.runs.driver import drive

    monkeypatch.chdir(tmp_path)
    run = next(run for run in load(config).runs if run.label == "ring")
    two, four = (planning.plan(*run.objects(), rounds=run.rounds, seeds=k).total for k in (2, 4))
    monkeypatch.setattr(planning, "machine_memory", lambda: int((two + four) / 2 / planning.KEEP))
    argv = ["sweep", config, "--over", "methods.ring.method.dsgd.lr=0.05,0.2", "--seeds", "2", "--quiet"]
    ran = []

    monkeypatch.setattr("dejax.runs.simulate.drive", lambda group, *rest: ran.append(group.width))
    monkeypatch.setattr("dejax.runs.memory_check.allocated", lambda program: Allocated(0, 0, 0, scratch=0))
    for more, want in ([], []), (["--at-once", "2"], [2, 2]), (["--anyway"], [4]):
        ran.clear()
        assert cli.main([*argv, *more]) == (0 if want else 2)
        assert ran == want
        said = capsys.readouterr().err
        assert want or ("fewer runs at once (now 4; --at-once)" in said and "--anyway" in said and "lr=0.05" in said)
    ran.clear()
    monkeypatch.setattr("dejax.runs.simulate.drive", drive)  # asks the compiled program just before a run begins
    monkeypatch.setattr("dejax.runs.driver.begin", lambda group, *rest: ran.append(group.width))
    monkeypatch.setattr("dejax.runs.memory_check.allocated", lambda program: Allocated(0, 0, 0, scratch=10**9))
    assert cli.main([*argv, "--at-once", "2"]) == 2 and not ran
    assert "scratch of the rounds 1 GB" in capsys.readouterr().err
    monkeypatch.setattr(planning, "machine_memory", lambda: int(two / planning.KEEP) - 10)
    assert cli.main([*argv, "--at-once", "2"]) == 2
    assert "fewer seeds (now 2; --seeds)" in capsys.readouterr().err


@pytest.mark.slow
def test_plan_compile_says_what_the_program_of_the_run_allocates(config, capsys):
    from dejax.runs.single import SingleRun

    assert (
        cli.main(["plan", config, "--compile", "--json", "--set", "methods={alone: {method: {local_only: {lr: 0.1}}}}"])
        == 0
    )
    (planned,) = json.loads(capsys.readouterr().out)["runs"]
    loaded = load(config)
    run = next(run for run in loaded.runs if run.label == planned["run"])
    seeds = loaded.seeds[0] if len(loaded.seeds) == 1 else list(loaded.seeds)
    m = SingleRun(run.label, *run.objects(), seeds, run.rounds).compiled().memory_analysis()
    found = (m.argument_size_in_bytes, m.output_size_in_bytes, m.alias_size_in_bytes, m.temp_size_in_bytes)
    assert tuple(planned["compiled"][k] for k in ("arguments", "results", "aliased", "scratch")) == found
    assert planned["compiled"]["bytes"] == found[0] + found[1] - found[2] + found[3]


@pytest.mark.slow
def test_plan_counts_what_the_meters_count(config, finished, capsys):
    assert cli.main(["plan", config, "--json", "--memory", "1GB"]) == 0
    ring, alone = json.loads(capsys.readouterr().out)["runs"]
    last = [r for r in records(finished) if r["round"] == 6]
    assert ring["sent"] == last[0]["bytes"]
    assert alone["sent"] == 0
    assert ring["parameters"] == 64 * 8 + 8 + 8 * 10 + 10
    state = next(p for p in ring["parts"] if p["name"] == "state")
    assert state["bytes"] == 8 * 4 * ring["parameters"]
    assert ring["largest_n"] > 8
    assert cli.main(["plan", config, "--memory", "1GB"]) == 0
    assert "largest n by memory" in capsys.readouterr().out


@pytest.mark.slow
def test_the_largest_n_by_memory_is_set_beside_what_the_data_allow(config, capsys):
    one = ["--set", "methods={ring: {method: {dsgd: {lr: 0.1}}, network: {topology: ring}}}", "--memory", "100GB"]
    assert cli.main(["plan", config, *one]) == 0
    out = capsys.readouterr().out
    assert "the data allow fewer: 1,438 samples" in out and "1 model per node" in out
    assert cli.main(["plan", config, *one, "--json", "--set", "data.partition=overlapping"]) == 0
    got = json.loads(capsys.readouterr().out)["runs"][0]
    assert got["most_n_of_data"] is None and got["largest_n"] > 1438


@pytest.mark.slow
def test_plan_says_when_it_does_not_fit(config, capsys):
    assert cli.main(["plan", config, "--json", "--memory", "1kB"]) == 0
    ring = json.loads(capsys.readouterr().out)["runs"][0]
    assert not ring["fits"]
    assert ring["largest_n"] == 0


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("methods.ring.method.dsgd.lr=-1", "methods.ring.method.dsgd.lr: lr is -1.0; give a finite number >= 0"),
        (
            "methods.ring.method.dsgd.lr=[0.1, 0.2]",
            "methods.ring.method.dsgd.lr: lr has shape (2,); give one number, or 8",
        ),
        ("methods.ring.network.topology.ring.n=9", "n = 9 but data.nodes is 8"),
        ("methods.alone.network.topology=ring", "LocalOnly does not communicate"),
        ("eval.metrics=[accuracy]", "eval.metrics.0: no metric named 'accuracy'"),
        ("methods.ring.method.dsgd.lr={cosine: {peak: 0.1}}", "lr.cosine: cosine needs length (number)."),
        (
            "methods.ring.network.faults={churn: {p: {inverse_sqrt: {peak: 0.1}}}}",
            "faults.churn.p: p is InverseSqrt(peak: 0.1, offset: 1.0, unit: rounds), a schedule or function",
        ),
        (
            "methods.ring.method.dsgd.lr={cosine: {peak: {inverse_sqrt: {peak: 0.1}}, length: 9}}",
            "lr.cosine.peak: peak is InverseSqrt(peak: 0.1, offset: 1.0, unit: rounds), a schedule or function",
        ),
        ("task.mlp.hidden=[0]", "task.mlp.hidden: hidden is [0]; give a list of whole numbers >= 1, e.g. [64, 32]"),
        ("task={cnn: {widths: []}}", "task.cnn.widths: widths is []; give a list of 1 or more whole numbers >= 1"),
        ("task={cnn: {kernel: 0}}", "task.cnn.kernel: kernel is 0; give a whole number >= 1"),
        ("task={cnn: {shape: [8, 0]}}", "task.cnn.shape: shape is [8, 0]; give a list of whole numbers >= 1"),
        ("task={lenet: {classes: -1}}", "task.lenet.classes: classes is -1; give a whole number >= 1"),
        ("task={logistic: {features: 0}}", "task.logistic.features: features is 0; give a whole number >= 1"),
    ],
)
def test_show_refuses_what_run_refuses_in_the_same_words(config, wrong, text, tmp_path, capsys):
    from dejax import engine
    from dejax.xla.compile_once import once

    before = once(engine.start)._cache_size(), engine.run_chunk._cache_size()
    assert cli.main(["show", config, "--set", wrong]) == 2
    shown = capsys.readouterr()
    assert text in shown.err
    assert shown.out == ""
    assert cli.main(["run", config, "--set", wrong, "--out", str(tmp_path / "none"), "--quiet"]) == 2
    assert capsys.readouterr().err == shown.err.replace("dejax show", "dejax run", 1)
    assert (once(engine.start)._cache_size(), engine.run_chunk._cache_size()) == before


def test_topology_gives_facts_and_a_picture(tmp_path, capsys):
    out = tmp_path / "ring.png"
    assert cli.main(["topology", "ring", "--n", "16", "--out", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["max_degree"] == 2
    assert facts["rho"] == pytest.approx(1 / 3 + 2 / 3 * np.cos(2 * np.pi / 16))
    assert out.read_bytes().startswith(b"\x89PNG")
    assert cli.main(["topology", "ring", "--n", "16", "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err
    assert cli.main(["topology", "random_regular", "degree=3", "seed=1", "--n", "8"]) == 0
    assert "doubly stochastic" in capsys.readouterr().out
    assert cli.main(["topology", "ring", "degree=3", "--n", "8"]) == 2
    assert "takes no 'degree'" in capsys.readouterr().err


def test_show_round_trips(config, tmp_path, capsys):
    assert cli.main(["show", config, "--set", "rounds=9"]) == 0
    again = tmp_path / "again.yaml"
    again.write_text(capsys.readouterr().out)
    assert load(again).plain() == load(config, ["rounds=9"]).plain()
    assert cli.main(["show", config, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == load(config).plain()


def test_warnings_are_lines_of_the_command(capsys, monkeypatch):
    def warned(args):
        for _ in range(2):
            warnings.warn("set rule to " + NULL, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return 0

    monkeypatch.setattr("dejax.cli.look.show", warned)
    with pytest.warns(DeprecationWarning, match="old") as others:
        assert cli.main(["show", "c.yaml"]) == 0
    assert len(others) == 1 and capsys.readouterr().err == "dejax show: set rule to null\n"


# ---- several processes (tests/devices/test_processes.py runs two)
@pytest.mark.parametrize(
    ("flags", "given"),
    [
        (["--distributed"], {}),
        (["--distributed", "--coordinator", "a:1"], {"coordinator_address": "a:1"}),
        (
            ["--coordinator", "a:1", "--processes", "3", "--process-id", "2"],
            {"coordinator_address": "a:1", "num_processes": 3, "process_id": 2},
        ),
    ],
)
@pytest.mark.parametrize("command", ["run", "resume"])
def test_flags_of_several_processes_join_the_job_before_anything_else(command, flags, given, monkeypatch, capsys):
    said = []
    monkeypatch.setattr("jax.distributed.initialize", lambda **kw: said.append(kw))
    assert cli.main([command, "nowhere", *flags]) == 2
    assert said == [given] and "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--processes", "2", "--process-id", "2"],
            "--process-id is 2 and --processes is 2; give each of 2 processes a number",
        ),
        (["--coordinator", "host"], "--coordinator is 'host'; give HOST:PORT"),
        (["--coordinator", "host:99999"], "--coordinator is 'host:99999'; give HOST:PORT with a port from 1 to 65535"),
        (["--coordinator", "host:0"], "--coordinator is 'host:0'; give HOST:PORT with a port"),
        (["--coordinator", ":1234"], "--coordinator is ':1234'; give HOST:PORT"),
        (["--distributed"], "no SLURM, Open MPI, Kubernetes or TPU environment was found"),
        (["--process-id", "0"], "says what is missing; give --coordinator HOST:PORT --processes N\n"),
    ],
)
def test_flags_of_several_processes_that_cannot_be(flags, message, monkeypatch, capsys):
    def finds_none(**kw):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr("jax.distributed.initialize", finds_none)
    assert cli.main(["run", "nowhere", *flags]) == 2
    assert message in capsys.readouterr().err


SLURM = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0"}
MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"}


@pytest.mark.parametrize(
    ("variables", "flags", "hinted"),
    [
        (SLURM, [], "SLURM says that there are 4 tasks (SLURM_STEP_NUM_TASKS)"),
        (MPI, [], "Open MPI says that there are 4 tasks (OMPI_COMM_WORLD_SIZE)"),
        (SLURM | {"SLURM_PROCID": "3"}, [], None),  # one of them says it
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, [], None),  # a batch script, which is one process
        (
            SLURM | {"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1"},
            [],
            None,
        ),  # a step of one task, of a larger allocation
        (SLURM, ["--distributed"], None),
        ({}, [], None),
    ],
)
@pytest.mark.parametrize("command", ["run", "resume"])
def test_copies_that_a_scheduler_starts_are_told_how_to_be_one_run(
    command, variables, flags, hinted, monkeypatch, capsys
):
    for name in (*SLURM, *MPI, "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("jax.distributed.initialize", lambda **kw: None)
    assert cli.main([command, "nowhere", *flags]) == 2
    err = capsys.readouterr().err
    assert ("without --distributed" in err) == (hinted is not None) and (hinted or "") in err
    assert sum("--distributed" in line for line in err.splitlines()) == (hinted is not None)


@pytest.mark.slow
def test_a_sweep_of_which_nothing_is_left_is_a_user_error(config, tmp_path, capsys):
    over = ["--over", "methods.ring.method.dsgd.lr=1e30,2e30"]
    assert cli.main(["sweep", config, *over, "--quiet", "--out", str(tmp_path / "sweep")]) == 2
    assert "every combination diverged: lower lr" in capsys.readouterr().err
    assert len(records(tmp_path / "sweep")) == 4


@pytest.mark.parametrize("anyway", [False, True])
def test_a_run_that_did_not_fit_goes_on_without_the_check(finished, monkeypatch, anyway):
    checked = []
    monkeypatch.setattr(
        "dejax.runs.simulate.compare", lambda *args, check_memory, **kw: checked.append(check_memory) or 1 / 0
    )
    assert cli.main(["resume", str(finished), "--rounds", "8", *["--anyway"] * anyway]) == 2
    assert checked == [not anyway]


@pytest.mark.slow
def test_a_sweep_that_is_stopped_goes_on_by_resume(config, tmp_path, capsys, monkeypatch):
    from dejax.runs.group import Group

    over = ["--over", "methods.ring.network.topology=ring,complete", "--over", "methods.ring.method.dsgd.lr=0.1,0.2"]
    argv = ["sweep", config, *over, "--seeds", "2", "--quiet", "--out"]
    assert cli.main([*argv, str(tmp_path / "whole")]) == 0
    advance = Group.advance

    def stopped(self, *args):
        if self.labels[0].startswith("topology=complete") and self.round == 3:
            raise KeyboardInterrupt
        return advance(self, *args)

    monkeypatch.setattr(Group, "advance", stopped)
    assert cli.main([*argv, str(tmp_path / "cut")]) == 130
    assert f"go on with: dejax resume {tmp_path / 'cut'}" in capsys.readouterr().err
    assert json.loads((tmp_path / "cut" / "run.json").read_text())["sweep"]["seeds"] == 2
    monkeypatch.setattr(Group, "advance", advance)
    assert cli.main(["resume", str(tmp_path / "cut"), "--quiet"]) == 0
    whole, cut = ([r | {"wall": 0} for r in records(tmp_path / name)] for name in ("whole", "cut"))
    assert len(whole) == 4 * 2 * 3 and whole == cut
    capsys.readouterr()
    assert cli.main(["resume", str(tmp_path / "cut")]) == 0
    assert "was finished before" in capsys.readouterr().out
    checked = []
    monkeypatch.setattr(
        "dejax.runs.sweep.run_members", lambda *args, check_memory, **kw: checked.append(check_memory) or 1 / 0
    )
    assert cli.main(["resume", str(tmp_path / "cut"), "--rounds", "8", "--anyway"]) == 2
    assert checked == [False]
