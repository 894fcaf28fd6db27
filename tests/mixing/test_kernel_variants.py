"""Each kernel applies W with and without jit, from arrays on the host and on the device."""

import chex
import jax
import numpy as np
import pytest
from absl.testing import parameterized

import dejax as dj

pytestmark = pytest.mark.slow

GRAPHS = {
    "circulant": lambda: dj.topology.ring(9),
    "complete": lambda: dj.topology.complete(6),
    "ports": lambda: dj.topology.chain(9),
    "dense": lambda: dj.topology.from_matrix(np.eye(5) * 0.6 + 0.08),
    "hubs": lambda: dj.topology.star(40),
}


def sent(n):
    """A tree [n, ...]."""
    rng = np.random.default_rng(0)
    return {"a": rng.standard_normal((n, 3)), "b": {"c": rng.standard_normal((n, 2, 2))}}


class TestKernels(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_device=True, without_device=True)
    @parameterized.named_parameters(*((name, name) for name in GRAPHS))
    def test_mixing_is_w(self, name):
        topology = GRAPHS[name]().astype("float64")
        links, x, w = topology.at(0), sent(topology.n), topology.matrix()
        want = jax.tree.map(lambda v: np.tensordot(w, v, 1), x)
        chex.assert_trees_all_close(
            self.variant(lambda v: links.mix(jax.tree.map(jax.numpy.asarray, v)))(x), want, atol=1e-14
        )

    @chex.variants(with_jit=True, without_jit=True, with_device=True, without_device=True)
    @parameterized.named_parameters(*((name, name) for name in GRAPHS))
    def test_distances_are_differences(self, name):
        topology = GRAPHS[name]().astype("float64")
        links, x = topology.at(0), sent(topology.n)
        got = self.variant(lambda v: links.sq_distances(jax.tree.map(jax.numpy.asarray, v)))(x)
        rows = np.concatenate([v.reshape(topology.n, -1) for v in jax.tree.leaves(x)], 1)
        senders, real = np.asarray(links.senders()), np.asarray(links.weights()) != 0
        want = np.square(rows[:, None] - rows[senders]).sum(-1)
        chex.assert_trees_all_close(np.asarray(got)[real], want[real], atol=1e-12)
