"""Readers of images: CIFAR, IDX, SVHN, folders; what is damaged is named."""

import os
import pickle

import numpy as np
import pytest
from files import cifar10_python, python2_array, python2_pickle, write_idx

from dejax import data
from dejax.data.sources.pickles import read_pickle

RNG = np.random.default_rng(0)


def nhwc(x):
    return x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def test_cifar10_of_python_2(tmp_path, monkeypatch):
    held = cifar10_python(tmp_path / "cifar-10-batches-py")
    monkeypatch.setenv("DEJAX_DATA", str(tmp_path))
    for d in (data.cifar10(), data.cifar10(tmp_path), data.cifar10(tmp_path / "cifar-10-batches-py")):
        assert d.train["x"].shape == (30, 32, 32, 3) and d.train["x"].dtype == np.uint8 and d.num_classes == 10
        np.testing.assert_array_equal(
            d.train["x"], nhwc(np.concatenate([held[f"data_batch_{i}"][0] for i in range(1, 6)]))
        )
        np.testing.assert_array_equal(d.train["y"], np.concatenate([held[f"data_batch_{i}"][1] for i in range(1, 6)]))
        np.testing.assert_array_equal(d.test["x"], nhwc(held["test_batch"][0]))
        assert d.train["y"].dtype == np.int32


def test_binary_versions_hold_the_same(tmp_path):
    held = cifar10_python(tmp_path / "py")
    (tmp_path / "bin").mkdir()
    for name, (x, y) in held.items():
        (tmp_path / "bin" / f"{name}.bin").write_bytes(np.concatenate([y[:, None].astype(np.uint8), x], 1).tobytes())
    one, other = data.cifar10(tmp_path / "py"), data.cifar10(tmp_path / "bin")
    for part in ("train", "test"):
        for k in "xy":
            np.testing.assert_array_equal(getattr(one, part)[k], getattr(other, part)[k])


def test_cifar100(tmp_path):
    (tmp_path / "py").mkdir(), (tmp_path / "bin").mkdir()
    for name, n in (("train", 7), ("test", 3)):
        x, fine = RNG.integers(0, 256, (n, 3072), np.uint8), 10 * np.arange(n) + 33
        coarse = fine // 5
        (tmp_path / "py" / name).write_bytes(
            python2_pickle(x, fine_labels=fine.tolist(), coarse_labels=coarse.tolist())
        )
        rows = np.concatenate([coarse[:, None], fine[:, None], x], 1).astype(np.uint8)
        (tmp_path / "bin" / f"{name}.bin").write_bytes(rows.tobytes())
    for place in ("py", "bin"):
        d, c = data.cifar100(tmp_path / place), data.cifar100(tmp_path / place, coarse=True)
        assert d.train["y"].tolist() == [33, 43, 53, 63, 73, 83, 93] and d.num_classes == 100
        assert c.test["y"].tolist() == [6, 8, 10] and c.num_classes == 20
        np.testing.assert_array_equal(d.test["x"], nhwc(x))


