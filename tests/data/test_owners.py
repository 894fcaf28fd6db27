"""Readers of data with natural owners, of tables, and of what the user holds already."""

import json
import sys
import tracemalloc

import numpy as np
import pytest
from files import Table, leaf

from dejax import data

RNG = np.random.default_rng(1)
TEXT = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak."


def pixels(n):
    return (RNG.integers(0, 256, (n, 784)) / 255).tolist()


def test_femnist_by_writer(tmp_path, monkeypatch):
    train = {"f0_b": (pixels(3), [61, 0, 7]), "f0_a": (pixels(2), [1, 2]), "f0_c": (pixels(1), [3])}
    test = {user: (pixels(1), [5]) for user in train}
    leaf(tmp_path / "femnist", train, test)
    monkeypatch.setenv("DEJAX_DATA", str(tmp_path))
    for d in (data.femnist(), data.femnist(tmp_path / "femnist"), data.femnist(tmp_path / "femnist" / "data")):
        assert d.train["x"].dtype == np.uint8 and d.train["x"].shape == (6, 28, 28) and d.num_classes == 62
        assert d.owners == ("f0_a", "f0_b", "f0_c") and d.groups.tolist() == [1, 1, 1, 0, 0, 2]
    nodes = d.partition(data.by_group(), nodes=3)
    assert nodes.count.tolist() == [2, 3, 1] and nodes.test_count.tolist() == [1, 1, 1]
    np.testing.assert_allclose(np.asarray(nodes.seen(nodes.node(2))["x"]).reshape(784), train["f0_c"][0][0], atol=1e-6)
    assert sorted(nodes.node(1)["y"].tolist()) == [0, 7, 61]


def test_femnist_that_holds_no_whole_pixels_stays_float(tmp_path):
    leaf(tmp_path, {"a": ([[0.1234] * 784], [0])}, {"b": ([[0.5] * 784], [1])})
    d = data.femnist(tmp_path)
    assert d.train["x"].dtype == np.float32 and d.pixels is None and d.test_groups is None  # split by user


def test_shakespeare_by_role(tmp_path):
    text = (TEXT * 2)[:90]
    samples = [text[i : i + 80] for i in range(5)], [text[i + 80] for i in range(5)]
    leaf(tmp_path, {"ROMEO": samples, "JULIET": samples}, {"ROMEO": samples, "JULIET": samples})
    d = data.shakespeare(tmp_path)
    letters = "\n !\"&'(),-.0123456789:;>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz}"
    assert d.train["x"].shape == (10, 80) and d.num_classes == 80 == len(letters)
    assert "".join(letters[i] for i in d.train["x"][0]) == samples[0][0] and letters[d.train["y"][0]] == samples[1][0]
    assert d.partition(data.by_group(), nodes=2).count.tolist() == [5, 5]


def test_sent140_by_account(tmp_path):
    tweet = lambda text: ["17", "Mon", "NO_QUERY", "me", text, ""]
    leaf(tmp_path, {"me": ([tweet("so sad"), tweet("né!")], [0, 4])}, {"me": ([tweet("")], ["1"])})
    d = data.sent140(tmp_path, length=5)
    assert d.train["x"].tolist() == [[v + 1 for v in b"so sa"], [*(v + 1 for v in "né!".encode()), 0]]
    assert d.train["y"].tolist() == [0, 1] and d.test["x"].tolist() == [[0] * 5] and d.test["y"].tolist() == [1]


