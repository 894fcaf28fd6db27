"""What the documents show is run, and what they must not say is not there."""

import inspect
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dejax.round import Round
from dejax.round.received import Received, ReceivedRows

ROOT = Path(__file__).resolve().parents[2]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)


@pytest.mark.slow
def test_your_own_method_runs_as_it_stands():
    code, *_, step = blocks("docs/write-your-own-method.md")
    space = {}
    exec(compile(code, "write-your-own-method.md", "exec"), space)
    assert space["meters"].totals()["gradients"] == 80
    exec(compile(step, "write-your-own-method.md", "exec"), space)
    space["EveryOther"].step = space["step"]
    dj, jax = space["dj"], space["jax"]
    run = lambda lr: (
        dj.rollout(
            space["EveryOther"](lr=lr), space["problem"], dj.Network(dj.topology.ring(8)), jax.random.key(0), rounds=2
        )[0].params
    )
    near = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    jax.tree.map(near, run(0.5), run(np.full(8, 0.5, np.float32)))
    assert jax.tree.leaves(run(dj.Cosine(peak=0.5, length=2)))[0].shape[0] == 8
    with pytest.raises(ValueError, match=r"shape \(7,\); give one row per node: \(8"):
        run(np.full(7, 0.5, np.float32))


def test_readme_names_commands_that_exist():
    text = (ROOT / "README.md").read_text()
    assert "configs/quickstart.yaml" in text and (ROOT / "configs/quickstart.yaml").exists()
    for link in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (ROOT / link).exists(), link


def test_nothing_installs_the_foreign_package_or_names_a_machine():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in files:
        path = ROOT / name
        if (
            path.suffix not in {".md", ".py", ".ipynb", ".yaml", ".toml", ".yml"}
            or not path.exists()
            or path == Path(__file__)
        ):
            continue
        text = path.read_text()
        assert (
            not re.search(r"pip install (-\S+ )*dejax(?!-sim)\b", text) or name == "README.md" or "tests/repo" in name
        ), name
        assert not re.search(r"/(work|root)/", text) or "tests/repo" in name, name


def signatures(page):
    """{owner: {name: its arguments, or None where it is a property}} of first cells such as `round.loss(params, batch)`."""
    found = {}
    for cell in re.findall(r"^\| `(.+?)` \|", (ROOT / page).read_text(), flags=re.MULTILINE):
        owner, name, arguments = re.fullmatch(r"(\w+)\.(\w+)(?:\((.*)\))?", cell).groups()
        assert name not in found.setdefault(owner, {}), f"{cell} stands twice"
        found[owner][name] = arguments
    return found


def test_every_name_of_a_round_stands_in_the_page_with_its_arguments():
    written = signatures("docs/rounds.md")
    for owner, cls in {"round": Round, "got": Received, "rows": ReceivedRows}.items():
        public = [name for name in dir(cls) if not name.startswith("_")]
        assert sorted(written[owner]) == public
        for name in public:
            member, said = getattr(cls, name), written[owner][name]
            if not callable(member):
                assert said is None, f"{name} is a property"
                continue
            space = {}
            exec(f"def stated(self, {said}): ...", space)
            bare = lambda fn: [(p.name, p.kind, p.default) for p in inspect.signature(fn).parameters.values()]
            assert bare(space["stated"]) == bare(member), name
