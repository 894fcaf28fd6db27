"""A config names classes and functions of the user's own, and imports nothing that the caller does not."""

import sys
from pathlib import Path

import pytest

from dejax import cli
from dejax.config import ConfigError, load

MODULE = '''
"""Members of a user's own."""

import jax
import dejax as dj

RAN = True


@dj.struct
class Half:
    """D-PSGD at half the rate."""

    lr: float = dj.number(default=0.1)

    def init(self, params, key):
        return dj.methods.dsgd(lr=self.lr / 2).init(params, key)

    def step(self, state, round):
        return dj.methods.dsgd(lr=self.lr / 2).step(state, round)


def halves(parts: int = 2):
    """A partition into equal runs of samples."""

    def split(labels, nodes, rng, groups):
        import numpy as np

        return np.array_split(np.arange(len(labels)), nodes)

    return split


def gap(view):
    """A metric."""
    return {"gap": 1.5}
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module in a package beside the config."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "__init__.py").write_text("from .mine import Half as Half\n\n__all__ = ['Half']\n")
    (tmp_path / "lab" / "mine.py").write_text(MODULE)
    yield "lab.mine"
    for name in [name for name in sys.modules if name.split(".")[0] == "lab"]:
        del sys.modules[name]


def values(**changes):
    """A small experiment whose method, partition and metric are the user's."""
    return {
        "rounds": 2,
        "data": {"source": "digits", "nodes": 4, "partition": {"lab.mine.halves": {"parts": 3}}},
        "task": {"mlp": {"hidden": [4]}},
        "network": {"topology": "ring"},
        "method": {"lab.mine.Half": {"lr": 0.2}},
        "batch_size": 8,
        "eval": {"metrics": ["consensus", "lab.mine.gap"], "every": 1},
    } | changes


def test_members_are_named_in_full(module, monkeypatch):
    monkeypatch.syspath_prepend("")
    config = load(values(), ["method.lab.mine.Half.lr=0.4"], imports=[module])
    method, problem, _ = config.runs[0].objects()
    assert type(method).__name__ == "Half" and float(method.lr) == 0.4 and problem.n == 4
    assert config.eval["metrics"][1].__name__ == "gap"
    again = load(config.plain(), imports=[module])
    assert again.plain() == config.plain() and config.plain()["imports"] == [module]


def test_a_config_alone_imports_nothing(module, monkeypatch):
    monkeypatch.syspath_prepend("")
    with pytest.raises(
        ConfigError,
        match=r"no method named 'lab.mine.Half'. A config alone imports no code: if you trust lab.mine, add --import lab.mine",
    ):
        load(values(eval=None, data={"source": "digits", "nodes": 4, "partition": "iid"}))
    with pytest.raises(ConfigError, match=r"imports: the config wants to import lab.mine, .*add --import lab.mine"):
        load(values(imports=[module]))
    with pytest.raises(ConfigError, match="imports"):
        load(values(imports="os"))
    assert "lab.mine" not in sys.modules


def test_a_package_that_lists_what_its_modules_make(module, monkeypatch):
    monkeypatch.syspath_prepend("")
    plain = {"data": {"source": "digits", "nodes": 4, "partition": "iid"}, "eval": None}
    config = load(values(method={"lab.Half": {"lr": 0.2}}, **plain), imports=["lab"])
    assert type(config.runs[0].objects()[0]).__name__ == "Half"
    with pytest.raises(ConfigError, match="wants to import antigravity"):
        load(values(method={"dsgd": {"lr": 0.1}}, **plain), ["imports=[antigravity]"])


def test_what_cannot_be_imported_says_why(module, monkeypatch):
    monkeypatch.syspath_prepend("")
    with pytest.raises(
        ConfigError, match=r"imports: cannot import lab.yours: ModuleNotFoundError: No module named 'lab.yours'"
    ):
        load(values(), imports=["lab.yours"])
    with pytest.raises(
        ConfigError, match=r"no method named 'lab.mine.Hlaf'.*Did you mean 'lab.mine.Half'|lab.mine.Half"
    ):
        load(values(method="lab.mine.Hlaf"), imports=[module])


PLAIN = values(
    data={"source": "digits", "nodes": 4, "partition": "iid"}, method={"dsgd": {"lr": 0.1}}, eval={"every": 1}
)


@pytest.mark.parametrize("wrong", ["lab.mine", ["lab.mine", 3], [["lab.mine"]]])
def test_imports_are_a_list_of_names(wrong):
    with pytest.raises(ValueError, match=r"imports is .*; give a list of names of modules, e.g. \['lab.mine'\]"):
        load(values(), imports=wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([["lab.mine"]], r"imports\.0: expected text, got \['lab.mine'\] \(list\)"),
        ([5], r"imports\.0: expected text, got 5 \(whole number\)"),
        ({"lab.mine": True}, r"imports: expected list of text or null, got"),
        (5, r"imports: expected list of text or null, got 5"),
    ],
)
@pytest.mark.parametrize("trusted", [[], ["json"]])
def test_imports_of_a_wrong_form_are_refused_as_such(wrong, said, trusted):
    with pytest.raises(ConfigError, match=said):
        load(PLAIN | {"imports": wrong}, imports=trusted)


@pytest.mark.slow
def test_only_the_named_modules_of_the_folder_are_run(module, tmp_path):
    """The command in a folder that has traps under the names of installed and of missing libraries, and of the standard one."""
    import os
    import subprocess

    import yaml

    names = (
        "yaml",
        "rich",
        "optax",
        "flax",
        "jax",
        "numpy",
        "json",
        "pandas",
        "torch",
        "tensorflow",
        "wandb",
        "sitecustomize",
    )
    for name in names:
        (tmp_path / f"{name}.py").write_text(
            f"open({name!r}, 'w').close()\nraise SystemExit('a trap was run: {name}')\n"
        )
    (tmp_path / "lab" / "mine.py").write_text("import yaml\nimport helper\n" + MODULE)
    (tmp_path / "helper.py").write_text("here = 1\n")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values()))
    command = "import sys, dejax.cli as c; sys.exit(c.main(sys.argv[1:]) or '' in sys.path or sys.argv[-1] not in sys.modules)"
    root = str(Path(cli.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-P", "-c", command, "show", "c.yaml", "--import", module],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": root}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert not [name for name in names if (tmp_path / name).exists()] and "lab.mine.Half" in done.stdout


@pytest.mark.slow
def test_the_command_runs_and_resumes_them(module, tmp_path, capsys):
    import yaml

    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values()))
    assert cli.main(["run", "c.yaml", "--out", "run", "--quiet", "--import", module]) == 0
    assert '"gap": 1.5' in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert cli.main(["resume", "run", "--rounds", "3", "--quiet"]) == 2
    assert "add --import lab.mine" in capsys.readouterr().err.replace("\n", " ")
    assert cli.main(["resume", "run", "--rounds", "3", "--quiet", "--import", module]) == 0
    assert (
        cli.main(
            [
                "sweep",
                "c.yaml",
                "--over",
                "method.lab.mine.Half.lr=0.1,0.2",
                "--out",
                "swept",
                "--quiet",
                "--import",
                module,
            ]
        )
        == 0
    )
    assert (tmp_path / "swept" / "metrics.jsonl").read_text().count('"lr=0.2"') == 3
