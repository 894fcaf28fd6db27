"""The embedded data are what their sources published."""

import hashlib

import numpy as np
import pytest

from dejax import data
from dejax.data.sources import _embedded


def test_letters_counts_and_split():
    d = data.letters()
    assert d.train["x"].shape == (16000, 16) and d.test["x"].shape == (4000, 16)
    assert d.train["x"].dtype == np.float32 and d.train["y"].dtype == np.int32
    counts = np.bincount(np.concatenate([d.train["y"], d.test["y"]]))
    assert counts.min() == 734 and counts.max() == 813 and counts[20] == 813 and counts[7] == counts[25] == 734
    np.testing.assert_allclose(d.train["x"].mean(0, dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(d.train["x"].std(0, dtype=np.float64), 1, atol=1e-6)
    assert d.train["y"][0] == ord("T") - ord("A")  # first row as published: T 2 8 3 5


def test_letters_raw_values():
    x, _ = _embedded._load("letters")
    assert x.dtype == np.uint8 and list(x[0, :4]) == [2, 8, 3, 5] and x.max() == 15
    assert abs(x.mean() - 5.925465625) < 1e-9


def test_digits_counts_and_split():
    d = data.digits()
    assert d.train["x"].shape == (1438, 8, 8) and d.test["x"].shape == (359, 8, 8)
    both = np.bincount(np.concatenate([d.train["y"], d.test["y"]]))
    assert both.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    np.testing.assert_array_equal(np.bincount(d.test["y"]), np.round(both / 5).astype(int))
    assert d.train["x"].min() == 0 and d.train["x"].max() == 1
    total = (d.train["x"].sum(dtype=np.float64) + d.test["x"].sum(dtype=np.float64)) * 16
    assert total == round(4.884164579855314 * 1797 * 64)
    np.testing.assert_array_equal(data.digits(flat=True).train["x"], d.train["x"].reshape(-1, 64))


def test_digits_split_is_this_one_for_ever():
    y = data.digits().test["y"]
    assert hashlib.sha256(y.tobytes()).hexdigest() == "c43ab1ec766ad5362125d84e9f01ebd59f1ce9664c7e7ee7b7d6f150fd1f8151"


def test_damage_is_seen(monkeypatch):
    monkeypatch.setitem(_embedded.SHA256, "digits", "0" * 64)
    with pytest.raises(ValueError, match=r"digits\.npz is damaged"):
        data.digits()
