"""The page from files to a figure: its config and its commands, on small files in CIFAR's format."""

import os
import re
import shlex
import subprocess
import sys

import files
import numpy as np
import pytest
import repository

import dejax as dj

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


def test_a_few_images_are_those_of_the_published_files(tmp_path):
    held = files.cifar10_python(tmp_path / "data" / "cifar-10-batches-py", n=120)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    environment = dict(os.environ, HOME=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    data = dj.data.cifar10(tmp_path / "few")
    train = [held[f"data_batch_{i}"] for i in range(1, 6)]
    for part, parts in ((data.train, train), (data.test, [held["test_batch"]])):
        np.testing.assert_array_equal(part["y"], np.concatenate([labels[:100] for _, labels in parts]))
        planes = np.concatenate([pixels[:100] for pixels, _ in parts]).reshape(-1, 3, 32, 32)
        np.testing.assert_array_equal(part["x"], planes.transpose(0, 2, 3, 1))


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
