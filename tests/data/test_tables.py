"""Labels of tables: which are classes, which are numbers, and which are refused."""

import sys
import types

import numpy as np
import pytest

from dejax import data


def read(folder, text, test=None, **options):
    (folder / "t.csv").write_text(text)
    if test is not None:
        (folder / "u.csv").write_text(test)
        options["test"] = folder / "u.csv"
    return data.from_csv(folder / "t.csv", **options)


def rows(*labels):
    return "a,y\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels))


@pytest.mark.parametrize(
    "labels, options, y, names",
    [
        ((0, 2, 1), {}, [0, 2, 1], ()),
        ((1, -1, 1), {}, [1, 0, 1], ("-1", "1")),
        (("3.0", 1, 2), {}, [2, 0, 1], ("1", "2", "3")),
        (("no", "yes", "no"), {}, [0, 1, 0], ("no", "yes")),
        ((2001, 1998), {"target": "classes"}, [1, 0], ("1998", "2001")),
        ((10, 9, "1.5"), {"target": "classes"}, [2, 1, 0], ("1.5", "9", "10")),
        ((1, "x"), {"target": "classes"}, [0, 1], ("1", "x")),
    ],
)
def test_classes_are_numbered_by_sorted_label_and_named(tmp_path, labels, options, y, names):
    d = read(tmp_path, rows(*labels), **options)
    assert d.train["y"].tolist() == y and d.train["y"].dtype == np.int32 and d.class_names == names
    assert d.num_classes == len(set(y))
    if names:
        said = ", ".join(names)
        nodes = d.partition(data.iid(), nodes=2)
        assert f"classes: {said})" in repr(d) and f"classes 0 to {len(names) - 1}: {said}\n" in str(nodes)


def test_numbers_are_targets(tmp_path):
    for labels, options in (((2001, 1998), {"target": "numbers"}), ((0.5, 3), {}), ((0, 1), {"target": "numbers"})):
        d = read(tmp_path, rows(*labels), **options)
        assert d.num_classes == 0 and d.train["y"].tolist() == list(labels) and d.train["y"].dtype.kind == "f"


def test_classes_are_those_of_both_files(tmp_path):
    d = read(tmp_path, rows(0, 2), rows(1, 1))
    assert d.num_classes == 3 and d.train["y"].tolist() == [0, 2] and d.test["y"].tolist() == [1, 1]
    d = read(tmp_path, rows("b", "c"), rows("a"))
    assert d.train["y"].tolist() == [1, 2] and d.test["y"].tolist() == [0]


@pytest.mark.parametrize(
    "labels, options, said",
    [
        ((0, 1, "", 10), {}, r"t\.csv holds '' in column 'y', row 2, where a value is missing"),
        (("u", "?", "v"), {}, r"t\.csv holds '\?' in column 'y', row 1, where"),
        (("u", "v", "NA"), {"target": "classes"}, r"t\.csv holds 'NA' in column 'y', row 2, where"),
        ((1, "nan"), {"target": "numbers"}, "holds 'nan' in column 'y', row 1, where"),
        ((1, 2, "x"), {}, "holds 'x' in column 'y', row 2, and numbers in other rows; .*target='classes'"),
        ((1, "inf"), {}, "holds 'inf' in column 'y', row 1, and numbers in other rows"),
        ((1, "x"), {"target": "numbers"}, "holds 'x' in column 'y', row 1, and no finite number; .*target='classes'"),
        ((2001, 1998), {}, r"label is 'y', which holds 2 whole numbers from 1998 to 2001.*target='classes'.*target='numbers'"),
        ((0, 1, 3), {}, "3 whole numbers from 0 to 3"),
        ((0, 1), {"target": "class"}, "target is 'class'; give 'classes' or 'numbers'"),
        ((0, 1), {"separator": ";;"}, "separator is ';;'; give one character"),
        ((0, 1), {"drop": ["y"]}, "drop is .*'y' is the label"),
        ((0, 1), {"drop": "y"}, r"drop is 'y'; give a list, \['y'\]"),
        ((0, 1), {"group": "y"}, "group is 'y', which is the label, too"),
        (("1e39", "0.5"), {}, r"y is 1e\+39 in row 0, which float32 cannot hold"),
    ],
)  # fmt: skip
def test_labels_that_say_too_little_are_refused(tmp_path, labels, options, said):
    import jax

    with jax.enable_x64(False), pytest.raises((ValueError, TypeError), match=said):
        read(tmp_path, rows(*labels), **options)


