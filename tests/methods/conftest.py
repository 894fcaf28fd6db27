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
BY_DAY = QUICK | {  # what stands for its like in CI; the others run at night
    "test_local_sgd", "test_dfedavgm", "test_relaysgd", "test_scaffold", "test_ifca", "test_baselines", "test_feddyn", "test_fedadam", "test_extra",
    "test_nids", "test_qg_dsgdm", "test_kgt", "test_apfl", "test_pens", "test_fedmd", "test_k_core", "test_quadratic_energy", "test_gossip_pga", "test_dproxsgt", "test_ma_dsbo",
}  # fmt: skip
HERE = pathlib.Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Mark as slow what is not in the quick suite."""
    for item in items:
        if HERE in item.path.parents and item.path.parent != HERE and item.path.stem not in QUICK:
            item.add_marker(pytest.mark.slow if item.path.stem in BY_DAY else pytest.mark.nightly)
