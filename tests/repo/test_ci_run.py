"""What `.ci/run` says at its end, with tools that do nothing."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TOOL = """#!/bin/bash
case "$*" in
    *$FAILS*) exit 3 ;;
    *venv*) mkdir -p "${@: -1}/bin" && for t in pip uv python; do ln -sf "$0" "${@: -1}/bin/$t"; done ;;
    *clone*) mkdir -p "${@: -1}" ;;
    *perf_counter*) echo 100 ;;
esac
"""


def run(tmp_path, step, fails, **env):
    """(exit code, output); a tool whose arguments hold `fails` fails with 3."""
    tool = tmp_path / "tool"
    tool.write_text(TOOL)
    tool.chmod(0o755)
    for name in ("python3", "python3.11", "python3.13", "git", "pyenv"):
        (tmp_path / name).symlink_to(tool)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "FAILS": fails} | env
    done = subprocess.run(["bash", ROOT / ".ci/run", step], env=env, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("fails", "seconds", "code", "words"),
    [
        ("nothing", "0", 0, "=== done in "),
        ("!= '3.13'", "0", 1, "NOT CHECKED: no Python 3.13"),
        ("--resolution", "0", 3, "--- lowest FAILED after "),
        ("nothing", "99999", 1, ", their line is 1800s"),
    ],
)
def test_a_run_passes_where_all_was_checked_in_time(tmp_path, fails, seconds, code, words):
    got, said = run(tmp_path, "worlds", fails, SECONDS=seconds)
    assert (got, words in said) == (code, True), said
    assert ("TOO SLOW" in said) == (seconds != "0")
