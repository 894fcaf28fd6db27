"""DBW: a server waits for the k first gradients, k chosen for the most descent per second.

    g = mean of the k first g_i(x);   x <- x - lr g;   k <- argmax_k gain(k) / T(k)
    gain(k) = (lr - L lr^2 / 2) G - (L lr^2 / 2) V / k

V = k / (k - 1) (mean ||g_i||^2 - ||g||^2), the spread of the gradients that came (one alone tells nothing: V stays); G =
max(||g||^2 - V / k, 0); L = 2 (F - F' + lr G') / (lr^2 ||g'||^2), the smoothness that explains how the loss F moved
from the last round's F', G' and g' by the last round's lr. Each enters as its mean over the last `window` rounds,
L as 0 where that is negative (a bound in each round would make noise look like curvature). T(k): the mean seconds until the
k-th gradient came, of the rounds that waited so long, made non-decreasing in k by isotonic least squares. Where the loss has
risen by more than 1 %, k grows; where nothing is to be gained, k = n, as in the first round.

Who is not waited for drops its gradient and begins anew at the next x. On unequal data the quick nodes' losses count more.
Wire: 1 model and 2 numbers up and down per node and round. Work: a forward pass beside each gradient, for F.
Reference: Xu, Neglia and Sebastianelli, Dynamic backup workers for parallel machine learning, 2020, from knowledge of the
paper, not its code: the details of the estimates are unconfirmed. Here T does not depend on the k of the round before, as
nobody works on old models.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...core import tree
from ...core.checks import whole
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.types import FloatLike, NodeTree, PRNGKey, Round, Tree
from .._parts import LR, at_server

RISEN = 1.01  # a loss that is so many times the last one has risen
ALIKE = 1 - 1e-4  # of the best: as good, up to rounding; of such k the largest is taken
TINY = 1e-30


class DbwState(NamedTuple):
    """What the next round needs."""

    params: Tree  # x, the server's model, no node axis
    wait: jax.Array  # int32, k of the next round
    recent: jax.Array  # [window, 3]: V, G and L of the last rounds, the newest last
    last: jax.Array  # [4]: F, G, ||g||^2 and lr of the last round
    times: jax.Array  # [2, choices]: seconds until the k-th came, of each choice of k, added up, and how often


@struct
class Dbw:
    """SGD at a server that waits for the k first gradients, k chosen anew in every round.

    Nodes count alike. Needs `network.clock`, e.g. `dejax.faults.clock(exponential=1.0)`.

    Args:
      lr: step size at the server, > 0; a number or a schedule.
      window: rounds that estimates are means over, >= 1, static; the paper takes about 5.
      choices: how many k are compared, evenly spread up to n, >= 1, static; n of them compare all.
    Update: x <- x - lr mean of the k first gradients; k by the most descent per second
    Choose it for: unequal times of nodes, with network.clock
    Raises:
      ValueError: lr <= 0; window or choices < 1.
    Identity: gradients that are alike make k the least choice; nodes that are equally fast make k = n, which is SGD on all nodes.
    Reference: Xu, Neglia and Sebastianelli, IFIP Networking 2020.
    """

    lr: FloatLike = number(check=LR)
    window: int = static(default=5, check=whole)
    choices: int = static(default=16, check=whole)

    traits = Traits(channel="server", needs_clock=True, raw_losses=True)

    def init(self, params: NodeTree, key: PRNGKey) -> DbwState:
        """All nodes are waited for; nothing is known."""
        del key
        n, zeros = tree.leaves(params)[0].shape[0], lambda *shape: jnp.zeros(shape, float)
        return DbwState(at_server(params), jnp.int32(n), zeros(self.window, 3), zeros(4), zeros(2, self.choices))

    def step(self, state: DbwState, round: Round) -> DbwState:
        """Take the first gradients, step, and choose how many to wait for."""
        x, began = tree.tile(state.params, round.n), round.seconds
        batch = round.batch(params=x)
        grads, losses = round.gradient(x, batch), round.loss(x, batch)
        spent = round.seconds - began
        first = round.fastest(state.wait)
        g, square, loss = round.average((grads, tree.sq_norm(grads), losses), first.astype(float))
        whole = jnp.where(first, round.seconds - began, 0).max()
        heard, lr = first.sum(), jnp.asarray(round.rate(self.lr), float)

        k, size = jnp.maximum(heard, 1).astype(float), tree.sq_norm(tree.map(lambda x: x[None], g))[0].astype(float)
        spread = jnp.maximum(square.astype(float) - size, 0) * k / jnp.maximum(k - 1, 1)
        spread = jnp.where(k > 1, spread, state.recent[-1, 0])
        slope, loss = jnp.maximum(size - spread / k, 0), loss.astype(float)
        before, last_slope, last_size, last_lr = state.last
        bend = 2 * (loss - before + last_lr * last_slope) / jnp.maximum(last_lr**2 * last_size, TINY)
        recent = jnp.concatenate([state.recent[1:], jnp.stack([spread, slope, bend])[None]])
        age = jnp.arange(self.window)[::-1]
        mean = lambda column, known: recent[:, column].sum(where=age < known) / jnp.clip(known, 1, self.window)
        v, g2, bent = mean(0, round.index + 1), mean(1, round.index + 1), jnp.maximum(mean(2, round.index), 0)

        counts = np.ceil(np.arange(1, self.choices + 1) * round.n / self.choices).astype(int)  # the choices of k
        ends = jnp.sort(jnp.where(first, spent, jnp.inf))
        came = jnp.asarray(counts) <= heard
        until = jnp.where(came, ends[counts - 1] + whole - ends[jnp.maximum(heard, 1) - 1], 0)
        times = state.times + jnp.stack([until, came]).astype(float)
        gain = (lr - bent * lr**2 / 2) * g2 - bent * lr**2 / 2 * v / counts
        speed = gain / _non_decreasing(*times)
        wait = jnp.where(speed >= ALIKE * speed.max(), jnp.asarray(counts), 0).max()
        wait = jnp.where(gain.max() > 0, wait, round.n)
        wait = jnp.where(loss > RISEN * before, jnp.maximum(wait, jnp.minimum(heard + 1, round.n)), wait)
        wait = jnp.where(round.index > 0, wait, round.n).astype(jnp.int32)

        params = tree.axpy(-lr, g, state.params)
        new = DbwState(params, wait, recent, jnp.stack([loss, slope, size, lr]), times)
        return tree.map(lambda a, b: jnp.where(heard > 0, a, b), new, state)


def _non_decreasing(total: jax.Array, count: jax.Array) -> jax.Array:
    """Isotonic least squares of means total / count [m], in units of the largest.

    Weights are the counts. Where one is 0, the value before; all are 1 where none takes time.
    T_k = max over i <= k of min over j >= k of the mean of i to j.
    """
    m = len(total)
    i, j = jnp.arange(m)[:, None], jnp.arange(m)[None]
    upto = lambda x: jnp.concatenate([jnp.zeros(1, x.dtype), jnp.cumsum(x)])
    over = lambda x: upto(x)[None, 1:] - upto(x)[:-1, None]  # [i, j]: the sum of i to j
    known = (over(count) > 0) & (i <= j)
    means = jnp.where(known, over(total) / jnp.where(known, over(count), 1), jnp.inf)
    least = jax.lax.cummin(means, axis=1, reverse=True)  # [i, k]: over j >= k
    best = jax.lax.cummax(jnp.where((i <= j) & jnp.isfinite(least), least, 0), axis=0)  # [i, k]: over those up to i
    found = jnp.diagonal(best)
    return jnp.where(found[-1] > 0, jnp.maximum(found / jnp.where(found[-1] > 0, found[-1], 1), 1e-6), 1)


__all__ = ["Dbw", "DbwState"]
