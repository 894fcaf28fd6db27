"""Published tables: quick ones are still as their pages say, and the problems of RelaySGD are the published ones."""

import json
import re
import sys

import numpy as np
import pytest
import repository

sys.path.insert(0, str(repository.ROOT / "scripts"))
from experiments import _page as pages
from experiments._published import Entry, claim, table
from experiments._relay import Draws, looked_at, quadratics

RESULTS = repository.ROOT / "docs" / "results"
QUICK = ["base_graph", "epsilon_opacus", "epsilon_tensorflow", "mixing_grid", "mixing_small"]
SLOW = ["relay_ring", "relay_sizes", "relay_star"]


def written(name):
    """Verdicts of the page."""
    return [c["held"] for c in json.loads((RESULTS / f"published_{name}.json").read_text(encoding="utf-8"))["claims"]]


def test_there_is_a_page_of_each():
    assert sorted(name for name in pages.experiments() if name.startswith("published_")) == sorted(
        f"published_{name}" for name in QUICK + SLOW
    )
    rows = re.findall(
        r"\[page\]\(results/published_(\w+)\.md\) \| (\w+)", (repository.ROOT / "docs/published.md").read_text("utf-8")
    )
    assert dict(rows) == {name: "pass" if all(written(name)) else "fail" for name in QUICK + SLOW}


@pytest.mark.parametrize("name", QUICK)
def test_quick_tables_are_still_as_published(name):
    assert [c.held for c in pages.load(f"published_{name}").run(True).claims] == written(name)


def test_verdicts():
    """Half a unit of the last printed digit, or what the table says; every number of a row counts."""
    verdicts = lambda *args: Entry(["x"], *args).verdicts
    assert verdicts("1.20", [1.2049]) == [True] and verdicts("1.20", [1.2051]) == [False]
    assert verdicts("38 37", [38, 37.4]) == [True, True] and verdicts("38 37", [38, 38]) == [True, False]
    assert verdicts("7.3291", [7.32], 0.01) == [True]
    rows = [Entry(["a"], "1.5 2.5", [1.5, 3.0]), Entry(["b"], "4", [4])]
    assert [row[-1] for row in table("t", ["what"], rows).rows] == ["**FAIL**", "pass"]
    made = claim("All.", "paper", rows, "unknown")
    assert not made.held and made.seen == "2 of 3 numbers pass; not all of: a" and made.why == "unknown"
    with pytest.raises(ValueError, match="zip"):
        verdicts("1 2", [1])


def test_quadratics_have_the_published_constants():
    made = quadratics(6, 0.3, 5.0, seed=2)
    gradients = np.einsum("nji,nj->ni", made.a, made.a @ made.best - made.b)
    assert np.abs(gradients.mean(0)).max() < 1e-14 and abs((gradients**2).sum(1).mean() - 0.3) < 1e-12
    np.testing.assert_allclose(np.linalg.svd(made.a)[1], np.tile(np.linspace(1, 0.5, 10), (6, 1)), rtol=1e-12)
    assert abs(np.linalg.norm(made.best) - 5) < 1e-12 and made.excess(made.best) == 0
    assert {1, 2, 99, 100, 641, 10_000} <= looked_at(10_000) and not {638, 640} & looked_at(10_000)


@pytest.mark.slow
def test_draws_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(3)
    draws = Draws(3)
    for shape in [(4, 10, 10), (6, 3), (5,), (7,), (2, 8)]:  # blocks, a rest, pairs, a pair kept
        want = torch.randn(*shape, dtype=torch.float64).numpy()
        np.testing.assert_allclose(draws.normal(*shape), want, rtol=0, atol=1e-14)
