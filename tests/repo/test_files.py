"""What lies in the repository: names, addresses, metadata that must agree."""

import re
import sys
import tomllib

import pytest
import repository

import dejax as dj

sys.path.insert(0, str(repository.ROOT / "scripts"))
import readme_command

PROJECT = tomllib.loads((repository.ROOT / "pyproject.toml").read_text())["project"]
FOREIGN = re.compile(
    r"(pip3?|uv pip|uv|pipx|poetry|conda)\s+(install|add)\b[^\n`#]*?(?<![\w./\"'\[=-])dejax(?![\w./-])"
)


def test_the_foreign_distribution_is_never_installed():
    assert FOREIGN.search("pip install " + "dejax") and FOREIGN.search("uv add -q " + "dejax>=1")
    assert not FOREIGN.search("pip install dejax-sim") and not FOREIGN.search("pip install ./dejax")
    wrong = [
        str(f)
        for f in repository.tracked()
        if f.parent.name != "repo" and FOREIGN.search(f.read_text(errors="replace"))
    ]
    assert not wrong, f"would bring somebody else's package: {wrong}"


def test_no_file_knows_a_machine():
    pattern = re.compile("/(work|root|home)" + r"/\w+|file:///|\.pypi\.|proxy")
    allowed = re.compile(r"/home/(you|me|user)\b|file:///?(\w+)?[`\"') ]|prox(y|imal)")
    wrong = []
    for file in repository.tracked():
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            if (hit := pattern.search(line)) and not allowed.search(line) and file.name != "test_files.py":
                wrong.append(f"{file.relative_to(repository.ROOT)}:{number}: {hit[0]}")
    assert not wrong, wrong


def test_versions_and_names_agree():
    assert PROJECT["name"] == "dejax-sim"
    assert PROJECT["version"] == dj.__version__
    assert f"version: {dj.__version__}\n" in (repository.ROOT / "CITATION.cff").read_text()
    assert PROJECT["scripts"]["dejax"] == "dejax.cli:main"


def test_readme_has_its_two_commands():
    commands = readme_command.commands((repository.ROOT / "README.md").read_text())
    assert {"quickstart", "test"} <= set(commands)
    assert all("\n" not in c for c in commands.values()), "one line each"
    assert "dejax run configs/quickstart.yaml" in commands["quickstart"]
    assert (repository.ROOT / "configs/quickstart.yaml").is_file()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_point_at_files(page):
    for link in re.findall(r"\]\(([^)#:]+)\)", (repository.ROOT / page).read_text()):
        assert (repository.ROOT / link).exists(), f"{page} links to {link}"


def test_every_member_of_methods_has_its_line_in_the_docs():
    text = (repository.ROOT / "docs/methods.md").read_text()
    assert not [name for name in dj.methods.__all__ if f"`{name}`" not in text]
