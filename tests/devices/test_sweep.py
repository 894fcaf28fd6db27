"""A sweep on devices: combinations and seeds along `runs`, nodes along `nodes`, with the numbers of one device."""

import json

import pytest

from dejax import cli

CONFIG = """
rounds: 3
data: {source: digits, nodes: 16, partition: iid}
task: {mlp: {hidden: [4]}}
method: {dsgd: {lr: 0.1}}
network: {topology: {geometric: {seed: 0}}}
batch_size: 4
eval: {every: 3}
"""


def swept(path, capsys, *more):
    out = ["--out", str(path.with_name(f"out{len(list(path.parent.iterdir()))}"))]
    argv = [
        "sweep",
        str(path),
        "--over",
        "method.dsgd.lr=0.05,0.1,0.2",
        "--seeds",
        "1",
        "--quiet",
        "--json",
        *out,
        *more,
    ]
    assert cli.main(argv) == 0
    return json.loads(capsys.readouterr().out)["records"]


@pytest.mark.slow
def test_a_sweep_on_a_mesh_has_the_numbers_of_one_device_and_goes_on_there(tmp_path, capsys, monkeypatch):
    from dejax.runs.group import Group

    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    one = swept(path, capsys, "--set", "rounds=6")
    seen, advance = [], Group.advance
    monkeypatch.setattr(Group, "advance", lambda self, *args: seen.append(self.carry) or advance(self, *args))
    # three runs on two devices: one of them is filled up
    many = swept(path, capsys, "--set", "mesh={runs: 2, nodes: 4}", "--out", str(tmp_path / "begun"))
    kernel = seen[0].state.params["layer0"]["kernel"]
    assert kernel.sharding.spec[:2] == ("runs", "nodes") and len(kernel.sharding.device_set) == 8
    monkeypatch.undo()
    assert len(one) == 9 and len(many) == 6
    for a, b in zip([r for r in one if r["round"] <= 3], many, strict=True):
        alike(a, b)
    assert cli.main(["resume", str(tmp_path / "begun"), "--rounds", "6", "--set", "mesh=null", "--quiet"]) == 0
    got = [json.loads(line) for line in (tmp_path / "begun" / "metrics.jsonl").read_text().splitlines()]
    assert len(got) == 9
    last = {r["run"]: r for r in got if r["round"] == 6}
    for record in one:
        if record["round"] == 6:
            assert last[record["run"]]["loss"] == pytest.approx(record["loss"], rel=1e-3)


def alike(a, b):
    """Records of one moment, up to the order of sums."""
    assert a.keys() == b.keys() and a["run"] == b["run"]
    a, b = ({k: v for k, v in r.items() if k not in ("run", "wall")} for r in (a, b))
    assert a == pytest.approx(b, rel=1e-3, abs=1e-5)
