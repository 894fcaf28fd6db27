"""Mistakes on the command line: the path, where it comes from, and what to write there, in keys and flags."""

import re
from pathlib import Path

import problems as zoo
import pytest

import dejax as dj
from dejax import cli
from dejax.cli.words import on_the_command_line
from dejax.core.byte_sizes import parse_bytes
from dejax.errors import ConfigError, DivergenceError, keyword
from dejax.runs import checkpoint
from dejax.runs.directory import RunDir

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """\
rounds: 6
data:
  source: digits
  nodes: 8
  partition: iid
task: {mlp: {hidden: [8]}}
network:
  topology: ring
  codec: {copies: {compressor: {top_k: {k: 5}}, gamma: 0.04}}
  faults: [{link_loss: {p: 0.1}}]
method:
  dsgd: {lr: 0.1}
eval: {every: 3}
"""


def said(tmp_path, capsys, text, *argv, command="show"):
    (tmp_path / "c.yaml").write_text(text)
    assert cli.main([command, str(tmp_path / "c.yaml"), *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.replace(str(tmp_path) + "/", "").removeprefix(f"dejax {command}: ")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("iid", "iid\n  split: {validation: 20}", "c.yaml, line 6: data.split.validation: validation is 20.0; give a share in [0, 1)"),
        ("iid", "iid\n  split: {seed: -1, validation: 0.1}", "c.yaml, line 6: data.split.seed: seed is -1; give a whole number"),
        ("data:\n  source: digits", "augment: [flip]\ndata:\n  source: {digits: {flat: true}}", "c.yaml, line 2: augment: augment holds flip, which changes images [H, W] or [H, W, C], but a sample is [64]"),
        ("lr: 0.1", "lr: [0.1, 0.2]", "c.yaml, line 12: method.dsgd.lr: lr has shape (2,); give one number, or 8"),
        ("k: 5", "k: 611", "c.yaml, line 9: network.codec.copies.compressor.top_k.k: k is 611, but the message has d = 610"),
        ("p: 0.1", "p: 2", "c.yaml, line 10: network.faults.0.link_loss.p: p is 2.0; give a probability"),
        ("every: 3", "metrics: [acc]", "c.yaml, line 13: eval.metrics.0: no metric named 'acc'"),
        ("every: 3", "nodes: 9", "c.yaml, line 13: eval.nodes: nodes is 9, but there are 8 nodes; give 1 to 8, or null"),
        ("eval:", "roles: {head: personal}\neval:", "c.yaml, line 13: roles: roles names 'head', but the task's leaves are"),
        ("eval:", "mesh: {nodes: 64}\neval:", "c.yaml, line 13: mesh: mesh asks for runs x nodes = 1 x 64 devices"),
        ("topology: ring", "rule: weighted_mean", "c.yaml, line 7: network.topology: topology is null, but Dsgd gossips; give one, e.g. ring"),
        ("dsgd: {lr: 0.1}", "fedavg: {lr: 0.1, clients: 2}", "line 8: network.topology: topology is 'ring', but FedAvg talks to a server and would ignore it; set topology to null, or server: star"),
        ("dsgd: {lr: 0.1}", "ad_psgd: {lr: 0.1}", "c.yaml, line 7: network.events: AdPsgd is driven by events; give network.events, e.g. poisson"),
        ("  dsgd: {lr: 0.1}", "  dsgd", "c.yaml, line 11: method.dsgd: Dsgd got neither lr nor optimizer; give lr: 0.1, or optimizer: {adam: {learning_rate: 0.001}}"),
    ],
)  # fmt: skip
def test_every_mistake_names_its_path_and_line(old, new, text, tmp_path, capsys):
    assert text in said(tmp_path, capsys, CONFIG.replace(old, new, 1))


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("method.dsgd.lr=[0.1]", "method.dsgd.lr: lr has shape (1,)"),
        ("network.faults.link_loss.p=3", "network.faults.0.link_loss.p: p is 3.0"),
        ("method.foo.lr=1", "method.foo: no method named 'foo'"),
        ("method.dsgd={}", "method.dsgd: Dsgd got neither"),
        ("data.nodes=[", "data.nodes: not readable as YAML"),
        ("eval.every=x", "eval.every: expected whole number or null, got 'x' (text)."),
    ],
)
def test_what_an_override_wrote_is_blamed_on_it(override, text, tmp_path, capsys):
    err = said(tmp_path, capsys, CONFIG, "--set", override)
    assert err.startswith(f"--set {override}: {text}")


def test_what_a_sweep_wrote_is_blamed_on_its_flag(tmp_path, capsys):
    field = "network.codec.copies.compressor.top_k.k"
    err = said(tmp_path, capsys, CONFIG, "--over", f"{field}=5,611", "--quiet", command="sweep")
    assert err.startswith(f"--over {field}=611: {field}: k is 611, but the message has d = 610")


def taken(tmp_path):
    path = tmp_path / "lr=0.5"
    path.mkdir()
    (path / "run.json").write_text("{}")
    RunDir(path)