def test_celeba_by_person(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    leaf(tmp_path, {"7": (["000001.jpg", "000002.jpg"], [1, 0])}, {"7": (["000002.jpg"], ["0"])})
    with pytest.raises(FileNotFoundError, match="there is no folder .*img_align_celeba.*celeba\\(images="):
        data.celeba(tmp_path)
    faces = tmp_path / "data" / "raw" / "img_align_celeba"
    faces.mkdir(parents=True)
    for i in (1, 2):
        Image.fromarray(np.full((218, 178, 3), 60 * i, np.uint8)).save(faces / f"00000{i}.jpg")
    d = data.celeba(tmp_path, size=(10, 8))
    assert d.train["x"].shape == (2, 10, 8, 3) and d.train["y"].tolist() == [1, 0] and d.pixels is not None
    assert abs(d.test["x"].astype(int) - 120).max() <= 2
    leaf(tmp_path / "bad", {"7": (["../../secret.jpg"], [1])}, {})
    with pytest.raises(ValueError, match="user '7'.*name of an image file"):
        data.celeba(tmp_path / "bad", images=faces)


@pytest.mark.parametrize(
    "edit, text",
    [
        (lambda t: t[:-30], r"all_data.*json is no JSON .*cut short"),
        (lambda t: "[1, 2]", "lacks users and user_data"),
        (
            lambda t: t.replace('"num_samples": [2]', '"num_samples": [3]'),
            "holds 2 samples of user 'a', but num_samples says 3",
        ),
        (lambda t: t.replace('"users": ["a"]', '"users": ["a", "b"]'), "names 2 users, but num_samples holds 1"),
        (
            lambda t: t.replace('"users": ["a"]', '"users": []').replace("[2]", "[]"),
            "holds samples of user 'a', whom users does not name",
        ),
        (
            lambda t: t.replace('"users": ["a"]', '"users": ["a", "a"]').replace("[2]", "[2, 2]"),
            "no x and y of equal length for user 'a'",
        ),
        (lambda t: t.replace('"y": [1, 2]', '"y": [1, Infinity]'), "user 'a'.*the label inf is no class from 0 to 61"),
        (lambda t: t.replace('"y": [1, 2]', '"y": [1, NaN]'), "user 'a'.*the label nan is no class"),
        (lambda t: t.replace('"y": [1, 2]', '"y": [1, 2.5]'), "user 'a'.*the label 2.5 is no class"),
        (lambda t: t.replace('"y": [1, 2]', '"y": [1]'), "no x and y of equal length for user 'a'"),
        (lambda t: t.replace('"y": [1, 2]', '"y": [1, 62]'), "user 'a'.*the label 62 is no class from 0 to 61"),
        (lambda t: t.replace("[[0.0, ", "[[1.5, "), r"user 'a'.*784 numbers in \[0, 1\]"),
        (lambda t: t.replace("[[0.0, ", "[["), r"user 'a'.*784 numbers in \[0, 1\]"),
    ],
)
def test_damaged_leaf_is_named(tmp_path, edit, text):
    leaf(tmp_path, {"a": ([[0.0] * 784, [0.0] * 784], [1, 2])}, {"a": ([[0.0] * 784], [1])})
    file = next((tmp_path / "data" / "train").glob("*.json"))
    before = file.read_text()
    assert edit(before) != before
    file.write_text(edit(before))
    with pytest.raises(ValueError, match=text):
        data.femnist(tmp_path)


def test_shakespeare_of_another_alphabet_is_refused(tmp_path):
    leaf(tmp_path, {"R": (["a" * 79 + "é"], ["a"])}, {})
    with pytest.raises(ValueError, match="the character 'é' is none of LEAF's 80"):
        data.shakespeare(tmp_path)


def test_lines_of_unequal_length_are_named(tmp_path):
    leaf(tmp_path, {"R": (["a" * 80], ["a"]), "S": (["a" * 79], ["b"])}, {})
    with pytest.raises(
        ValueError, match=r"user 'S' that is none of shakespeare: its shape is \[79\], but that of the first \[80\]"
    ):
        data.shakespeare(tmp_path)


def test_a_mood_is_a_whole_number(tmp_path):
    for label in (0.5, True, float("inf")):
        leaf(tmp_path / str(label), {"a": (["so sad"], [label])}, {})
        with pytest.raises(ValueError, match="is none of 0, 1, 4"):
            data.sent140(tmp_path / str(label))


def test_a_user_in_two_files_is_refused(tmp_path):
    leaf(tmp_path, {"a": (pixels(2), [1, 2])}, {"a": (pixels(1), [3])})  # in both parts: split by sample
    assert data.femnist(tmp_path).size == 2
    file = next((tmp_path / "data" / "train").glob("*.json"))
    (file.parent / "copy.json").write_text(file.read_text())
    with pytest.raises(ValueError, match=r"copy\.json holds samples of user 'a', and so does all_data"):
        data.femnist(tmp_path)


def test_users_with_and_without_whole_pixels_are_floats_together(tmp_path):
    whole = pixels(1)
    leaf(tmp_path, {"a": (whole, [0]), "b": ([[0.1234] * 784], [1])}, {"a": (whole, [0])})
    d = data.femnist(tmp_path)
    assert d.pixels is None and d.train["x"].dtype == np.float32
    np.testing.assert_allclose(d.train["x"][0].reshape(784), whole[0], atol=1e-6)
    np.testing.assert_allclose(d.train["x"][1], 0.1234, atol=1e-6)


def test_a_reader_of_leaf_holds_one_file_at_a_time(tmp_path):
    place = tmp_path / "data" / "train"
    place.mkdir(parents=True)
    for i in range(8):
        held = {"users": [f"u{i}"], "num_samples": [40], "user_data": {f"u{i}": {"x": pixels(40), "y": [1] * 40}}}
        (place / f"{i}.json").write_text(json.dumps(held))
    tracemalloc.start()
    size = data.femnist(tmp_path).train["x"].nbytes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # lists take 32 bytes a pixel, text 20: of one file of eight, beside the result and its parts
    assert peak < size * (2 + (32 + 20 * 2) / 8 + 4)


# ---- text
def test_text_by_author(tmp_path):
    (tmp_path / "t" / "washington").mkdir(parents=True)
    (tmp_path / "t" / "washington" / "1790.txt").write_bytes(bytes(range(41)))
    (tmp_path / "t" / "washington" / "1791.txt").write_bytes(bytes(range(100, 125)))
    (tmp_path / "t" / "adams.txt").write_bytes(b"abcdefghijklmnopqrstuvwxyz")
    d = data.from_text(tmp_path / "t", length=8, test=0.3)
    assert d.owners == ("adams", "washington") and d.num_classes == 256
    assert d.groups.tolist() == [0, 0] + [1] * 6 and d.test_groups.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(d.train["x"][2], np.arange(8))
    np.testing.assert_array_equal(d.train["y"], d.train["x"] + 1)  # these texts count
    np.testing.assert_array_equal(d.test["x"][-1], np.arange(8) + 116)  # the last window of the last file
    nodes = d.partition(data.by_group(), nodes=2)
    assert nodes.count.tolist() == [2, 6] and nodes.test_count.tolist() == [1, 2]
    assert "classes per node" not in str(nodes)
    with pytest.raises(ValueError, match="no labels to count"):
        nodes.label_histogram()
    with pytest.raises(ValueError, match="dirichlet splits by class"):
        d.partition(data.dirichlet(alpha=1.0), nodes=2)


def test_characters_are_numbered_by_what_occurs(tmp_path):
    (tmp_path / "one.txt").write_text("béa béa béa", encoding="utf-8")
    d = data.from_text(tmp_path / "one.txt", length=3, symbols="characters", test=0)
    assert d.num_classes == 4 and d.train["x"][0].tolist() == [2, 3, 1] and d.train["y"][0].tolist() == [3, 1, 0]
    assert d.test is None and d.name == "one"


def test_tokens(tmp_path):
    tokens = np.arange(50) * 7
    np.save(tmp_path / "a.npy", tokens)
    (tmp_path / "b.bin").write_bytes(tokens.astype("<u2").tobytes())
    d = data.from_tokens(tmp_path, length=16)
    np.testing.assert_array_equal(d.train["x"][:2], d.train["x"][2:])
    assert d.num_classes == 49 * 7 + 1 and d.train["y"][0, -1] == 16 * 7
    assert data.from_tokens(tmp_path, length=16, vocabulary=50257).num_classes == 50257


@pytest.mark.parametrize(
    "name, raw, text",
    [
        ("a.txt", b"short", "has 5 symbols of author 'a', but 2 windows of 8"),
        ("a.txt", b"\xff\xfe" * 40, r"a\.txt is no UTF-8"),
        ("a.bin", bytes(81), r"a\.bin holds 81 bytes.*cut short"),
        ("a.npy", b"\x93NUMPY", r"a\.npy cannot be read"),
        ("a.md", b"", "holds no "),
    ],
)
def test_bad_text_is_named(tmp_path, name, raw, text):
    (tmp_path / name).write_bytes(raw)
    read = data.from_tokens if name[-3:] in ("bin", "npy") else data.from_text
    with pytest.raises(ValueError, match=text):
        read(tmp_path, length=8, **({"symbols": "characters"} if b"\xff" in raw else {}))


def test_tokens_that_are_none(tmp_path):
    for wrong in (np.array([1.5] * 40), np.arange(40) - 3, np.zeros((4, 40), int), np.array([{}] * 40)):
        np.save(tmp_path / "a.npy", wrong)
        with pytest.raises(ValueError, match=r"a\.npy (holds .*whole numbers >= 0|cannot be read .*allow_pickle)"):
            data.from_tokens(tmp_path, length=8)
    np.save(tmp_path / "a.npy", np.arange(40))
    with pytest.raises(ValueError, match="vocabulary is 39, but a token is 39"):
        data.from_tokens(tmp_path, length=8, vocabulary=39)
    with pytest.raises(FileNotFoundError, match="from_text: there is no"):
        data.from_text(tmp_path / "none")


# ---- tables
def test_csv(tmp_path):
    (tmp_path / "t.csv").write_text('age,state,income,hours\n30,"CA, US",high,1.5\n40,NY,low,2\n\n50,"CA, US",high,3\n')
    d = data.from_csv(tmp_path / "t.csv", "income", group="state")
    assert d.train["x"].tolist() == [[30, 1.5], [40, 2], [50, 3]] and d.train["y"].tolist() == [0, 1, 0]
    assert d.num_classes == 2 and d.groups.tolist() == [0, 1, 0] and d.name == "t"
    assert d.owners == ("CA, US", "NY") and d.class_names == ("high", "low")
    assert d.partition(data.by_group(), nodes=2).count.tolist() == [2, 1]
    (tmp_path / "u.csv").write_text("hours,income,age,state\n9,low,8,NY\n7,mid,5,CA\n")
    both = data.from_csv(tmp_path / "t.csv", "income", drop=["state"], test=tmp_path / "u.csv")
    assert both.test["x"].tolist() == [[8, 9], [5, 7]] and both.test["y"].tolist() == [1, 2] and both.num_classes == 3
    regression = data.from_csv(tmp_path / "t.csv", "hours", drop=["state", "income"])
    assert regression.num_classes == 0 and regression.train["y"].tolist() == [1.5, 2, 3]
    classes = data.from_csv(tmp_path / "t.csv", "age", drop=["state", "income"], target="classes")
    assert classes.train["y"].tolist() == [0, 1, 2] and classes.class_names == ("30", "40", "50")


@pytest.mark.parametrize(
    "text, options, said",
    [
        ("a,y\n1,2\n3\n", {}, r"t\.csv has 1 cells in line 3, but 2 headings"),
        ("a,y\n1,2\nx,2\n", {}, r"t\.csv holds 'x' in column 'a', row 1, and no finite number; .*drop=\['a'\]"),
        ("a,y\n1,2\nnan,2\n", {}, "holds 'nan' in column 'a', row 1"),
        ("a,a,y\n1,2,3\n", {}, "has the heading 'a' twice"),
        ("a,y\n", {}, "holds no rows under a line of headings"),
        ("", {}, "holds no rows under a line of headings"),
        ('a,y\n1,"2\n', {}, "cannot be read as CSV"),
        ("a,y\n1,2\n", {"label": "z"}, "label is 'z', and no column of .*there are: a, y"),
        ("a,y\n1,2\n", {"group": "z"}, "group is 'z', and no column"),
        ("a,y\n1,2\n", {"drop": ["a"]}, "leaves no features"),
    ],
)
def test_bad_csv_is_named(tmp_path, text, options, said):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        data.from_csv(tmp_path / "t.csv", **options)
    with pytest.raises(FileNotFoundError, match="from_csv: there is no file .*none"):
        data.from_csv(tmp_path / "none")


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": [1.0, 2.0], "who": ["u", "v"], "y": [0, 1]}), tmp_path / "t.parquet")
    d = data.from_parquet(tmp_path / "t.parquet", group="who")
    assert d.train["x"].tolist() == [[1], [2]] and d.owners == ("u", "v") and d.num_classes == 2
    whole = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[:-10])
    with pytest.raises(ValueError, match=r"t\.parquet cannot be read as parquet"):
        data.from_parquet(tmp_path / "t.parquet")


