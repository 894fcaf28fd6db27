"""Errors reach the parent of a process pool whole."""

import pickle

import pytest

from dejax import errors

SAMPLES = [
    errors.FieldError(field="Dsgd.lr", got=-1.0, instead="give a finite number >= 0"),
    errors.RefusedError(field="network.rule", got="median", why="but sums are needed", instead="leave it out"),
    errors.ConfigError(("network", "topology"), "has no ring", 3, "a.yaml"),
    errors.TooLargeError("it takes 9 GB", 9e9, 1e9, 4),
    errors.DivergenceError("dsgd", 0, "loss", 3, 1),
    errors.PromiseError("Mine", "masks", "a NaN", "use jnp.where"),
    errors.CheckpointError("is damaged"),
    errors.ProcessError("process 1 of 2 failed"),
]


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_in_another_process(error):
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error) and str(there) == str(error)
    assert {k: str(v) for k, v in vars(there).items()} == {k: str(v) for k, v in vars(error).items()}


def test_every_error_is_tried():
    classes = {getattr(errors, name) for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    assert {c for c in classes if issubclass(c, Exception)} == {type(error) for error in SAMPLES}