def test_text_in_one_file_and_numbers_in_the_other(tmp_path):
    with pytest.raises(ValueError, match=r"u\.csv holds 'b' in column 'y', row 1, and numbers in other rows"):
        read(tmp_path, rows(0, 1), rows("0", "b"))


def test_owners_are_named(tmp_path):
    d = read(tmp_path, "a,who,y\n1,10,0\n2,9,1\n3,10,0\n", "a,who,y\n4,9,1\n5,10,0\n", group="who")
    assert d.owners == ("9", "10") and d.groups.tolist() == [1, 0, 1] and d.test_groups.tolist() == [0, 1]
    nodes = d.partition(data.by_group(), nodes=2)
    assert [nodes.node(i)["x"].ravel().tolist() for i in range(2)] == [[2], [1, 3]]
    with pytest.raises(ValueError, match=r"t\.csv holds '' in column 'who', row 1, where a value is missing"):
        read(tmp_path, "a,who,y\n1,u,0\n2,,1\n", group="who")


def test_owners_that_are_numbers_go_by_value(tmp_path):
    d = read(tmp_path, "a,who,y\n1,10,0\n2,9,1\n", "a,who,y\n4,9.0,1\n5,1e1,0\n6,2.5,0\n", group="who")
    assert d.owners == ("2.5", "9", "10") and d.groups.tolist() == [2, 1] and d.test_groups.tolist() == [1, 2, 0]
    codes = read(tmp_path, "a,who,y\n1,02134,0\n2,10001,1\n", group="who")
    assert codes.owners == ("02134", "10001")
    long = read(tmp_path, "a,who,y\n1,9007199254740993,0\n2,9007199254740992,1\n", group="who")  # one float64
    assert len(long.owners) == 2


def test_among_names_of_owners_na_is_one(tmp_path):
    d = read(tmp_path, "a,who,y\n1,NA,0\n2,DE,1\n", group="who")
    assert d.owners == ("DE", "NA") and d.groups.tolist() == [1, 0]
    for cell, other in (("NA", "7"), ("", "DE"), ("null", "DE")):
        with pytest.raises(ValueError, match=f"holds '{cell}' in column 'who', row 1, where a value is missing"):
            read(tmp_path, f"a,who,y\n1,{other},0\n2,{cell},1\n", group="who")


def test_a_parquet_file_is_read_by_the_same_rules(tmp_path, monkeypatch):
    """With a stand-in for pyarrow, so that it runs without."""
    held = {"a": np.array([1.0, 2.0]), "who": np.array([7, 5]), "y": np.array([1.0, np.nan])}
    column = lambda name: types.SimpleNamespace(to_numpy=lambda: held[name])
    table = types.SimpleNamespace(column=column, column_names=list(held))
    parquet = types.SimpleNamespace(read_table=lambda path: table)
    monkeypatch.setitem(sys.modules, "pyarrow", types.SimpleNamespace(ArrowException=OSError, parquet=parquet))
    (tmp_path / "t.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=r"t\.parquet holds 'nan' in column 'y', row 1, where a value is missing"):
        data.from_parquet(tmp_path / "t.parquet", group="who")
    held["y"] = np.array(["u", None], object)
    with pytest.raises(ValueError, match="holds 'None' in column 'y', row 1, where a value is missing"):
        data.from_parquet(tmp_path / "t.parquet", group="who")
    held["y"] = np.array([True, False])
    d = data.from_parquet(tmp_path / "t.parquet", group="who")
    assert d.owners == ("5", "7") and d.groups.tolist() == [1, 0] and d.train["y"].tolist() == [1, 0]
    held["a"] = np.array(["2020-01-01", "2020-01-02"], "datetime64[D]")
    with pytest.raises(ValueError, match="holds '2020-01-01' in column 'a', row 0, and no finite number"):
        data.from_parquet(tmp_path / "t.parquet", group="who")
