"""Where readers look for files: home directories, folders below, and what they say of a missing one."""

import numpy as np
import pytest
from files import leaf, write_idx

from dejax import data

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (4, 28, 28), np.uint8), np.arange(4, dtype=np.uint8)
STEMS = {f"{p}-{k}": a for p in ("train", "t10k") for k, a in (("images-idx3-ubyte", X), ("labels-idx1-ubyte", Y))}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home directory of its own, and no DEJAX_DATA."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv("DEJAX_DATA", raising=False)
    return tmp_path


def test_every_reader_knows_the_home_directory(home, monkeypatch):
    for name in ("fashion-mnist", "mnist"):
        write_idx(home / name, STEMS, zipped=False)
    (home / "a.csv").write_text("a,y\n1,0\n2,1\n")
    np.savez(home / "a.npz", x=np.zeros((2, 2)), y=np.array([0, 1]))
    for made in (
        data.fashion_mnist("~/fashion-mnist"),
        data.mnist("~/mnist"),
        data.from_idx("~/mnist"),
        data.mnist("~"),
    ):
        np.testing.assert_array_equal(made.train["x"], X)
    assert data.from_csv("~/a.csv", test="~/a.csv").test["x"].tolist() == [[1], [2]]
    assert data.from_npz("~/a.npz").size == 2
    monkeypatch.setenv("DEJAX_DATA", "~")
    for reader in (data.fashion_mnist, data.mnist):
        assert reader().size == 4


def test_faces_in_the_home_directory(home):
    image = pytest.importorskip("PIL.Image")
    leaf(home / "celeba", {"7": (["1.jpg"], [1])}, {"7": (["1.jpg"], [1])})
    (home / "faces").mkdir()
    image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(home / "faces" / "1.jpg")
    assert data.celeba("~/celeba", images="~/faces", size=(4, 4)).train["x"].shape == (1, 4, 4, 3)


@pytest.mark.parametrize("inside", ["fashion-mnist", "FashionMNIST/raw", "FashionMNIST", "."])
def test_fashion_mnist_lies_where_others_put_it(home, monkeypatch, inside):
    write_idx(home / inside, STEMS)
    assert data.fashion_mnist(home).size == 4
    monkeypatch.setenv("DEJAX_DATA", str(home))
    assert data.fashion_mnist().size == 4


def test_a_data_set_comes_before_one_that_lies_loose_in_the_root(home, monkeypatch):
    write_idx(home, {k: a[:3] for k, a in STEMS.items()})
    write_idx(home / "fashion-mnist", STEMS)
    monkeypatch.setenv("DEJAX_DATA", str(home))
    assert data.fashion_mnist().size == 4 and data.fashion_mnist(home).size == 3  # the folder that was named


@pytest.mark.parametrize(
    "reader, where",
    [("mnist", "yann.lecun.com"), ("fashion_mnist", "zalandoresearch.*dpkg -x"), ("emnist", "nist.gov")],
)
def test_a_file_that_is_missing_says_where_to_get_it(home, reader, where):
    stems = {
        k if reader != "emnist" else f"emnist-balanced-{k.replace('t10k', 'test')}": a
        for k, a in STEMS.items()
        if k != "t10k-images-idx3-ubyte"
    }
    write_idx(home / "d", stems)
    with pytest.raises(FileNotFoundError, match=rf"there is no .*images-idx3-ubyte.* in .*d; get it from .*{where}"):
        getattr(data, reader)(home / "d")
