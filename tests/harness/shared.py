"""What tests of meshes share: an experiment that several processes build alike, and the program of one round."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np

import dejax as dj
from dejax import engine
from dejax.devices import placement


def experiment(n=32, rank=0):
    """Lossy gossip on a graph whose nodes change places; `rank` makes other data."""
    made = dj.data.least_squares(nodes=n, dim=4, L=1.0, mu=0.3, zeta2=2.0, seed=rank, dtype="float32")
    problem = dj.Problem(made.task, made.data, batch_size=2, starts="independent")
    faults = (dj.faults.link_loss(p=0.2), dj.faults.churn(p=0.2))
    return dj.methods.dsgd(lr=0.2), problem, dj.Network(dj.topology.geometric(n, seed=0), faults=faults)


def compiled(method, problem, network, devices):
    """(text of a chunk of rounds compiled for so many devices, the place of its nodes)."""
    ready = engine.prepare(method, problem, network, 8, placement.layout(devices))
    place = ready[1].place
    key = placement.replicate(jax.random.key(0), place.mesh)
    carry = jax.tree.map(
        lambda has, x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place.sharding(has)),
        engine.carry_axes(*ready, key),
        jax.eval_shape(engine.start, *ready, key),
    )
    numbers = (np.int32(0), np.int32(1), 4, np.int32(8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of donated arguments that nothing takes
        return engine.run_chunk.lower(*ready, carry, key, *numbers).compile().as_text(), place


def digits():
    """A small network on real digits that has every metric, own ones too: (method, problem, network, metrics)."""
    data = dj.data.digits().partition(dj.data.dirichlet(alpha=1.0), nodes=8, seed=0)
    problem = dj.Problem(dj.tasks.mlp(64, 4, 10), data, batch_size=4)
    attack = dj.attacks.sign_flip(adversaries=1)
    network = dj.Network(dj.topology.ring(8), attack=attack, rule=dj.aggregation.trimmed_mean(f=1))

    def largest(view):
        return {
            "index": np.arange(view.n) * view.index,
            "largest": max(float(jnp.abs(x).max()) for x in jax.tree.leaves(view.params)),
        }

    metrics = [
        "local_models",
        "own_test",
        "mean_model",
        "consensus",
        "objective",
        "heterogeneity",
        "per_node",
        "confusion",
        largest,
    ]
    return dj.methods.gradient_tracking(lr=0.05), problem, network, metrics
