"""Small files in the formats in which data sets are published."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np


def _text(s: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(s)) + s  # BINSTRING, as Python 2 writes str


def _number(v: int) -> bytes:
    return b"J" + struct.pack("<i", v)


def python2_array(a: np.ndarray) -> bytes:
    """The opcodes of a NumPy array of bytes as Python 2 pickled it."""
    start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + _text(b"b") + b"tR"
    dtype = (
        b"cnumpy\ndtype\n(" + _text(b"u1") + b"K\x00K\x01tR(K\x03" + _text(b"|") + b"NNN" + _number(-1) * 2 + b"K\x00tb"
    )
    shape = b"(" + b"".join(map(_number, a.shape)) + b"t"
    return start + b"(K\x01" + shape + dtype + b"\x89" + _text(a.tobytes()) + b"tb"


def python2_pickle(x: np.ndarray, **labels: list[int]) -> bytes:
    """A batch of CIFAR as it is published: a dict of str, of an array and of lists."""
    lists = b"".join(_text(k.encode()) + b"](" + b"".join(map(_number, v)) + b"e" for k, v in labels.items())
    return (
        b"\x80\x02}("
        + _text(b"data")
        + python2_array(x)
        + lists
        + _text(b"batch_label")
        + _text(b"one of them")
        + b"u."
    )


def cifar10_python(folder: Path, n: int = 6, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write the six files of the python version; return what they hold."""
    folder.mkdir(parents=True)
    held = {}
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        x = np.random.default_rng([seed, i]).integers(0, 256, (n, 3072), np.uint8)
        y = (np.arange(n) + i) % 10
        (folder / name).write_bytes(python2_pickle(x, labels=y.tolist()))
        held[name] = x, y
    return held


def idx(a: np.ndarray) -> bytes:
    """An array of bytes as an IDX file."""
    return bytes([0, 0, 8, a.ndim]) + struct.pack(f">{a.ndim}i", *a.shape) + a.tobytes()


def write_idx(folder: Path, stems: dict[str, np.ndarray], zipped: bool = True) -> None:
    """Write arrays of bytes as IDX files."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, a in stems.items():
        (folder / (stem + ".gz" * zipped)).write_bytes(gzip.compress(idx(a)) if zipped else idx(a))


def leaf(folder: Path, train: dict, test: dict) -> None:
    """Write LEAF's JSON: part -> user -> (x, y)."""
    for part, users in (("train", train), ("test", test)):
        place = folder / "data" / part
        place.mkdir(parents=True)
        held = {"users": list(users), "num_samples": [len(y) for _, y in users.values()]}
        held["user_data"] = {u: {"x": x, "y": y} for u, (x, y) in users.items()}
        (place / f"all_data_niid_0_keep_0_{part}_9.json").write_text(json.dumps(held))


class Table:
    """What a `datasets.Dataset` offers, as far as it is used."""

    def __init__(self, **columns):
        self.columns, self.column_names = columns, list(columns)

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name):
        return self.columns[name]
