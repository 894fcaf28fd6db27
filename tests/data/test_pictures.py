"""Images of every mode as bytes, and folders of them of which nothing is passed over."""

import numpy as np
import pytest
from files import Table

from dejax import data

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(3)
COLOR = np.array([[[255, 0, 0], [0, 0, 255]], [[0, 0, 0], [255, 255, 255]]], np.uint8)
GRAY = np.array([[0, 100], [200, 255]], np.uint8)
color, gray = Image.fromarray(COLOR), Image.fromarray(GRAY)


def put(file, image):
    file.parent.mkdir(parents=True, exist_ok=True)
    (image if hasattr(image, "save") else Image.fromarray(image)).save(file)


def table(*images, **more):
    return Table(image=list(images), label=list(range(len(images))), **more)


def test_palettes_are_colors(tmp_path):
    palette = color.quantize(4)
    assert palette.mode == "P" and set(np.asarray(palette).ravel()) == {0, 1, 2, 3}  # places in the palette
    d = data.from_huggingface(table(palette, color))
    np.testing.assert_array_equal(d.train["x"], [COLOR, COLOR])
    put(tmp_path / "a" / "0.png", palette)
    np.testing.assert_array_equal(data.from_folder(tmp_path).train["x"], [COLOR])


def test_gray_images_stay_gray_where_all_are():
    d = data.from_huggingface({"train": table(gray, gray.convert("LA")), "test": table(gray)})
    np.testing.assert_array_equal(d.train["x"], [GRAY, GRAY])
    for parts in ({"train": table(gray, color)}, {"train": table(gray, gray), "test": table(color)}):
        d = data.from_huggingface(parts)
        np.testing.assert_array_equal(d.train["x"][0], np.stack([GRAY] * 3, 2))
    np.testing.assert_array_equal(
        data.from_huggingface(table(gray.point(lambda v: 255 * (v > 150), "1"))).train["x"], [[[0, 0], [255, 255]]]
    )


def test_other_modes():
    opaque = color.convert("RGBA")
    np.testing.assert_array_equal(data.from_huggingface(table(opaque)).train["x"], [COLOR])
    cmyk = data.from_huggingface(table(color.convert("CMYK"))).train["x"]
    np.testing.assert_array_equal(cmyk, [COLOR])  # pure colors come back
    clear = Image.fromarray(np.dstack([COLOR, np.array([[0, 255], [255, 255]], np.uint8)]))
    with pytest.raises(ValueError, match=r"x\['image'\]\[1\] has transparent pixels; paint it on a background"):
        data.from_huggingface(table(color, clear))
    with pytest.raises(ValueError, match=r"x\['image'\]\[0\] holds pixels of mode F.*8 bits a channel"):
        data.from_huggingface(table(Image.fromarray(np.ones((2, 2), np.float32))))


def test_sixteen_bits_become_eight(tmp_path):
    deep = np.array([[0, 257], [30000, 65535]], np.uint16)
    want = [[0, 1], [117, 255]]  # 30000 / 257 = 116.7
    put(tmp_path / "a" / "0.png", deep)
    np.testing.assert_array_equal(data.from_folder(tmp_path, gray=True).train["x"], [want])
    np.testing.assert_array_equal(data.from_huggingface(table(Image.fromarray(deep))).train["x"], [want])


# ---- folders
def test_what_is_hidden_is_no_class(tmp_path):
    for c in ("cat", "dog"):
        put(tmp_path / c / "0.png", COLOR)
    put(tmp_path / ".ipynb_checkpoints" / "0.png", COLOR)
    (tmp_path / "cat" / "._0.png").write_bytes(b"of macOS")
    (tmp_path / "cat" / ".ipynb_checkpoints").mkdir()
    put(tmp_path / "cat" / ".ipynb_checkpoints" / "0.png", COLOR)
    d = data.from_folder(tmp_path)
    assert d.num_classes == 2 and d.train["y"].tolist() == [0, 1] and d.class_names == ("cat", "dog")


@pytest.mark.parametrize(
    "more, text",
    [
        ("empty/", r"empty holds no images .*every folder is a class; give it some, or remove it"),
        ("cat/sub/1.png", r"cat.sub holds files of the class 'cat'.*move them into .*cat"),
        ("bird/a/b/1.png", r"bird.a holds files of the class 'bird'"),
        ("1.png", r"1\.png lies in no folder of a class"),
    ],
)
def test_images_that_would_be_lost_are_refused(tmp_path, more, text):
    put(tmp_path / "cat" / "0.png", COLOR)
    if more.endswith("/"):
        (tmp_path / more).mkdir()
    else:
        put(tmp_path / more, COLOR)
    with pytest.raises(ValueError, match=text):
        data.from_folder(tmp_path)


def parts(folder, *names):
    for i, name in enumerate(names):
        put(folder / name / "a" / "0.png", np.full((2, 2, 3), i, np.uint8))
    return data.from_folder(folder)


def test_parts_in_any_case(tmp_path):
    d = parts(tmp_path, "Train", "TEST", "Valid")
    assert [int(p["x"].mean()) for p in (d.train, d.test, d.validation)] == [0, 1, 2]


@pytest.mark.parametrize(
    "names, text",
    [
        (("train", "val", "valid"), "valid is the validation part, and so is val"),
        (("train", "tset"), "tset is no part of the data, beside train; name it one of train, test"),
        (("train", "car"), "car is no part of the data"),
    ],
)
def test_parts_that_are_none_or_double(tmp_path, names, text):
    with pytest.raises(ValueError, match=text):
        parts(tmp_path, *names)


def test_a_part_without_images(tmp_path):
    (tmp_path / "test").mkdir()
    with pytest.raises(ValueError, match="test holds no folder with images"):
        parts(tmp_path, "train")


def test_text_below_hidden_and_nested_folders(tmp_path):
    for place in ("a", ".ipynb_checkpoints"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "1.txt").write_text("abcdefgh" * 4)
    assert data.from_text(tmp_path, length=4).owners == ("a",)
    (tmp_path / "a" / "more").mkdir()
    (tmp_path / "a" / "more" / "2.txt").write_text("abcdefgh" * 4)
    with pytest.raises(ValueError, match=r"more holds files of the author 'a'"):
        data.from_text(tmp_path, length=4)
