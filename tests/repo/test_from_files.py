"""The page from files to a figure: its config and its commands, on small files in CIFAR's format."""

import os
import re
import shlex
import subprocess
import sys

import files
import pytest
import repository

PAGE = (repository.ROOT / "docs" / "paper.md").read_text()
SMALL = [
    "rounds=1",
    "seed=[0,1]",
    "data.nodes=4",
    "eval.every=1",
    "batch_size=4",
    "task.resnet.depth=8",
    "methods.FedAvg.method.fedavg.local_steps=1",
]


def test_the_config_takes_as_many_lines_as_the_page_says():
    (config,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (said,) = re.findall(r"`cifar.yaml`, (\d+) lines", PAGE)
    assert len(config.splitlines()) == int(said) and f"{said} lines of YAML" in PAGE


@pytest.mark.nightly
@pytest.mark.slow
def test_two_commands_make_a_figure_and_a_table(tmp_path):
    (config,), (commands,) = (re.findall(rf"```{kind}\n(.*?)```", PAGE, flags=re.DOTALL) for kind in ("yaml", "bash"))
    (tmp_path / "cifar.yaml").write_text(re.sub(r", \{wandb: .*\}\]", "]", config))
    files.cifar10_python(tmp_path / "data" / "cifar-10-batches-py", n=20)
    environment = dict(os.environ, DEJAX_DATA=str(tmp_path / "data"), MPLBACKEND="Agg")
    sweep, report = (shlex.split(line)[1:] for line in commands.splitlines() if line.startswith("dejax"))
    for argv in ([*sweep, *(word for text in SMALL for word in ("--set", text))], report):
        done = subprocess.run(
            [sys.executable, "-m", "dejax", *argv],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "curves.pdf").read_bytes().startswith(b"%PDF")
    table = (tmp_path / "table.tex").read_text()
    assert (
        all(name in table for name in ("D-PSGD", "Tracking", "FedAvg", "textbf"))
        and "chosen by accuracy/validation" in table
    )
