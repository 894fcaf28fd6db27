"""One program per experiment: what differs in values alone is never traced again."""

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import problems as zoo
import pytest

import dejax as dj
from dejax import engine

N = zoo.N
PROBLEM = zoo.Uneven(batch_size=2).problem


def counting_chunk():
    """Eight rounds at most, traced once at most: a second trace is an error of chex."""
    chex.clear_trace_counter()  # it counts by the code of a function, over the whole session

    @jax.jit
    @chex.assert_max_traces(n=1)
    def chunk(method, problem, network, carry, key, first, count):
        return engine.run_chunk(method, problem, network, carry, key, first, count, 8, jnp.float32(8))[0]

    return chunk


def network(strength=0.5, p=0.3, own=0.5):
    """A ring with an attack and lost links."""
    w = own * np.eye(N) + (1 - own) / 2 * (np.roll(np.eye(N), 1, 0) + np.roll(np.eye(N), -1, 0))
    return dj.Network(
        dj.topology.from_matrix(w).astype("float64"),
        attack=dj.attacks.sign_flip(adversaries=(1,), strength=strength),
        faults=dj.faults.link_loss(p=p),
        codec=dj.compression.direct(dj.compression.rand_k(k=2), gamma=0.4),
    )


@pytest.mark.slow
def test_values_do_not_trace_again():
    chunk, ends = counting_chunk(), {}

    def run(name, lr=0.1, seed=0, parts=(7,), starts=1, **options):
        method, problem, net = engine.prepare(dj.methods.dsgd(lr=lr), PROBLEM, network(**options), 8)
        key, first = jax.random.key(seed), 0
        carry = engine.start(method, problem, net, key, {"x": jnp.asarray(zoo.starts(seed=starts))})
        for count in parts:
            carry = chunk(method, problem, net, carry, key, jnp.int32(first), jnp.int32(count))
            first += count
        ends[name] = np.asarray(carry.state.params["x"])

    run("plain")
    run("chunks of 3 and 4", parts=(3, 4))
    run("another lr", lr=0.05)
    run("lr as a number of NumPy", lr=np.float64(0.07))
    run("lr as another number of NumPy", lr=np.float32(0.08))
    run("another seed", seed=5)
    run("other starts", starts=2)
    run("another strength", strength=0.25)
    run("another loss", p=0.6)
    run("another W", own=0.4)
    np.testing.assert_array_equal(ends["chunks of 3 and 4"], ends["plain"])
    others = [x for name, x in ends.items() if name not in ("plain", "chunks of 3 and 4")]
    for x in others:
        assert np.abs(x - ends["plain"]).max() > 1e-6  # each of them acts


def test_structure_does_trace_again():
    """The counter counts: another compressor is another program."""
    chunk = counting_chunk()
    for k in (2, 3):
        net = replace(network(), codec=dj.compression.direct(dj.compression.top_k(k=k), gamma=0.4))
        method, problem, net = engine.prepare(dj.methods.dsgd(lr=0.1), PROBLEM, net, 8)
        carry = engine.start(method, problem, net, jax.random.key(0))
        call = lambda net=net, carry=carry, method=method, problem=problem: chunk(
            method, problem, net, carry, jax.random.key(0), jnp.int32(0), jnp.int32(2)
        )
        if k == 2:
            call()
        else:
            with pytest.raises(AssertionError, match="is traced > 1 times"):
                call()
    chex.clear_trace_counter()


def test_what_init_left_weakly_typed_does_not_trace_again():
    """A comparison with a number of Python is weakly typed; what a round gives back is not."""
    task = dj.tasks.from_functions(
        lambda key: {"w": jnp.ones((3, 2))}, lambda p, batch, key: p["w"].sum() * batch["x"].sum(1)
    )
    problem = dj.Problem(task, dj.data.from_clients([(np.ones((2, 3), np.float32), np.zeros(2))] * N))

    class Doubled(type(dj.methods.dsgd(lr=0.1))):
        """D-PSGD whose start is a number of Python, twice."""

        def init(self, params, key):
            state = super().init(params, key)
            return state._replace(params=jax.tree.map(lambda x: jnp.full(x.shape, 2.0), state.params))

    method = dj.struct(Doubled)(lr=0.1)
    assert all(x.weak_type for x in jax.tree.leaves(method.init({"w": jnp.ones((N, 3, 2))}, jax.random.key(0)).params))
    parts = engine.prepare(method, problem, dj.Network(dj.topology.ring(N)), 8)
    carry = engine.start(*parts, jax.random.key(0))
    assert not any(getattr(x, "weak_type", False) for x in jax.tree.leaves(carry))