def test_packages_that_are_missing_are_named(tmp_path, monkeypatch):
    for package in ("pyarrow", "PIL"):
        monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "t.parquet").write_bytes(b"")
    with pytest.raises(ImportError, match=r"from_parquet needs pyarrow.*dejax-sim\[parquet\]"):
        data.from_parquet(tmp_path / "t.parquet")
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "0.png").write_bytes(b"")
    with pytest.raises(ImportError, match=r"needs Pillow.*dejax-sim\[images\]"):
        data.from_folder(tmp_path)


# ---- what the user holds
def test_from_huggingface():
    images = [RNG.integers(0, 256, (4, 4, 3), np.uint8) for _ in range(6)]
    table = Table(img=images, label=[0, 1, 2, 0, 1, 2], writer=list("aabbcc"))
    d = data.from_huggingface(table, group="writer")
    np.testing.assert_array_equal(d.train["x"], images)
    assert d.pixels is not None and d.num_classes == 3 and d.groups.tolist() == list("aabbcc")
    both = data.from_huggingface({"train": table, "test": Table(img=images[:2], label=[2, 1])}, normalize=True)
    assert both.test["y"].tolist() == [2, 1] and both.pixels.mean.shape == (3,)
    table.features = {"label": type("ClassLabel", (), {"num_classes": 5})()}
    assert data.from_huggingface(table).num_classes == 5
    three = data.from_huggingface(
        {"train": table, "valid": Table(img=images[:3], label=[2, 1, 0], writer=["c", "a", "b"])}, group="writer"
    )
    assert three.validation["y"].tolist() == [2, 1, 0] and three.validation_groups.tolist() == ["c", "a", "b"]
    vectors = data.from_huggingface(Table(a=[[1.0, 2.0]] * 2, b=[0, 1]), x="a", y="b")
    assert vectors.train["x"].shape == (2, 2) and vectors.pixels is None


