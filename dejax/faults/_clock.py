"""The clock: virtual seconds of every node, by the max-plus recursion.

    T_i <- T_i + c_i                                       a gradient at node i takes c_i seconds
    T_i <- max(T_i, max_j T_j + latency + d_j b_j / B_j)   i has heard its neighbors j, which sent d_j messages of b_j bits

A cost model, not a measurement: nodes wait for their neighbors only, so a round's mean time
saturates as n grows.
Reference: Baccelli et al., Synchronization and linearity, 1992.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..core.checks import above, at_least
from ..core.random import fold_name
from ..core.struct import number, struct
from ..core.types import Context, FloatLike, Links, NodeFloat, NodeFloatLike, NodeMask, Values

SECONDS = at_least(0, "finite seconds >= 0")
SPEED = above(0, "bits per second > 0 (inf: free)", infinite=True)


@struct
class Clock:
    """Virtual seconds of gradients and messages, on machines and links of given speeds.

    A gradient takes `gradient * L + exponential * E` seconds at a node, L lognormal with mean 1 and
    log-deviation `sigma`, E exponential with mean 1, both drawn afresh for every node and gradient:
    constant times by default, Exp(mean) with gradient=0 and exponential=mean, shifted exponential
    with both, lognormal with sigma.

    A message arrives `latency` plus all the sender's bits of the phase over its `bandwidth` after
    it was ready: one uplink is shared by the d_j messages that a node sends (for links of their own
    give d times the bandwidth). Messages that are lost are not waited for, a node does not wait for
    its own sending, and phases do not queue behind each other.

    At a server: the slowest upload that arrives, then everybody's bits through the server's own
    `server_bandwidth`, and the same on the way down.

    Args:
      gradient: seconds of one gradient, >= 0; a number or [n] by node id. Default 1.
      exponential: mean of the exponential part, seconds, >= 0; a number or [n]. Default 0.
      sigma: standard deviation of log L, >= 0. Default 0.
      latency: seconds per message, >= 0; a number or [n] by sender. Default 0.
      bandwidth: bits per second of a node's uplink (and downlink from a server), > 0; a number or
        [n]. Default inf.
      server_bandwidth: bits per second of the server, shared by all. Default inf.
    All are leaves: a sweep does not recompile.
    Raises:
      ValueError: a negative or infinite time, a bandwidth that is not positive.
    Precision: clocks are float32 (float64 where jax_enable_x64 is on), and a run moves the whole
      seconds that all of them have passed into an int32 after every round (`rebase`), exactly:
      microseconds last for 68 years. Only what nodes lie apart is rounded, in float32 to 6e-8 of it.
    Identity: never faster than without waiting, never slower than with a barrier for all; n = 1
      never waits.
    Reference: Baccelli et al., Synchronization and linearity, 1992.
    Example:
      >>> Clock(gradient=0.0, exponential=1.0, latency=0.01, bandwidth=1e8).latency
      0.01
    """

    gradient: NodeFloatLike = number(default=1.0, check=SECONDS)
    exponential: NodeFloatLike = number(default=0.0, check=SECONDS)
    sigma: FloatLike = number(default=0.0, check=at_least(0))
    latency: NodeFloatLike = number(default=0.0, check=SECONDS)
    bandwidth: NodeFloatLike = number(default=math.inf, check=SPEED)
    server_bandwidth: FloatLike = number(default=math.inf, check=SPEED)

    def compute(self, ctx: Context, time: NodeFloat, computes: NodeMask | None) -> NodeFloat:
        """Clocks [n] after one gradient at the nodes that compute (None: all)."""

        def draw(key: jax.Array) -> tuple[jax.Array, jax.Array]:
            normal = jax.random.normal(fold_name(key, "clock.normal"), (), jnp.float32)
            return normal, jax.random.exponential(fold_name(key, "clock.exponential"), (), jnp.float32)

        normal, exponential = (
            x.astype(time.dtype) for x in jax.vmap(draw)(ctx.node_keys)
        )  # the same draws in every width
        sigma = jnp.asarray(self.sigma, time.dtype)
        factor = jnp.exp(sigma * normal - 0.5 * jnp.square(sigma))
        seconds = _rows(self.gradient, ctx, time) * factor + _rows(self.exponential, ctx, time) * exponential
        return time + (seconds if computes is None else jnp.where(computes, seconds, 0))

    def messages(
        self, ctx: Context, time: NodeFloat, links: Links, mask: Bool[Array, "n k"] | None, bits: Float[Array, " n"]
    ) -> NodeFloat:
        """Return the clocks [n] when every node has what arrives of its neighbors' messages.

        mask: which arrive (None: all). bits: [n], the size of each node's message.
        """
        real = links.weights() != 0
        copies = jnp.zeros_like(time).at[links.senders()].add(real.astype(time.dtype))
        ready = time + _rows(self.latency, ctx, time) + copies * bits / _rows(self.bandwidth, ctx, time)
        heard = real if mask is None else mask & real

        def wait(latest: jax.Array, other: jax.Array, s: Values) -> jax.Array:
            return jnp.where(heard[:, s], jnp.maximum(latest, other), latest)

        return links.fold(wait, time, ready)

    def server(
        self,
        ctx: Context,
        time: NodeFloat,
        up: Float[Array, " n"],
        down: int | Float[Array, " n"],
        arrived: NodeMask | None,
        kind: str = "star",
    ) -> Float[Array, ""]:
        """Return when everybody has the mean of uploads.

        up: [n] bits of the uploads. down: bits of the answer to each of the n, or [n].

        "star": the slowest upload that arrives, all bits through the server, the answers. "shards":
        the same without a server's bandwidth, as every node holds a part. "all_reduce": the last to
        start, then 2 (n - 1) steps round a ring, of an n-th of a model each (up + down bits in
        all), at the pace of the slowest link.
        """
        arrived = jnp.ones(time.shape, bool) if arrived is None else arrived
        latency, bandwidth = _rows(self.latency, ctx, time), _rows(self.bandwidth, ctx, time)
        server = jnp.asarray(self.server_bandwidth, time.dtype)
        n = time.shape[0]
        if kind == "all_reduce":
            begin = jnp.max(jnp.where(arrived, time, time.min()))
            steps = 2 * max(n - 1, 0)
            return begin + steps * jnp.max(latency) + jnp.max((up + down) / bandwidth)
        last = jnp.max(jnp.where(arrived, time + latency + up / bandwidth, time.min()))
        if kind == "shards":
            return last + jnp.max(latency + down / bandwidth)
        through = jnp.where(arrived, up, 0).sum() / server
        sent = n * (down / server) if isinstance(down, int) else down.sum() / server
        answer = jnp.max(latency + down / bandwidth) + sent
        return last + through + answer


def rebase(clocks: Any) -> tuple[Any, Int[Array, ""]]:
    """Move the whole seconds that all clocks share out of a tree of clocks, exactly.

    Args:
      clocks: tree of floating arrays of any shape, seconds >= 0.
    Returns:
      (clocks less that many seconds, int32 seconds). Adding the second to an int32 total each round
      keeps clocks small, and so precise to 1e-7 s times their spread, for 68 years.
    Identity: no rounding while clocks are below 1.6e7 s: the difference lies on the float32 grid of
      the larger.
    Example:
      >>> rebase(jnp.array([7.5, 9.25], jnp.float32))[1].item()
      7
    """
    whole = jnp.floor(jnp.stack([x.min() for x in jax.tree.leaves(clocks)]).min())
    return jax.tree.map(lambda x: x - whole, clocks), whole.astype(jnp.int32)


def _rows(value: NodeFloatLike, ctx: Context, time: jax.Array) -> jax.Array:
    """A number or [n_all] array as values of the rows at hand, as wide as clocks."""
    value = jnp.asarray(value, time.dtype)
    return jnp.broadcast_to(value, time.shape) if value.ndim == 0 else value[ctx.ids]
