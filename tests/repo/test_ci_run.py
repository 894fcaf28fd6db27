"""What `.ci/run` says at its end, with tools that do nothing."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TOOL = """#!/bin/bash
case "$*" in
    *$FAILS*) exit 3 ;;
    *venv*) mkdir -p "${@: -1}/bin" && for t in pip uv python; do ln -sf "$0" "${@: -1}/bin/$t"; done ;;
    *clone*) mkdir -p "${@: -1}" ;;
    *perf_counter*) echo 100 ;;
    *pytest*) printf '%b' "$SAYS" ;;
esac
"""


def run(tmp_path, step, fails, **env):
    """(exit code, output); a tool whose arguments hold `fails` fails with 3."""
    tool = tmp_path / "tool"
    tool.write_text(TOOL)
    tool.chmod(0o755)
    for name in ("python3", "python3.11", "python3.13", "git", "pyenv"):
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).symlink_to(tool)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "FAILS": fails} | env
    done = subprocess.run(["bash", ROOT / ".ci/run", *step.split()], env=env, capture_output=True, text=True)
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


SAYS = r"""passed\n
SKIPPED [2] tests/mixing/test_kernels.py:112: nobody else\n
SKIPPED [9] tests/harness/browser.py:30: no browser here: none of chromium, chrome is installed\n
SKIPPED [1] tests/sinks/test_trackers.py:37: could not import 'wandb': No module named 'wandb'\n""".replace("\n", "")


def test_what_was_skipped_for_want_of_a_library_or_a_browser_stands_at_the_end(tmp_path):
    """It does not fail the run; what the step of the trackers runs is no want where that step runs, too."""
    code, said = run(tmp_path, "slow", "nothing", SAYS=SAYS)
    lines = [line.strip("! ") for line in said.splitlines() if "NOT CHECKED" in line]
    assert code == 0 and lines == [
        "NOT CHECKED: slow: [9] tests/harness/browser.py:30: no browser here: none of chromium, chrome is installed",
        "NOT CHECKED: slow: [1] tests/sinks/test_trackers.py:37: could not import 'wandb': No module named 'wandb'",
    ]
    code, said = run(tmp_path, "slow trackers", "nothing", SAYS=SAYS.replace("\\nSKIPPED [9]", "\\n[9]"))
    lines = [line.strip("! ") for line in said.splitlines() if "NOT CHECKED" in line]
    assert code == 0 and lines == []


def test_the_lines_of_all_steps_add_up_to_half_an_hour():
    text = (ROOT / ".ci/run").read_text()
    assert sum(int(seconds) for seconds in re.findall(r"\[\w+\]=(\d+)", text)) <= 1800 and "total=1800" in text
