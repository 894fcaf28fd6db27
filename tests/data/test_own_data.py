"""Data of one's own: arrays, clients, npz and IDX files, NodeData's views, and what is refused."""

import gzip
import struct

import jax
import numpy as np
import pytest

from dejax import data

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((60, 3)), np.arange(60) % 4


def test_from_arrays_dtypes_and_classes():
    d = data.from_arrays(X, Y, (X[:8], Y[:8]), name="mine")
    assert (d.train["x"].dtype, d.train["y"].dtype, d.num_classes, d.size) == (np.float64, np.int32, 4, 60)
    nd = d.partition(data.iid(), nodes=4, seed=1)
    assert nd.n == 4 and nd.even and nd.test["x"].shape == (8, 3)
    assert (nd.index.dtype, nd.count.dtype) == (np.int32, np.int32)
    reg = data.from_arrays(X, X @ np.ones(3))
    assert reg.num_classes == 0 and reg.train["y"].dtype == np.float64
    assert data.from_arrays(np.zeros((4, 7), np.int64), np.arange(4)).train["x"].dtype == np.int32  # tokens


def test_node_data_is_a_pytree_with_static_structure():
    d = data.from_arrays(X, Y)
    a, b = (d.partition(data.dirichlet(alpha=1.0), nodes=4, seed=s) for s in (0, 1))
    assert jax.tree.structure(a) == jax.tree.structure(b)  # another seed compiles nothing
    assert jax.jit(lambda nd: nd.n + nd.count.sum())(a) == 64


def test_views_and_summary():
    nd = data.from_arrays(X, Y).partition(data.dirichlet(alpha=0.5), nodes=7, seed=2)
    h = nd.label_histogram()
    assert h.shape == (7, 4) and h.sum() == 60 and h.dtype == np.int64
    for i in range(7):
        np.testing.assert_array_equal(np.bincount(nd.node(i)["y"], minlength=4), h[i])
        np.testing.assert_array_equal(nd.node(i)["x"], X[nd.rows(i)])
    text = str(nd)
    assert "7 nodes, 60 training samples, 4 classes" in text and "samples per node: 8 to 9" in text and "drift" in text
    assert repr(nd).startswith("NodeData('data', nodes=7")
    with pytest.raises(IndexError):
        nd.rows(7)
    with pytest.raises(ValueError, match="no labels to count"):
        data.from_arrays(X, X[:, 0]).partition(data.iid(), nodes=2).label_histogram()


def test_padding_is_the_first_own_row():
    nd = data.from_arrays(X, Y).partition(data.quantity(sigma=1.0), nodes=9)
    index, count = np.asarray(nd.index), np.asarray(nd.count)
    for i in range(9):
        assert (index[i, count[i] :] == index[i, 0]).all()
    assert not nd.even


def test_from_clients():
    clients = [(X[:5], Y[:5]), (X[5:6], Y[5:6]), (X[6:20], Y[6:20])]
    tests = [(X[20:22], Y[20:22]), (X[22:25], Y[22:25]), (X[25:26], Y[25:26])]
    nd = data.from_clients(clients, tests, (X[30:40], Y[30:40]))
    assert nd.count.tolist() == [5, 1, 14] and nd.test_count.tolist() == [2, 3, 1]
    for i, (x, _) in enumerate(clients):
        np.testing.assert_array_equal(nd.node(i)["x"], x)
        own = np.asarray(nd.test_index[i])[: int(nd.test_count[i])]
        np.testing.assert_array_equal(np.asarray(nd.test["x"])[own], tests[i][0])
    assert nd.test["x"].shape == (16, 3)
    assert data.from_clients(clients).test is None
    chosen = data.from_clients(clients, validations=tests, validation=(X[30:40], Y[30:40]))
    assert chosen.validation["x"].shape == (16, 3) and chosen.validation_count.tolist() == [2, 3, 1]
    own = np.asarray(chosen.validation_index[1])[:3]
    np.testing.assert_array_equal(np.asarray(chosen.validation["x"])[own], tests[1][0])
    assert data.from_clients(clients, validation=(X[30:40], Y[30:40])).validation_index is None
    assert data.from_clients(clients, tests).test["x"].shape == (6, 3)


