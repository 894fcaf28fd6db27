"""The YAML reader and writer: YAML 1.2 scalars, no tags, no twice-given keys, lines, and a round trip."""

import math

import pytest
from hypothesis import given, settings, strategies as st

from dejax.config.yaml import dump, parse, parse_value
from dejax.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        (".5", 0.5),
        ("3.", 3.0),
        ("010", 10),
        ("0x1f", 31),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("-.inf", -math.inf),
        ("[1, {a: b}]", [1, {"a": "b"}]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    got = parse_value(text)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "given twice (first on line 1)"),
        ("a:\n  b: !!python/name:os.system x\n", 2, "not allowed"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "not allowed"),
        ("a: [1,\nb: 2\n", 3, "not readable as YAML"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("a: &x [*x]\n", 1, "alias"),
        ("? [1]\n: 2\n", 1, "keys are words"),
        ("a: !!int x\n", 1, "not a value"),
    ],
)
def test_bad_documents_name_the_line(text, line, words):
    with pytest.raises(ConfigError, match="f.yaml") as caught:
        parse(text, "f.yaml")
    assert words in str(caught.value)
    assert f"line {line}" in str(caught.value)


@pytest.mark.slow
def test_aliases_of_aliases_do_not_expand_for_ever():
    text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for i in range(1, 9):
        text += f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n"
    with pytest.raises(ConfigError, match="too many values"):
        parse(text)


scalars = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(max_size=12)
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=6), v, max_size=3), max_leaves=12
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=6), values, max_size=4))
def test_what_is_written_reads_back(tree):
    assert parse(dump(tree))[0] == tree
