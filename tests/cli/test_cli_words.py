"""Mistakes on the command line: the path, where it comes from, and what to write there, in keys and flags."""

import pytest

from dejax import cli
from dejax.cli.words import on_the_command_line

CONFIG = """\
rounds: 6
data:
  source: digits
  nodes: 8
  partition: iid
task: {mlp: {hidden: [8]}}
network:
  topology: ring
  codec: {copies: {compressor: {top_k: {k: 5}}, gamma: 0.4}}
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
        ("lr: 0.1", "lr: [0.1, 0.2]", "c.yaml, line 12: method.dsgd.lr: lr has shape (2,); give one number, or 8"),
        ("k: 5", "k: 611", "c.yaml, line 9: network.codec.copies.compressor.top_k.k: k is 611, but the message has d = 610"),
        ("p: 0.1", "p: 2", "c.yaml, line 10: network.faults.0.link_loss.p: p is 2.0; give a probability"),
        ("every: 3", "metrics: [acc]", "c.yaml, line 13: eval.metrics: metrics holds 'acc', which is no metric"),
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("out is 'r', which exists. Go on with it by resume='r', or give another out", "--out is 'r', which exists. Go on with it: dejax resume r; or give another --out"),
        ("lower lr; `error.history` holds the run so far", "lower lr; what was measured before that is in the run directory"),
        ("restore it, or start anew with another `out`", "restore it, or start anew with another --out"),
        ("give Problem(..., starts='independent')", "give starts: independent"),
        ("give dejax.faults.churn(p=0.1), or None", "give {churn: {p: 0.1}}, or null"),
        ("a smaller block, or block='auto'; or check_memory=False (--anyway)", "a smaller block, or block: auto; or --anyway"),
        ("Go on with it by resume='runs/lr=0.5', or give another out", "Go on with it: dejax resume runs/lr=0.5; or give another --out"),
        ("lr=0.5: the loss is nan at b=None", "lr=0.5: the loss is nan at b: null"),
        ("--set a.b=None: b=None and c=True", "--set a.b=None: b: null and c: true"),
    ],
)  # fmt: skip
def test_python_is_said_in_keys_and_flags(text, words):
    assert on_the_command_line(text) == words


def test_rounds_of_a_resume_are_those_of_its_flag():
    assert on_the_command_line("--set rounds=0: rounds: expected", "resume") == "--rounds 0: rounds: expected"


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