def test_clients_of_images_stay_bytes():
    images = RNG.integers(0, 256, (5, 4, 4), np.uint8)
    nd = data.from_clients([(images[:2], Y[:2]), (images[2:], Y[2:5])], [(images[:1], Y[:1])] * 2, pixels=True)
    assert nd.arrays["x"].dtype == np.uint8 and nd.test["x"].dtype == np.uint8
    np.testing.assert_allclose(nd.seen(nd.node(1))["x"], images[2:] / 255, atol=1e-6)
    scaled = data.from_clients([(images[:2], Y[:2]), (images[2:], Y[2:5])], pixels=True, normalize=True)
    np.testing.assert_allclose(scaled.pixels.mean, (images / 255).mean(), atol=1e-6)


def test_numbers_that_float32_cannot_hold_are_refused():
    with jax.enable_x64(False):
        with pytest.raises(ValueError, match=r"x is 1e\+39 in row 1, which float32 cannot hold; scale"):
            data.from_arrays(np.array([[0.0], [1e39]]), Y[:2])
        with pytest.raises(ValueError, match=r"x\.a is -1e\+39 in row 0"):
            data.from_arrays({"a": np.array([-1e39, 0])}, Y[:2])
        with pytest.raises(ValueError, match=r"client 0: y is 1e\+39 in row 0"):
            data.from_clients([(X[:2], np.array([1e39, 0.5]))])
    with jax.enable_x64(True):
        assert data.from_arrays(np.array([[1e39]]), Y[:1]).train["x"][0, 0] == 1e39


def test_holdout_is_disjoint_and_own():
    d = data.from_arrays(X, Y, (X[:8], Y[:8]))
    nd = d.partition(data.dirichlet(alpha=0.5), nodes=6, holdout=0.3)
    own = [np.asarray(nd.test_index[i])[: int(nd.test_count[i])] for i in range(6)]
    assert [len(o) for o in own] == [3] * 6 and nd.count.tolist() == [7] * 6
    assert nd.test["x"].shape == (26, 3)
    tests = np.asarray(nd.test["x"])
    seen = np.concatenate([tests[o] for o in own] + [nd.node(i)["x"] for i in range(6)])
    np.testing.assert_array_equal(np.sort(seen[:, 0]), np.sort(X[:, 0]))
    same = d.partition(data.dirichlet(alpha=0.5), nodes=6)
    assert nd.size == 42  # rows that are tested on are not kept twice
    for i in range(6):
        assert set(nd.node(i)["x"][:, 0]) < set(same.node(i)["x"][:, 0])
    with pytest.raises(ValueError, match="has one sample"):
        d.partition(data.iid(), nodes=60, holdout=0.5)
    with pytest.raises(ValueError, match="nodes share samples"):
        d.partition(data.overlapping(samples=30), nodes=6, holdout=0.5)


