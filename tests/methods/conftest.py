"""The quick suite holds the references of a few methods; those of the others run in CI."""

import pathlib

import pytest

QUICK = {
    "test_dsgd",
    "test_gradient_tracking",
    "test_fedavg",
    "test_choco",
    "test_sgp",
    "test_d2",
    "test_ditto",
    "test_ad_psgd",
    "test_fedprox",
}
HERE = pathlib.Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Mark as slow what is not in the quick suite."""
    for item in items:
        if HERE in item.path.parents and item.path.parent != HERE and item.path.stem not in QUICK:
            item.add_marker(pytest.mark.slow)
