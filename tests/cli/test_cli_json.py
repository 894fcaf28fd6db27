"""What the command prints as JSON is JSON."""

import json

import numpy as np

from dejax.cli.shared import clean


def test_numbers_that_are_not_finite_are_null():
    value = {"loss": float("nan"), "best": [float("inf"), 1.5], "rounds": np.int64(3)}
    assert json.loads(json.dumps(clean(value), allow_nan=False)) == {"loss": None, "best": [None, 1.5], "rounds": 3}