@pytest.mark.parametrize(
    "given, options, said",
    [
        ([1, 2], {}, "dataset is a list; give a datasets.Dataset"),
        ({"test": Table(x=[1])}, {}, "a mapping without 'train'"),
        (Table(a=[[1.0]], y=[0]), {}, "x is not given, and no column fits; there are: a, y"),
        (Table(x=[[1.0]], y=[0]), {"y": "z"}, "y is 'z', and no column fits"),
        (Table(x=[[1.0]], y=[0]), {"group": "z"}, "group is 'z', and no column"),
        (Table(x=[np.zeros((2, 2)), np.zeros((3, 2))], y=[0, 1]), {}, r"x holds shapes .*and not one; resize images"),
        (Table(x=[[1, 2, 3], [1, 2]], y=[0, 1]), {}, "x holds shapes .*and not one; cut or fill its lists"),
        (
            {"train": Table(x=[[1.0]], y=[0]), "tset": Table(x=[[1.0]], y=[0])},
            {},
            "dataset has the part 'tset', which is none of train, test",
        ),
        (
            {"train": Table(x=[[1.0]], y=[0]), "val": None, "valid": None},
            {},
            "the part 'valid', the validation part, which comes twice",
        ),
        (
            {"train": Table(x=[[1.0]], y=[0]), "test": Table(x=[[1.0]])},
            {},
            "y is 'y', and no column of the test part; there are: x",
        ),
        (
            {"train": Table(x=[[1.0]], y=[0]), "valid": Table(a=[[1.0]], y=[0])},
            {},
            "x is 'x', and no column of the validation part",
        ),
    ],
)
def test_bad_tables_are_named(given, options, said):
    with pytest.raises(ValueError, match=said):
        data.from_huggingface(given, **options)
