"""What a combination rule must satisfy."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from ..core import tree
from ..core.types import Rule
from ..network import Network
from . import toys
from .probes import DEGREE, NODES, Average, Gossip, OneRound, Parts, classification, graph, weights
from .promise import Promises, close, require, same
from .runs import one_step

FAR = 1e6


def check_rule(rule: Rule) -> None:
    """Check that a rule treats neighbors alike and ignores what did not arrive.

    And that it agrees with neighbors who agree. It is run by gossip on 14 nodes with 4 neighbors
    each, and at a server where it can.

    Args:
      rule: a member of `dejax.aggregation` or your own. A rule that is not linear is taken to bear
        `rule.f` bad values (1 where it has no f) among a node and its 4 neighbors.
    Raises:
      PromiseError: which promise broke, what was seen, and how to mend it. ValueError: an f that 4
        neighbors cannot bear.
    Example:
      >>> check_rule(dejax.aggregation.trimmed_mean(f=1))
    """
    import chex

    promises = Promises(rule)
    with promises("says what it is", "set linear and needs_own to truth values"):
        require(isinstance(rule.linear, bool) and isinstance(rule.needs_own, bool), "linear or needs_own is missing")
    rule.check(DEGREE)
    w = weights()
    everybody = toys.Asleep(np.ones(NODES, bool))
    network = Network(graph(w), rule=rule, faults=(everybody,))
    with promises("shapes and dtypes are kept", "cast results to the dtype of the values"):
        low = toys.problem(dtype="bfloat16", n=NODES)
        before, after = one_step(Gossip(), low, Network(graph(w), rule=rule))
        chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
    run = OneRound(Gossip(), network)
    up = np.ones(NODES, bool)
    up[[2, 9]] = False
    sleepers = lambda net: toys.wake(net, up)
    plain = run()[0]
    values = tree.map(np.asarray, run.starts)
    with promises("equal values give that value", "let weights sum to one over what arrived"):
        equal = tree.map(lambda x: jnp.broadcast_to(x[:1], x.shape), run.starts)
        close(run(params=equal)[0], tree.map(np.asarray, equal), "nodes that agree end at another value")
        got = run(sleepers, equal)[0]
        close(got, tree.map(np.asarray, equal), "nodes that agree end at another value where some sleep")
    if rule.linear:
        with promises("a linear rule is W", "return received.mix(), or set linear = False"):
            close(plain, tree.map(lambda x: np.tensordot(w, x, 1).astype(x.dtype), values), "the result is not W x")
    with promises("the order of neighbors does not matter", "reduce over all ports alike; never single out a port"):
        order = np.random.default_rng(1).permutation(NODES)
        moved = lambda net: replace(net, topology=graph(w[np.ix_(order, order)]))
        got = run(moved, tree.map(lambda x: x[order], run.starts))[0]
        close(got, tree.map(lambda x: x[order], plain), "under other names of nodes the result is another")
    with promises(
        "what did not arrive does not count", "put jnp.where(mask, value, 0) before every sum: 0 * NaN is NaN"
    ):
        broken = tree.map(lambda x: x.at[~up].set(jnp.nan), run.starts)
        zero = tree.map(lambda x: x.at[~up].set(0), run.starts)
        first, second = (tree.map(lambda x: x[up], run(sleepers, p)[0]) for p in (zero, broken))
        same(first, second, "values of sleeping nodes reach others")
        require(
            all(np.isfinite(x).all() for x in jax.tree.leaves((first, second))),
            "a NaN of a sleeping node reaches others",
        )
    if rule.masks:
        with promises(
            "entries that senders do not hold do not count",
            "use the masks of `received.coordinates`, or set masks = False",
        ):
            got = OneRound(Parts(), network)(params=equal)[0]
            close(got, tree.map(np.asarray, equal), "holders that agree on an entry end at another value")
    if not rule.linear:
        _robust(promises, rule, run)
    if rule.linear or not rule.needs_own:
        _server(promises, rule)


def _robust(promises: Promises, rule: Rule, run: OneRound) -> None:
    """f bad values in every neighborhood move nobody far."""
    f = int(np.max(np.asarray(getattr(rule, "f", 1))))
    if f == 0:
        return
    bad = np.zeros(NODES, bool)
    bad[:f] = True
    with promises("f bad values are borne", "cut, clip or select before anything is averaged"):
        for what, value in (("huge", FAR), ("negative", -FAR), ("not finite", np.nan)):
            given = tree.map(lambda x, value=value: x.at[bad].set(value), run.starts)
            out = run(params=given)[0]
            for x in jax.tree.leaves(out):
                honest = np.abs(x[~bad])
                require(np.isfinite(honest).all(), f"{f} {what} values make an honest node's result not finite")
                require(honest.max() < 1e-3 * FAR, f"{f} {what} values carry an honest node to {honest.max():.3g}")


def _server(promises: Promises, rule: Rule) -> None:
    """The mean of a server, or what stands in for it."""
    rule.check(NODES, server=True)
    share = np.arange(1.0, NODES + 1)
    run = OneRound(Average(jnp.asarray(share, jnp.float32)), Network(rule=rule), classification())
    from .probes import by_node

    starts = jax.tree.leaves(run.starts)
    ids = jnp.arange(NODES, dtype=jnp.int32)
    values = [np.asarray(x + by_node(ids, x)) for x in starts]
    _, ports = run()
    with promises("a server's result lies among the values", "combine senders' values, whose ports are in `received`"):
        for x, value in zip(jax.tree.leaves(ports["all"]), values, strict=True):
            low, high = value.min(0) - 1e-4, value.max(0) + 1e-4
            require(((low <= x) & (x <= high)).all(), "the result at a server lies outside of what was sent")
    if rule.linear:
        with promises("a linear rule is the weighted mean at a server", "return received.mix()"):
            want = [np.tensordot(share / share.sum(), value, 1).astype(np.float32) for value in values]
            got = [x.astype(np.float32) for x in jax.tree.leaves(ports["some"])]
            close(got, want, "the result is not the mean by the given weights")


__all__ = ["check_rule"]