def refused(tmp_path, **options):
    network = dj.Network(**{"topology": zoo.ring()} | options)
    network.check(options.pop("method", dj.methods.dsgd(lr=0.1)), zoo.squares()[0])


def set_to_null(tmp_path):
    raise ConfigError(("a", "b"), "give " + keyword("b", None) + " or " + keyword("c", "d"), source="--set a.b=None")


def diverged(tmp_path):
    raise DivergenceError("lr=0.5", 0, "loss", 3, 1)


@pytest.mark.parametrize(
    ("mistake", "python", "command"),
    [
        (taken, "out is 'DIR/lr=0.5', which exists and is not empty. Go on with it by resume='DIR/lr=0.5', or give another out",
         "--out is 'DIR/lr=0.5', which exists and is not empty. Go on with it: dejax resume DIR/lr=0.5; or give another --out"),
        (diverged, "lr=0.5: the loss of node 1 is not finite in round 3 (seed 0). The step is probably too long for this method, graph or "
         "attack: lower lr (or gamma), or clip; `error.history` holds the run so far",
         "lr=0.5: the loss of node 1 is not finite in round 3 (seed 0). The step is probably too long for this method, graph or "
         "attack: lower lr (or gamma), or clip; what was measured before that is in the run directory"),
        (lambda path: checkpoint.load(path / "round_000000001", {}), None, "Restore DIR/round_000000001 from a copy, or start anew with another --out"),
        (lambda path: refused(path, topology=None), "network.topology is None, but Dsgd gossips; give one, e.g. dejax.topology.ring(5)",
         "network.topology is null, but Dsgd gossips; give one, e.g. ring"),
        (lambda path: refused(path, faults="churn"), "Network.faults is 'churn' (str), which is no fault; give e.g. dejax.faults.churn(p=0.1)",
         "Network.faults is 'churn' (str), which is no fault; give e.g. {churn: {p: 0.1}}"),
        (lambda path: dj.methods.ifca(lr=0.1, clients=0), "Ifca.clients is 0; give a whole number >= 1, or None for all nodes",
         "Ifca.clients is 0; give a whole number >= 1, or null for all nodes"),
        (lambda path: dj.methods.dsgd(), "Dsgd got neither lr nor optimizer; give lr=0.1, or optimizer=dejax.optimizer(optax.adam, learning_rate=1e-3)",
         "Dsgd got neither lr nor optimizer; give lr: 0.1, or optimizer: {adam: {learning_rate: 0.001}}"),
        (set_to_null, None, "--set a.b=None: a.b: give b: null or c: d"),
        (lambda path: parse_bytes("much"), "memory is 'much'; give a number of bytes >= 1 with a unit, e.g. 16GB or 512MiB",
         "--memory is 'much'; give a number of bytes >= 1 with a unit, e.g. 16GB or 512MiB"),
    ],
)  # fmt: skip
def test_python_is_said_in_keys_and_flags(mistake, python, command, tmp_path):
    with pytest.raises(Exception) as caught:
        mistake(tmp_path)
    if python is not None:
        assert str(caught.value).replace(str(tmp_path), "DIR") == python
    assert command in on_the_command_line(caught.value).replace(str(tmp_path), "DIR")


def test_overrides_are_quoted_as_they_were_given():
    error = ConfigError(("rounds",), "expected a whole number >= 1, got 0.", source="--set rounds=0")
    assert on_the_command_line(error, "resume").startswith("--rounds 0: rounds: expected")
    assert on_the_command_line(error, "sweep", ["rounds"]).startswith("--over rounds=0: rounds: expected")
    assert on_the_command_line(error, "run").startswith("--set rounds=0: rounds: expected")


def test_neither_the_command_nor_the_config_reads_english():
    """Which field an error is about, and what the command says instead, are fields of errors."""
    for file in [*ROOT.glob("dejax/cli/*.py"), ROOT / "dejax/config/blame.py", ROOT / "dejax/config/experiment.py"]:
        used = [line for line in file.read_text().splitlines() if re.search(r"\bre\.\w+\(", line)]
        assert all("_negative_number_matcher" in line for line in used), (file, used)


@pytest.mark.parametrize("command", ["show", "plan"])
def test_devices_that_seeds_do_not_fill_are_refused_by_plan_as_by_show(command, tmp_path, capsys):
    err = said(tmp_path, capsys, CONFIG + "mesh: {runs: 2, nodes: 4}\n", command=command)
    assert err.startswith(
        "c.yaml, line 14: mesh: mesh has 2 devices along runs, but there is 1 seed; make runs a divisor"
    )


@pytest.mark.parametrize("size", ["-4GB", "0", "0.4B", "1.2.3GB", ".", "", "16 GBs", "1e999", "nan"])
def test_memory_is_a_size_above_zero(size, capsys):
    assert cli.main(["plan", "nowhere.yaml", "--memory", size]) == 2
    said = capsys.readouterr().err
    assert said == f"dejax plan: --memory is {size!r}; give a number of bytes >= 1 with a unit, e.g. 16GB or 512MiB\n"