def test_rotation_turns_images_exactly():
    d = data.digits()
    nd = d.partition(data.rotation(turns=4, test_rows=50), nodes=12, seed=3)
    turn = np.asarray(nd.facts["turn"])
    assert np.bincount(turn).tolist() == [3, 3, 3, 3]
    for i in range(12):
        back = np.rot90(nd.node(i)["x"], -turn[i], axes=(1, 2))
        np.testing.assert_array_equal(back, d.train["x"][nd.rows(i)])
    assert nd.test["x"].shape == (4 * 359, 8, 8) and nd.test_index.shape == (12, 50)
    for i in range(12):
        rows = np.asarray(nd.test_index[i])
        assert (rows // 359 == turn[i]).all()
        np.testing.assert_array_equal(
            np.rot90(np.asarray(nd.test["x"])[rows], -turn[i], axes=(1, 2)), d.test["x"][rows % 359]
        )
    assert np.asarray(nd.test["y"]).tolist() == np.tile(d.test["y"], 4).tolist()


def test_groups_bring_their_own_tests():
    groups, test_groups = np.repeat([3, 5, 9], 20), np.array([9, 3, 5, 5, 9, 7])
    d = data.from_arrays(X, Y, (X[:6], Y[:6]), groups=groups, test_groups=test_groups)
    nd = d.partition(data.by_group(), nodes=3)
    assert nd.facts["group"].tolist() == [3, 5, 9] and nd.test_count.tolist() == [1, 2, 2]
    assert [sorted(np.asarray(nd.test_index[i])[: nd.test_count[i]].tolist()) for i in range(3)] == [
        [1],
        [2, 3],
        [0, 4],
    ]
    lonely = data.from_arrays(X, Y, (X[:2], Y[:2]), groups=groups, test_groups=np.array([3, 5]))
    with pytest.raises(ValueError, match="test_groups gives node 2 no test sample of its own groups"):
        lonely.partition(data.by_group(), nodes=3)


def test_matched_test_follows_the_label_mix():
    nd = data.letters().partition(data.dirichlet(alpha=0.3), nodes=50).matched_test(rows=64)
    labels = np.asarray(nd.test["y"])[np.asarray(nd.test_index)]
    h = nd.label_histogram()
    got = np.stack([np.bincount(row, minlength=26) for row in labels])
    assert np.abs(got - 64 * h / h.sum(1, keepdims=True)).max() < 1
    assert all(len(set(row.tolist())) == 64 for row in np.asarray(nd.test_index))  # 150 test rows a letter: no repeats
    assert nd.test_count.tolist() == [64] * 50
    with pytest.raises(ValueError, match="own test rows"):
        nd.matched_test()
    with pytest.raises(ValueError, match="no test part"):
        data.from_arrays(X, Y).partition(data.iid(), nodes=2).matched_test()
    with pytest.raises(ValueError, match="no sample of class 3"):
        data.from_arrays(X, Y, (X[:3], Y[:3])).partition(data.iid(), nodes=2).matched_test()


@pytest.mark.slow
def test_plot_shows_the_histogram():
    figure = data.digits().partition(data.shards(), nodes=12).plot(nodes=5)
    assert figure.axes[0].images[0].get_array().shape == (10, 5)


def test_npz_round_trip(tmp_path):
    np.savez(tmp_path / "mine.npz", x=X, y=Y, x_test=X[:5], y_test=Y[:5], groups=Y)
    d = data.from_npz(tmp_path / "mine.npz")
    assert d.name == "mine" and d.test["x"].shape == (5, 3) and d.groups is not None
    np.savez(tmp_path / "bad.npz", x=np.array([{"a": 1}], object), y=np.zeros(1))
    with pytest.raises(ValueError, match="cannot be read"):
        data.from_npz(tmp_path / "bad.npz")
    np.savez(tmp_path / "odd.npz", x=X, labels=Y)
    with pytest.raises(ValueError, match="needs x and y"):
        data.from_npz(tmp_path / "odd.npz")
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "one.npy", X)
    whole = (tmp_path / "mine.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("text.npz", "one.npy", "cut.npz"):
        with pytest.raises(ValueError, match="cannot be read"):
            data.from_npz(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"np\.savez"):
        data.from_npz(tmp_path / "none.npz")


def idx_bytes(a):
    return bytes([0, 0, 8, a.ndim]) + struct.pack(f">{a.ndim}i", *a.shape) + a.tobytes()


def write_idx(folder, zipped=True):
    folder.mkdir(parents=True)
    arrays = {}
    for part, n in (("train", 12), ("t10k", 5)):
        x = RNG.integers(0, 256, (n, 4, 4), np.uint8)
        y = (np.arange(n) % 3).astype(np.uint8)
        arrays[part] = (x, y)
        for a, stem in ((x, f"{part}-images-idx3-ubyte"), (y, f"{part}-labels-idx1-ubyte")):
            raw = idx_bytes(a)
            (folder / (stem + ".gz" * zipped)).write_bytes(gzip.compress(raw) if zipped else raw)
    return arrays


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_files(tmp_path, monkeypatch, zipped):
    arrays = write_idx(tmp_path / "fashion-mnist", zipped)
    for d in (data.fashion_mnist(tmp_path / "fashion-mnist"), data.from_idx(tmp_path / "fashion-mnist")):
        np.testing.assert_array_equal(d.train["x"], arrays["train"][0])
        np.testing.assert_array_equal(d.test["y"], arrays["t10k"][1])
        assert d.num_classes == 3 and d.train["x"].dtype == np.uint8 and d.train["y"].dtype == np.int32
    for place in (tmp_path, tmp_path / "fashion-mnist"):
        monkeypatch.setenv("DEJAX_DATA", str(place))
        assert data.fashion_mnist().name == "fashion_mnist"


def test_missing_fashion_mnist_says_how_to_get_it(tmp_path, monkeypatch):
    from dejax.data.sources import _idx

    monkeypatch.setenv("DEJAX_DATA", str(tmp_path))
    monkeypatch.setattr(_idx, "_find", lambda folder, stem: None)
    with pytest.raises(FileNotFoundError, match=r"apt-get download dataset-fashion-mnist && dpkg -x"):
        data.fashion_mnist()
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        data.fashion_mnist(tmp_path)


def test_damaged_idx_files_are_seen(tmp_path):
    write_idx(tmp_path / "d")
    file = tmp_path / "d" / "train-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    raw = gzip.decompress(whole)
    for broken, text in (
        (whole[:-9], "damaged"),
        (gzip.compress(raw[:-1]), "cut short or damaged"),
        (b"hello there", "begins with"),
        (b"", "begins with"),
    ):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match=text):
            data.from_idx(tmp_path / "d")


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: data.from_arrays(X, Y[:-1]), ValueError, "one label or target per row"),
        (lambda: data.from_arrays(X[:0], Y[:0]), ValueError, "x is empty"),
        (lambda: data.from_arrays((X * 10).astype(np.uint8), Y), TypeError, "pixels or symbols"),
        (lambda: data.from_arrays(np.where(X[7, 1] == X, np.nan, X), Y), ValueError, "not finite in row 7"),
        (lambda: data.from_arrays(X, Y - 1), ValueError, "goes down to -1"),
        (
            lambda: data.from_arrays(np.full((2, 1), 2**40), Y[:2]),
            ValueError,
            "x is 1099511627776 in row 0, which int32",
        ),
        (
            lambda: data.from_arrays(X, Y, validation=(X, Y), validation_groups=Y[:3]),
            ValueError,
            "validation_groups is",
        ),
        (lambda: data.from_clients([(X, Y)], test=(X, X[:, 0])), ValueError, "test x is .* with y float"),
        (lambda: data.from_clients([(X, Y)], [(X, X[:, 0])]), ValueError, "tests x is .* with y float"),
        (lambda: data.from_clients([(X, Y)], normalize=True), ValueError, "normalize is True, but x is no pixels"),
        (lambda: data.from_clients([(X, Y)], pixels=True), ValueError, r"client 0: x is float64.*but pixels is True"),
        (lambda: data.from_arrays(X, Y, num_classes=3), ValueError, "num_classes >= 4"),
        (lambda: data.from_arrays(X, X[:, 0], num_classes=3), ValueError, "y is floating"),
        (lambda: data.from_arrays(X, Y, (X[:, :2], Y)), ValueError, "same shapes"),
        (lambda: data.from_arrays(X, Y, X), TypeError, r"pair \(x, y\)"),
        (lambda: data.from_arrays(X, Y, groups=Y[:3]), ValueError, "groups is"),
        (lambda: data.from_arrays(X.astype(str), Y), TypeError, "give numbers"),
        (lambda: data.from_clients([]), ValueError, "clients is empty"),
        (lambda: data.from_clients([(X, Y), (X[:, :2], Y)]), ValueError, "x of client 1"),
        (lambda: data.from_clients([(X, Y), (X[:0], Y[:0])]), ValueError, "client 1: x is empty"),
        (lambda: data.from_clients([(X, Y)], [(X, Y)] * 2), ValueError, "2 pairs for 1 clients"),
    ],
)
def test_bad_arrays_are_named(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_labels_of_a_sequence_are_next_symbols():
    symbols = np.arange(12, dtype=np.int32).reshape(4, 3) % 5
    d = data.from_arrays(symbols, (symbols + 1) % 5)
    nodes = d.partition(data.iid(), nodes=2)
    assert d.num_classes == 5 and nodes.arrays["y"].shape == (4, 3) and not nodes.labelled
    with pytest.raises(ValueError, match=r"splits by class, but labels are int32\[4, 3\]"):
        d.partition(data.dirichlet(alpha=1.0), nodes=2)
    for y in (symbols[:, :1], symbols[:, :, None]):
        with pytest.raises(ValueError, match=r"y is whole numbers .*\[N, T\]"):
            data.from_arrays(symbols, y)
