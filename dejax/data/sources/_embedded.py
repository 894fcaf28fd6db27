"""Two small real data sets inside the package: letters and digits."""

import hashlib
from importlib import resources

import numpy as np

from ...errors import FieldError
from ..dataset import Dataset, source

SHA256 = {
    "letters": "995ccb68672af4fd3bfa393a81ca094669007f8a9d38027272e988f142ca8f3a",
    "digits": "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826",
}


def _load(name: str) -> tuple[np.ndarray, np.ndarray]:
    with (
        resources.as_file(resources.files("dejax.data.embedded") / f"{name}.npz") as path,
        np.load(path, allow_pickle=False) as f,
    ):
        x, y = f["x"], f["y"]
    found = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    if found != SHA256[name]:
        raise FieldError(
            f"the embedded {name}.npz is damaged (sha256 {found[:12]}..., not {SHA256[name][:12]}...); install dejax again",
            field="embedded",
        )
    return x, y


@source
def letters() -> Dataset:
    """Letter Recognition: 16 features of 20,000 printed capital letters, 26 classes (A = 0).

    The letters are in 20 fonts.

    x float32 [., 16], standardized by mean and standard deviation of the training part; y int32.
    The first 16,000 rows train, the last 4,000 test, as is customary.

    Reference: Frey and Slate, Letter recognition using Holland-style adaptive classifiers, Machine
      Learning 6(2), 1991; UCI Machine Learning Repository, CC BY 4.0.
    Example:
      >>> letters().train["x"].shape
      (16000, 16)
    """
    x, y = _load("letters")
    x = x.astype(np.float64)
    x = ((x - x[:16000].mean(0)) / x[:16000].std(0)).astype(np.float32)
    y = y.astype(np.int32)
    return Dataset(
        {"x": x[:16000], "y": y[:16000]},
        {"x": x[16000:], "y": y[16000:]},
        num_classes=26,
        name="letters",
        source="Letter Recognition, D. J. Slate; Frey and Slate 1991; UCI Machine Learning Repository, CC BY 4.0",
    )


@source
def digits(flat: bool = False) -> Dataset:
    """Optical digits: 1,797 handwritten digits of 8 x 8 pixels, 10 classes.

    x float32 [., 8, 8] in [0, 1]; y int32. A fixed fifth of every class is the test part (359
    samples): the rows whose number has the smallest sha256, so that no random stream is involved.

    Args:
      flat: give x as [., 64]; default images.
    Reference: Alpaydin and Kaynak, Cascading classifiers, Kybernetika 34(4), 1998; UCI Machine
      Learning Repository, CC BY 4.0.
    Example:
      >>> digits().train["x"].shape[1:]
      (8, 8)
    """
    x, y = _load("digits")
    x, y = (x / 16).astype(np.float32), y.astype(np.int32)
    if flat:
        x = x.reshape(len(x), 64)
    by_hash = np.array(sorted(range(len(y)), key=lambda i: hashlib.sha256(b"%d" % i).digest()))
    test = np.sort(np.concatenate([by_hash[y[by_hash] == c][: round((y == c).sum() / 5)] for c in range(10)]))
    train = np.setdiff1d(np.arange(len(y)), test)
    return Dataset(
        {"x": x[train], "y": y[train]},
        {"x": x[test], "y": y[test]},
        num_classes=10,
        name="digits",
        source="Optical Recognition of Handwritten Digits, Alpaydin and Kaynak 1998; UCI Machine Learning Repository, CC BY 4.0",
    )
