"""Structs as pytrees."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import problems as zoo
import pytest

import dejax as dj
from dejax import engine
from dejax.core.struct import static

pytestmark = pytest.mark.worlds

m = dj.methods


def test_a_struct_goes_through_a_tree_and_back():
    @dj.struct
    class Pair:
        """Two leaves around something static."""

        a: float
        name: str = static("x")
        b: float = 2.0

    leaves, structure = jax.tree_util.tree_flatten_with_path(Pair(1.0, "y"))
    assert [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves] == [(".a", 1.0), (".b", 2.0)]
    assert jax.tree.unflatten(structure, [3.0, 4.0]) == Pair(3.0, "y", 4.0)
    assert jax.tree.structure(Pair(0.0)) != jax.tree.structure(Pair(0.0, "y"))


def test_checks_run_where_a_user_makes_a_struct_and_before_a_run_not_where_jax_rebuilds_one():
    rebuilt = jax.tree.map(lambda x: -1.0, m.dsgd(lr=0.1))
    assert (type(rebuilt), rebuilt.lr, rebuilt.optimizer) == (m.dsgd, -1.0, None)
    run = lambda: engine.prepare(rebuilt, zoo.squares()[0], dj.Network(dj.topology.ring(zoo.N)))
    for refused in (lambda: m.dsgd(lr=-1.0), lambda: dataclasses.replace(rebuilt, order="awc"), run):
        with pytest.raises(ValueError, match=r"Dsgd\.lr is -1\.0"):
            refused()


def test_structs_with_equal_fields_are_of_unequal_structure():
    alike = [m.local_only(lr=0.1), m.centralized(lr=0.1), dj.compression.top_k(k=1), dj.compression.rand_k(k=1)]
    for a, b in itertools.combinations(alike, 2):
        assert jax.tree.structure(a) != jax.tree.structure(b)


def test_programs_are_never_those_of_another_struct():
    def make(i):
        return dj.struct(
            type(f"Struct{i}", (), {"__annotations__": {"x": float}, "number": i, "__doc__": "One of many."})
        )

    traced = jax.jit(lambda one: jnp.zeros(one.number))
    many = [make(i) for i in range(300)]
    assert [traced.eval_shape(one(1.0)).shape for one in many] == [(i,) for i in range(300)]
