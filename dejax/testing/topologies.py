"""What a topology must satisfy."""

import jax
import jax.numpy as jnp
import numpy as np

from ..topology import Topology
from . import toys
from .promise import Promises, close, require


def check_topology(topology: Topology) -> None:
    """Check that W is what the topology says it is, and that its kernel applies W.

    Args:
      topology: a member of `dejax.topology` built for some number of nodes, or your own.
    Raises:
      PromiseError: which promise broke, what was seen, and how to mend it.
    Example:
      >>> check_topology(dejax.topology.ring(8))
    """
    promises = Promises(topology)
    with promises("is built", "call .build(n)"):
        require(isinstance(topology, Topology), f"{topology!r} is no Topology")
    top = topology.astype(toys.width())
    key, n = jax.random.key(0), top.n
    x = {"a": jnp.asarray(np.random.default_rng(0).standard_normal((n, 3)), toys.width())}
    mix = jax.jit(lambda phase, key, x: top.at(phase, key).mix(x))
    for phase in range(min(max(top.period, 1), 3)):
        w = top.matrix(phase, key)
        with promises("W is stochastic", "normalize its rows, or its columns; dejax.topology.from_matrix checks this"):
            require((w > -1e-12).all(), f"a weight is {w.min():.3g}")
            for kind, sums in (("row", w.sum(1)), ("column", w.sum(0))):
                off = np.abs(sums - 1).max()
                require(top.kind not in ("doubly", kind) or off < 1e-6, f"{kind} sums are off by {off:.3g}")
        with promises("symmetric is true", "say symmetric only where every W is"):
            require(not top.symmetric or np.allclose(w, w.T, atol=1e-6), "W is not symmetric")
        with promises("the kernel is W", "keep weights, senders and self weights of one matrix"):
            got = mix(jnp.int32(phase), key, x)
            close(got, {"a": np.asarray(w @ np.asarray(x["a"], np.float64), toys.width())}, "mixing is not W x")
        with promises("ports are W", "let padding hold the own id and weight 0"):
            links = top.at(phase, key)
            rebuilt = np.diag(np.asarray(links.self_weights(), np.float64))
            senders, weights = np.asarray(links.senders()), np.asarray(links.weights(), np.float64)
            np.add.at(rebuilt, (np.repeat(np.arange(n), senders.shape[1]), senders.ravel()), weights.ravel())
            require(np.abs(rebuilt - w).max(initial=0) < 1e-6, "senders, weights and self weights do not make W")
        with promises("edges are those of W", "list (receiver, sender) of every weight off the diagonal"):
            edges = {tuple(e) for e in top.edges(phase, key).tolist()}
            off = {tuple(e) for e in np.argwhere((np.abs(w) > 1e-12) & ~np.eye(n, dtype=bool)).tolist()}
            require(edges == off, f"{len(edges ^ off)} edges differ from those of W")
            sent = np.bincount([j for _, j in off], minlength=n).max() if off else 0
            require(sent <= top.max_degree, f"a node sends {sent} messages, but max_degree is {top.max_degree}")


__all__ = ["check_topology"]
