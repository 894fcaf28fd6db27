"""Checkpoints: bit-identical, whole or not there, and never damaged without a word."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dejax.errors import CheckpointError
from dejax.runs import checkpoint

pytestmark = pytest.mark.worlds


@pytest.fixture
def state():
    rng = np.random.default_rng(0)
    return {
        "w": jnp.asarray(rng.normal(size=(7, 5)), jnp.float32),
        "b": (jnp.asarray([jnp.nan, jnp.inf, -0.0, 1e-40], jnp.float32), jnp.arange(3, dtype=jnp.int32)),
        "half": jnp.asarray(rng.normal(size=4), jnp.bfloat16),
        "key": jax.random.key(3),
        "empty": (),
    }


def bits(x):
    x = jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    return np.asarray(x).tobytes()


def test_restored_bits_are_the_saved_ones_and_two_stay(tmp_path, state):
    for round in (3, 10, 1000):
        path = checkpoint.save(tmp_path, round, state, {"total": 2**70, "loss": 0.1})
    assert [p.name for p in checkpoint.existing(tmp_path)] == ["round_000000010", "round_000001000"]
    assert path == checkpoint.latest(tmp_path)
    got, facts = checkpoint.load(path, jax.eval_shape(lambda: state))
    assert facts == {"total": 2**70, "loss": 0.1}
    assert jax.tree.structure(got) == jax.tree.structure(state)
    assert [bits(x) for x in jax.tree.leaves(got)] == [bits(x) for x in jax.tree.leaves(state)]


def test_one_flipped_bit_in_any_file_is_seen(tmp_path, state):
    path = checkpoint.save(tmp_path / "a", 5, state, {"x": 1})
    files = [p.relative_to(path) for p in path.rglob("*") if p.is_file()]
    assert len(files) >= 5
    for i, name in enumerate(files):
        copy = tmp_path / str(i) / path.name
        shutil.copytree(path, copy)
        data = bytearray((copy / name).read_bytes())
        if not data:
            continue
        data[len(data) // 2] ^= 1
        (copy / name).write_bytes(data)
        with pytest.raises(CheckpointError, match=f"{name.name}.*(damaged|truncated)"):
            checkpoint.load(copy, state)


@pytest.mark.parametrize("how", ["truncated", "missing", "extra", "manifest truncated", "manifest missing"])
def test_other_damage_names_the_file(tmp_path, state, how):
    path = checkpoint.save(tmp_path, 5, state, {})
    data = max(
        (p for p in path.rglob("*") if p.is_file() and p.name != "manifest.json"), key=lambda p: p.stat().st_size
    )
    if how == "truncated":
        data.write_bytes(data.read_bytes()[:-7])
    elif how == "missing":
        data.unlink()
    elif how == "extra":
        data = path / "arrays" / "more"
        data.write_text("x")
    else:
        data = path / "manifest.json"
        data.unlink() if how.endswith("missing") else data.write_text(data.read_text()[:-20])
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path, state)
    assert data.name in str(caught.value) and str(path) in str(caught.value)


def test_a_damaged_newest_points_to_the_one_before(tmp_path, state):
    checkpoint.save(tmp_path, 5, state, {})
    path = checkpoint.save(tmp_path, 9, state, {})
    (path / "manifest.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"Remove the directory .*round_000000009 to go on from round_000000005"):
        checkpoint.load(path, state)


def test_another_experiments_checkpoint_is_refused(tmp_path, state):
    path = checkpoint.save(tmp_path, 5, state, {})
    other = state | {"w": jnp.zeros((8, 5), jnp.float32)}
    with pytest.raises(
        CheckpointError, match=r"another experiment: its leaf \['w'\] is float32\[7, 5\], wanted float32\[8, 5\]"
    ):
        checkpoint.load(path, other)
    with pytest.raises(CheckpointError, match=r"it has no leaf \['more'\]"):
        checkpoint.load(path, state | {"more": jnp.zeros(1)})
    with pytest.raises(CheckpointError, match="no checkpoint of dejax"):
        checkpoint.load(tmp_path, state)


def test_what_a_killed_writer_left_is_not_a_checkpoint(tmp_path, state):
    path = checkpoint.save(tmp_path, 5, state, {})
    shutil.copytree(path, tmp_path / ".partial-000000009-123")
    (tmp_path / ".old-round_000000001-9").mkdir()
    assert checkpoint.existing(tmp_path) == [path]
    checkpoint.save(tmp_path, 9, state, {})
    assert not [p for p in Path(tmp_path).iterdir() if p.name.startswith(".")]


def test_the_manifest_is_plain_json_and_nothing_is_pickled(tmp_path, state):
    path = checkpoint.save(tmp_path, 5, state, {})
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["round"] == 5 and ["['w']", [7, 5], "float32"] in manifest["leaves"]
    for file in path.rglob("*"):
        if file.is_file():
            assert b"\x80\x04\x95" not in file.read_bytes()[:16], f"{file} looks like a pickle"


def test_arrays_without_entries_come_back(tmp_path):
    full = {"a": jnp.zeros((3, 0)), "k": jax.random.key(0)[None][:0], "x": jnp.arange(3.0)}
    for round, state in enumerate((full, {"a": jnp.zeros((0, 4), jnp.int8)}, {})):
        got, _ = checkpoint.load(checkpoint.save(tmp_path, round, state, {}), state)
        assert jax.tree.map(lambda x: (x.shape, x.dtype), got) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
        np.testing.assert_array_equal(got.get("x", 0), state.get("x", 0))


def test_keep_must_be_positive(tmp_path, state):
    with pytest.raises(ValueError, match="keep is 0"):
        checkpoint.save(tmp_path, 1, state, {}, keep=0)
