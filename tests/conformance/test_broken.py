"""Each promise has a member that breaks it, and the check names that promise; members that break none pass."""

import ast
from pathlib import Path

import broken
import jax.numpy as jnp
import numpy as np
import pytest

import dejax as dj
from dejax import testing

BATCH = {
    "x": np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32),
    "y": np.arange(5, dtype=np.float32),
}
KINDS = {
    "method": (testing.check_method, broken.METHODS, broken.Good()),
    "compressor": (testing.check_compressor, broken.COMPRESSORS, broken.TopTwo()),
    "codec": (testing.check_codec, broken.CODECS, broken.Direct()),
    "rule": (testing.check_rule, broken.RULES, broken.Mean()),
    "attack": (testing.check_attack, broken.ATTACKS, broken.Flip()),
    "partition": (testing.check_partition, broken.PARTITIONS, broken.strided),
    "topology": (lambda make: testing.check_topology(make()), broken.TOPOLOGIES, broken.slots),
    "task": (lambda task: testing.check_task(task, BATCH), broken.TASKS, broken.Linear()),
}


COMPILED = ("method", "rule", "attack")  # a second or two each
QUICK = ("static rate", "widens", "ignores its rate", "plain mean for robust", "hits honest")


def mark(kind, name):
    """Those that compile rounds are left to the long tests, but for a few."""
    return pytest.param(kind, name, marks=[pytest.mark.slow] * (kind in COMPILED and name not in QUICK))


@pytest.mark.parametrize("kind, name", [mark(kind, name) for kind, (_, faults, _) in KINDS.items() for name in faults])
def test_the_broken_promise_is_named(kind, name):
    check, faults, _ = KINDS[kind]
    member, promise = faults[name]
    with pytest.raises(dj.PromiseError) as caught:
        check(member)
    assert caught.value.promise == promise, str(caught.value)
    assert caught.value.found and caught.value.mend
    assert "To mend it: " in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_breaks_nothing_passes(kind):
    check, _, good = KINDS[kind]
    check(good)


# Promises that nothing breaks alone: another one is named first, or the broken member cannot be built.
HELD_ELSEWHERE = {
    "a sleeping node keeps its state", "runs", "the kernel is W", "ports are W",
    "edges are those of W", "a server's result lies among the values", "a linear rule is the weighted mean at a server",
    "models of nodes are untouched", "one trace",  # weak types are made firm before round 0
}  # fmt: skip


def test_every_promise_has_a_member_that_breaks_it():
    named = set()
    for path in Path(testing.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "promises":
                named.add(node.args[0].value)
    broken_ones = {promise for _, faults, _ in KINDS.values() for _, promise in faults.values()}
    assert broken_ones <= named
    assert named - broken_ones <= HELD_ELSEWHERE
    assert len(named) > 40


def test_a_formula_of_bits_is_held_against_those_counted():
    quantizer = dj.compression.qsgd(levels=15)
    testing.check_compressor(quantizer, bits=lambda d, width: width + d * 5)
    with pytest.raises(dj.PromiseError, match="bits are the size of the encoding"):
        testing.check_compressor(quantizer, bits=lambda d, width: width + d * 5 + 1)


def test_a_topology_whose_kernel_is_another_matrix():
    """Weights on the right slots, but a sender that is another node: sums hold, W does not."""
    top = broken.slots()
    index = np.array(top.links.index)
    links = broken.changed(top.links, index=index)
    testing.check_topology(broken.changed(top, links=links))
    matrix = top.matrix

    class Lying(dj.topology.Topology):
        def matrix(self, phase=0, key=None):
            return np.roll(matrix(phase), 1, (0, 1))

    fields = {f: getattr(top, f) for f in ("links", "name", "kind", "symmetric", "connected", "period", "dtype")}
    lying = Lying(**fields)
    lying_astype = type(lying).astype
    type(lying).astype = lambda self, dtype: self
    try:
        with pytest.raises(dj.PromiseError, match="the kernel is W"):
            testing.check_topology(lying)
    finally:
        type(lying).astype = lying_astype
    assert jnp.asarray(index).dtype == jnp.int32
