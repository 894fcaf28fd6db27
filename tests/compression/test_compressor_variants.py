"""Each compressor gives the same message with and without jit, from arrays on the host and on the device."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from dejax import compression as c

MEMBERS = {
    "identity": c.identity(),
    "top_k": c.top_k(k=3),
    "rand_k": c.rand_k(k=3),
    "rand_k_unbiased": c.rand_k_unbiased(k=3),
    "qsgd": c.qsgd(levels=4),
    "qsgd_unbiased": c.qsgd_unbiased(levels=4),
}


class TestCompressors(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_device=True, without_device=True)
    @parameterized.named_parameters(*((name, name) for name in MEMBERS))
    def test_messages_are_one(self, name):
        member, x = MEMBERS[name], np.random.default_rng(0).standard_normal((4, 12))
        seed = np.arange(8, dtype=np.uint32).reshape(4, 2)

        def message(words, x):
            return member.apply(jax.random.wrap_key_data(jnp.asarray(words)), jnp.asarray(x))[0]

        got = self.variant(message)(seed, x)
        chex.assert_shape(got, (4, 12))
        chex.assert_trees_all_close(got, message(seed, x), rtol=1e-14)
        if member.lossless:
            chex.assert_trees_all_equal(np.asarray(got), x)