class Evil:
    """What a malicious pickle would do when it is read."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_malicious_pickle_is_refused_and_runs_nothing(tmp_path, protocol):
    cifar10_python(tmp_path / "c")
    flag = tmp_path / "ran"
    for call in ((os.system, f"touch {flag}"), (eval, f"open({str(flag)!r}, 'w')"), (open, str(flag), "w")):
        for evil in (Evil(*call), {"data": Evil(*call), "labels": [0]}):
            (tmp_path / "c" / "data_batch_3").write_bytes(pickle.dumps(evil, protocol))
            with pytest.raises(
                ValueError, match="data_batch_3 cannot be read: it names .*only arrays and plain containers"
            ):
                data.cifar10(tmp_path / "c")
    assert not flag.exists()


@pytest.mark.parametrize(
    "raw, text",
    [
        (b"cnumpy\nload\n.", "it names numpy.load"),
        (b"cnumpy.core.multiarray\nscalar\n.", "it names numpy.core.multiarray.scalar"),
        (b"cbuiltins\ngetattr\n.", "it names builtins.getattr"),
        (b"cnumpy\nndarray\n.", "it holds type"),
        (b"cnumpy.core.multiarray\n_reconstruct\n}U\x01aNsb.", "it gives a state to a function"),
        (python2_array(np.zeros(3, np.uint8)).replace(b"u1", b"O8") + b".", "it holds an array of 'O8'"),
        (python2_array(np.zeros(3, np.uint8)).replace(b"J\x03\x00\x00\x00t", b"J\x04\x00\x00\x00t") + b".", "3 bytes for an array"),
        (python2_array(np.zeros(3, np.uint8))[:-9], "cannot be read"),
        (b"", "cannot be read"),
        (b"\x8c\x04hello", "cannot be read"),
    ],
)  # fmt: skip
def test_pickles_of_anything_else_are_refused(tmp_path, raw, text):
    (tmp_path / "p").write_bytes(raw)
    with pytest.raises(ValueError, match=text):
        read_pickle(tmp_path / "p")


def test_pickles_of_arrays_and_containers_are_read(tmp_path):
    held = {
        "a": np.arange(6, dtype=">i4").reshape(2, 3),
        b"b": [1, 2.5, None, True, (b"x", "y")],
        "c": np.ones((3, 2), order="F"),
    }
    for protocol in (0, 1, 2, 3, 4, 5):
        (tmp_path / "p").write_bytes(pickle.dumps(held, protocol))
        got = read_pickle(tmp_path / "p")
        assert got[b"b"] == held[b"b"]
        for k in "ac":
            np.testing.assert_array_equal(got[k], held[k])


def test_arrays_of_protocol_5(tmp_path):
    for a in (
        np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        np.arange(12, dtype=np.uint8).reshape(3, 4)[:, ::2],
        np.zeros((2, 0)),
        np.array([True]),
    ):
        (tmp_path / "p").write_bytes(pickle.dumps([a], 5))
        np.testing.assert_array_equal(read_pickle(tmp_path / "p")[0], a)
        assert read_pickle(tmp_path / "p")[0].dtype == a.dtype
    raw = pickle.dumps(np.arange(4, dtype=np.uint8), 5)
    assert raw.count(b"K\x04") == 1
    (tmp_path / "p").write_bytes(raw.replace(b"K\x04", b"K\x05"))  # a longer shape than there are bytes
    with pytest.raises(ValueError, match="it holds 4 bytes for an array"):
        read_pickle(tmp_path / "p")


def test_lists_that_hold_one_list_twice_are_gone_through_once(tmp_path):
    held = []
    for _ in range(60):
        held = [held, held]
    (tmp_path / "p").write_bytes(pickle.dumps(held, 2))
    got, depth = read_pickle(tmp_path / "p"), 0
    while got:
        got, depth = got[1], depth + 1
    assert depth == 60


def test_damaged_cifar_is_named(tmp_path):
    held = cifar10_python(tmp_path / "c")
    x, y = held["data_batch_2"]
    good = python2_pickle(x, labels=y.tolist())
    for broken, text in (
        (good[:-4000], "data_batch_2 cannot be read"),
        (python2_pickle(x[:, :-1], labels=y.tolist()), r"data_batch_2 holds data uint8\[6, 3071\]"),
        (python2_pickle(x, labels=y.tolist()[:-1]), "data_batch_2 holds 5 labels for 6 images"),
        (python2_pickle(x, other=y.tolist()), "data_batch_2 holds no labels for 6 images"),
        (python2_pickle(x[:4], labels=y.tolist()[:4]), "data_batch_2 holds 4 images, but the others 6"),
        (python2_array(x) + b".", "data_batch_2 holds ndarray"),
    ):
        (tmp_path / "c" / "data_batch_2").write_bytes(broken)
        with pytest.raises(ValueError, match=text):
            data.cifar10(tmp_path / "c")
    (tmp_path / "c" / "data_batch_2").write_bytes(python2_pickle(x, labels=[10] * 6))
    with pytest.raises(ValueError, match="the label 10, of 10 classes"):
        data.cifar10(tmp_path / "c")
    (tmp_path / "b").mkdir()
    for name in held:
        (tmp_path / "b" / f"{name}.bin").write_bytes(bytes(3073 * 2 - 1))
    with pytest.raises(ValueError, match=r"data_batch_1\.bin holds 6145 bytes.*cut short"):
        data.cifar10(tmp_path / "b")


@pytest.mark.parametrize(
    "reader, where",
    [
        ("cifar10", "cs.toronto.edu"), ("cifar100", "cs.toronto.edu"), ("mnist", "yann.lecun.com"), ("emnist", "nist.gov"), ("svhn", "ufldl.stanford.edu"),
        ("tiny_imagenet", "cs231n.stanford.edu"), ("femnist", "leaf"), ("shakespeare", "leaf"), ("sent140", "leaf"), ("celeba", "leaf"),
    ],
)  # fmt: skip
def test_a_missing_file_says_where_to_get_it_and_where_to_put_it(tmp_path, monkeypatch, reader, where):
    monkeypatch.delenv("DEJAX_DATA", raising=False)
    with pytest.raises(
        FileNotFoundError, match=rf"{reader}: needs .*DEJAX_DATA is not set.*{where}.*put them into \$DEJAX_DATA/"
    ):
        getattr(data, reader)()
    with pytest.raises(FileNotFoundError, match=rf"no such thing in {tmp_path}.*{where}.*{reader}\(folder=\.\.\.\)"):
        getattr(data, reader)(tmp_path)


def test_mnist_and_emnist(tmp_path):
    x, y = RNG.integers(0, 256, (8, 28, 28), np.uint8), np.arange(8, dtype=np.uint8)
    stems = {f"{p}-{k}": a for p in ("train", "t10k") for k, a in (("images-idx3-ubyte", x), ("labels-idx1-ubyte", y))}
    write_idx(tmp_path / "mnist", stems, zipped=False)
    d = data.mnist(tmp_path)
    np.testing.assert_array_equal(d.train["x"], x)
    assert d.num_classes == 8 and d.name == "mnist"
    stems = {
        f"emnist-letters-{p}-{k}": a
        for p in ("train", "test")
        for k, a in (("images-idx3-ubyte", x), ("labels-idx1-ubyte", y + 1))
    }
    write_idx(tmp_path / "emnist", stems)
    d = data.emnist(tmp_path, split="letters")
    np.testing.assert_array_equal(d.test["x"], x.transpose(0, 2, 1))
    assert d.train["y"].tolist() == list(range(8)) and d.num_classes == 26
    write_idx(tmp_path / "emnist", {"emnist-letters-test-labels-idx1-ubyte": y})
    with pytest.raises(ValueError, match="holds labels from 0 to 7, but those of emnist are 1 to 26"):
        data.emnist(tmp_path, split="letters")
    with pytest.raises(ValueError, match="split is 'other'; give 'balanced'"):
        data.emnist(tmp_path, split="other")


def test_svhn(tmp_path):
    from scipy.io import savemat

    x, y = RNG.integers(0, 256, (32, 32, 3, 5), np.uint8), np.array([[1], [10], [9], [10], [3]], np.uint8)
    for name in ("train", "test", "extra"):
        savemat(tmp_path / f"{name}_32x32.mat", {"X": x, "y": y})
    d = data.svhn(tmp_path, extra=True)
    assert d.train["y"].tolist() == [1, 0, 9, 0, 3] * 2 and d.num_classes == 10
    np.testing.assert_array_equal(d.test["x"][3], x[..., 3])
    whole = (tmp_path / "test_32x32.mat").read_bytes()
    (tmp_path / "test_32x32.mat").write_bytes(whole[:-2000])
    with pytest.raises(ValueError, match=r"test_32x32\.mat cannot be read as a MATLAB file"):
        data.svhn(tmp_path)
    savemat(tmp_path / "test_32x32.mat", {"X": x, "y": y[:4]})
    with pytest.raises(ValueError, match="holds 4 labels for 5 images"):
        data.svhn(tmp_path)
    savemat(tmp_path / "test_32x32.mat", {"X": x.astype(float), "y": y})
    with pytest.raises(ValueError, match=r"holds X float64\[32, 32, 3, 5\], y uint8\[5, 1\], and not X uint8"):
        data.svhn(tmp_path)


def picture(file, a):
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(a).save(file)


def test_folders_of_classes(tmp_path):
    pytest.importorskip("PIL")
    made = {}
    for part, c, i in (("train", "cat", 0), ("train", "cat", 1), ("train", "ape", 0), ("test", "cat", 0)):
        made[part, c, i] = RNG.integers(0, 256, (6, 5, 3), np.uint8)
        picture(tmp_path / "d" / part / c / f"{i}.png", made[part, c, i])
    d = data.from_folder(tmp_path / "d")
    np.testing.assert_array_equal(
        d.train["x"], [made["train", "ape", 0], made["train", "cat", 0], made["train", "cat", 1]]
    )
    assert d.train["y"].tolist() == [0, 1, 1] and d.test["y"].tolist() == [1] and d.num_classes == 2
    flat = data.from_folder(tmp_path / "d" / "train", size=(4, 3), gray=True)
    assert flat.train["x"].shape == (3, 4, 3) and flat.test is None
    picture(tmp_path / "d" / "test" / "cat" / "1.png", np.zeros((6, 6, 3), np.uint8))
    with pytest.raises(ValueError, match=r"1\.png has \[6, 6\] pixels.*size="):
        data.from_folder(tmp_path / "d")
    file = tmp_path / "d" / "train" / "cat" / "0.png"
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"cat.0\.png cannot be read as an image"):
        data.from_folder(tmp_path / "d", size=(4, 4))
    (tmp_path / "d" / "test" / "dog").mkdir()
    with pytest.raises(ValueError, match="the class 'dog', which the training part lacks"):
        data.from_folder(tmp_path / "d")
    with pytest.raises(FileNotFoundError, match="from_folder: there is no folder"):
        data.from_folder(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no folder with images"):
        data.from_folder(tmp_path / "empty")


def test_tiny_imagenet(tmp_path):
    pytest.importorskip("PIL")
    root = tmp_path / "tiny-imagenet-200"
    for c in ("n02", "n01"):
        picture(root / "train" / c / "images" / f"{c}_0.JPEG", np.full((64, 64, 3), 90, np.uint8))
    picture(root / "train" / "n01" / "images" / "n01_1.JPEG", np.full((64, 64), 200, np.uint8))  # some are gray
    (root / "wnids.txt").write_text("n02\nn01\n")
    picture(root / "val" / "images" / "val_0.JPEG", np.zeros((64, 64, 3), np.uint8))
    (root / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn01\t0\t0\t62\t62\n")
    d = data.tiny_imagenet(tmp_path)
    assert d.train["y"].tolist() == [0, 1, 1] and d.test["y"].tolist() == [1] and d.train["x"].shape == (3, 64, 64, 3)
    assert abs(int(d.train["x"][2, 0, 0, 0]) - 200) <= 2
    (root / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn07\t0\n")
    with pytest.raises(ValueError, match=r"val_annotations\.txt says .*line 1"):
        data.tiny_imagenet(tmp_path)
