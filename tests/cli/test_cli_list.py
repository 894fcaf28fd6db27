"""`dejax list` reads source text: it must agree with what importing gives, and leave no member out."""

import importlib
import inspect
import json
import subprocess
import sys

import pytest

from dejax import cli
from dejax.config import catalog, listing
from dejax.config.registry import KINDS, Registry

FOLDERS = sorted({kind.folder for kind in KINDS.values()} - {""})


def run(capsys, *argv):
    code = cli.main(list(argv))
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_exported_callable_is_listed(folder):
    package = importlib.import_module(f"dejax.{folder}".replace("/", "."))
    wanted = {
        name
        for name in package.__all__
        if name == name.lower() and callable(getattr(package, name)) and not inspect.ismodule(getattr(package, name))
    }
    groups = listing.listing()
    listed = {m.name for members in groups.values() for m in members if f"/{folder}/" in m.file or m.name in wanted}
    assert wanted <= listed
    assert wanted == {m.name for m in catalog.members(folder)}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"optimizer"}))
def test_the_source_text_gives_the_signature_that_importing_gives(kind):
    registry = Registry()
    for member in listing.listing()[KINDS[kind].plural]:
        real = registry.members(kind)[member.name]
        names = [p for p in inspect.signature(real).parameters if not p.startswith("_")]
        kinds = inspect.signature(real).parameters
        names = [p for p in names if kinds[p].kind not in (kinds[p].VAR_POSITIONAL, kinds[p].VAR_KEYWORD)]
        assert [n for n, _, _ in member.parameters] == names, member.name
        required = [p for p in names if kinds[p].default is inspect.Parameter.empty]
        assert [n for n, _, default in member.parameters if not default] == required, member.name


def test_every_member_says_in_one_sentence_what_it_is():
    for group, members in listing.listing().items():
        for member in members:
            assert member.summary, f"{group}: {member.name} has no docstring"


def test_every_slot_has_a_member():
    for kind, entry in KINDS.items():
        assert Registry().members(kind), f"no member of {entry.folder or 'optax'} counts as a {kind}"


def test_json_is_valid_and_complete(capsys):
    code, out, _ = run(capsys, "list", "--json")
    groups = json.loads(out)
    assert code == 0
    assert {"methods", "topologies", "partitions", "optimizers"} <= set(groups)
    dirichlet = next(m for m in groups["partitions"] if m["name"] == "dirichlet")
    assert dirichlet["parameters"] == [{"name": "alpha", "hint": "float", "default": "", "required": True}]
    assert "2019" in dirichlet["reference"]


def test_words_choose_groups(capsys):
    _, out, _ = run(capsys, "list", "partition")
    assert "dirichlet(alpha: float)" in out
    assert "Label skew" in out
    assert "letters" not in out.split("partitions")[0]
    code, out, err = run(capsys, "list", "metods")
    assert (code, out) == (2, "")
    assert "Did you mean methods?" in err


@pytest.mark.slow
def test_the_quick_commands_do_not_import_jax():
    program = (
        "import sys; from dejax.cli import main\n"
        "try:\n    main({argv!r})\nexcept SystemExit:\n    pass\n"
        "assert 'jax' not in sys.modules, 'jax was imported'\n"
    )
    for argv in (["--version"], ["list"], ["list", "methods", "--json"], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-c", program.format(argv=argv)], check=False, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr


def test_version_names_both_packages(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert f"jax {importlib.import_module('jax').__version__}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["lst"], "Did you mean list?"),
        (["list", "--jsn"], "Did you mean --json?"),
        ([], "required"),
        (["topology", "ring", "--n", "abc"], "argument --n: expected a whole number, e.g. 16, got 'abc'. See"),
        (["run", "c.yaml", "--mesh", "8"], "dejax run: unrecognized arguments: --mesh 8. It is a field of the config: give --set mesh.nodes=8. See"),
        (["sweep", "c.yaml", "--quiet", "--devices=8"], "give --set mesh.nodes=8. See dejax sweep --help"),
        (["run", "--nodes", "many", "c.yaml"], "give --set data.nodes=N. See"),
        (["run", "c.yaml", "--seeds", "4"], "unrecognized arguments: --seeds 4. See dejax run --help"),
        (["list", "--mesh"], "unrecognized arguments: --mesh. See"),  # list has no --set
    ],
)  # fmt: skip
def test_a_misspelt_command_is_a_user_error(argv, words, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(argv)
    assert left.value.code == 2
    assert words in capsys.readouterr().err
