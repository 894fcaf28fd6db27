"""Text that is no config, and numbers that nothing can hold, are refused at once, under their path."""

import pytest

from dejax.config.hints import convert
from dejax.config.load import load
from dejax.config.yaml import MAX_BYTES, MAX_DEPTH, parse
from dejax.errors import ConfigError

BASE = {
    "rounds": 3,
    "data": {"source": "letters", "nodes": 4, "partition": "iid"},
    "task": "mlp",
    "network": {"topology": "ring"},
    "method": {"dsgd": {"lr": 0.1}},
}
HUGE = 10**400
DEEP = {
    "flow lists": "a: " + "[" * 1000 + "]" * 1000,
    "flow mappings": "{a: " * 1000 + "1" + "}" * 1000,
    "block": "\n".join(" " * i + "a:" for i in range(500)),
    "dashes": "- " * 1000 + "1",
    "aliases": "a0: &a0 [1]\n" + "\n".join(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 1000)),
}


@pytest.mark.parametrize("form", DEEP)
def test_a_thousand_levels_are_refused_with_their_line(form):
    with pytest.raises(ConfigError, match=f"more than {MAX_DEPTH} deep") as found:
        parse(DEEP[form], "c.yaml")
    assert found.value.line is not None and found.value.source == "c.yaml"


def test_depth_up_to_the_limit_is_read():
    value = parse("[" * (MAX_DEPTH - 1) + "1" + "]" * (MAX_DEPTH - 1))[0]
    for _ in range(MAX_DEPTH - 1):
        (value,) = value
    assert value == 1


def test_size_is_looked_at_before_anything_is_read(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("".join(f"key{i}: {i}\n" for i in range(1_000_000)))
    with pytest.raises(ConfigError, match=rf"c\.yaml: too large: .* at most {MAX_BYTES:,} bytes"):
        load(path)
    with pytest.raises(ConfigError, match="too large"):
        load("/dev/zero")
    with pytest.raises(ConfigError, match="too large"):
        load(BASE, ["seed=" + "1" * (MAX_BYTES + 1)])


def test_another_encoding_is_named_with_its_line(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes("rounds: 3\nmethods: {café: {}}\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"line 2: not UTF-8: byte 0xe9; save the config as UTF-8"):
        load(path)


OUTSIDE = {
    "rounds": ("rounds=1000000000000", "rounds is 1000000000000, more than 32 bits count; .* at most 2147483647"),
    "rounds 10**400": (f"rounds={HUGE}", "rounds is a whole number of about 401 digits"),
    "nodes": (f"data.nodes={HUGE}", "data.nodes: nodes is a whole number of about 401 digits"),
    "digits": ("rounds=" + "9" * 5000, "a number of 5,000 digits"),
    "seed": ("seed=99999999999999999999", "seed is 99999999999999999999; .* from 0 to 4294967295"),
    "seed below": ("seed=-1", "seed is -1; .* from 0 to 4294967295"),
    "one of the seeds": ("seed=[0, 4294967296]", "seed is 4294967296; .* from 0 to 4294967295"),
    "rate": (f"method.dsgd.lr={HUGE}", "method.dsgd.lr: expected number, got .*401 digits"),
    "rates": (f"method.dsgd.lr=[0.1, {HUGE}]", "method.dsgd.lr: expected number, got"),
    "truth among rates": ("method.dsgd.lr=[0.1, true]", "method.dsgd.lr: expected number, got"),
    "batch_size": (f"batch_size={HUGE}", "batch_size"),
}  # fmt: skip


@pytest.mark.parametrize("case", OUTSIDE)
def test_numbers_that_nothing_can_hold_have_their_path(case):
    text, words = OUTSIDE[case]
    with pytest.raises(ConfigError, match=words) as found:
        load(BASE, [text]).runs[0].objects()
    assert found.value.path[: len(text.split("=")[0].split("."))] == tuple(text.split("=")[0].split("."))


@pytest.mark.parametrize("seed", [-5, 2**32, HUGE])
def test_a_split_of_no_seed_is_refused_under_its_path(seed):
    with pytest.raises(ConfigError, match=r"data\.seed: seed is .* from 0 to 4294967295"):
        load(BASE, [f"data.seed={seed}"]).runs[0].objects()


def test_numbers_as_words_are_numbers_in_lists_too():
    import jax
    import numpy as np

    assert convert(["1e-3", 2], jax.Array, ()).tolist() == [0.001, 2.0]
    for wrong in ([True, 1], [[1, 2], [3]], ["fast"], [1, None]):
        with pytest.raises(ConfigError, match="expected list of numbers"):
            convert(wrong, np.ndarray, ())
