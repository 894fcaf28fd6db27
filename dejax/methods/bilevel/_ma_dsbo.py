"""MA-DSBO: stochastic bilevel optimization between neighbors by Hessian-vector products.

    minimise mean_i f_i(x, y*(x)),   y*(x) = argmin_y mean_i g_i(x, y)

    T times:  y_i <- sum_j W_ij y_j - lower_lr grad_y g_i(x_i, y_i)
    N times:  z_i <- sum_j W_ij z_j - solve_lr v_i;   s_i = grad_yy g_i z_i - grad_y f_i, at (x_i, y_i)
              v_i <- sum_j W_ij v_j + s_i - the last s_i
    u_i = grad_x f_i - grad_xy g_i z_i, of the last s_i's batch
    x_i <- sum_j W_ij x_j - lr r_i;   r_i <- (1 - average) r_i + average u_i

z tracks the solution of (mean_i grad_yy g_i) z = mean_i grad_y f_i. A node's own inverse would not
do: the mean of inverses is not the inverse of the mean. z, v and the last s go on from round to
round, as a tracker that starts afresh leaves a bias. They start at zero, so that the first of all N
steps only fills v. s and u come out of one gradient, that of the derivative of g_i along z less
f_i; it counts as one gradient and one product, and enters `loss/gradient` as the value that it has.

x and y have errors of the order of their steps where nodes differ, as those of D-PSGD; z has none.
W: doubly stochastic. lower_lr and solve_lr below 1 / L, L the curvature of the g_i in y.
Wire: T times y, N times z and v, and x per directed edge and round.
Reference: Chen, Huang, Ma and Balasubramanian, Decentralized stochastic bilevel optimization with
improved per-iteration complexity, 2023. Written from knowledge of the paper, without its code.
Uncertain: which steps mix before they move, one batch for s and u where the paper may draw two, and
the constant in front of lr that `average` stands for.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from ...core import tree
from ...core.checks import in_, rate, whole
from ...core.method import Traits
from ...core.struct import number, static, struct
from ...core.tree import join, path_of
from ...core.types import FloatLike, NodeFloatLike, NodeTree, PRNGKey, Round, Tree
from ...errors import bad


class MaDsboState(NamedTuple):
    """What the next round needs; trees of one level have None where a leaf is of the other."""

    params: NodeTree  # x and y, one of each per node
    solution: NodeTree  # z, like y
    tracker: NodeTree  # v, like y
    last: NodeTree  # s, like y
    direction: NodeTree  # r, like x


@struct
class MaDsbo:
    """MA-DSBO: decentralized stochastic bilevel optimization with a moving average.

    The task's `loss` is the upper one, its `lower` the lower one, of the same signature; a task
    without `lower` has one loss for both levels. Losses see one batch: samples of both levels are
    told apart by a column of the data.

    Args:
      lr: step of x, >= 0; scalar, [n] or a schedule.
      lower_lr, solve_lr: steps of y and z, likewise.
      average: share of the new hypergradient in r, in (0, 1]; the paper ties it to lr.
      upper: paths of the leaves of x, each the first names of a leaf's path; all others are y; static.
      lower_steps, solve_steps: T, N >= 1, static.
    Update: T times y <- W y - b grad_y g; N times z, v track the mean linear system; u = grad_x f - grad_xy
      g z; x <- W x - lr r, r a moving average of u
    Choose it for: an upper loss over the minimizer of a lower one (from_functions(..., lower=))
    Raises:
      ValueError: no leaf, or all of them, under `upper`; a number outside its range.
    Identity: mean(v) = mean(s); on quadratics z -> (mean H_i)^-1 mean b_i, and mean(u) is the exact
      hypergradient.
    Reference: Chen, Huang, Ma and Balasubramanian, ICML 2023.
    """

    lr: NodeFloatLike = number(check=rate)
    lower_lr: NodeFloatLike = number(default=0.1, check=rate)
    solve_lr: NodeFloatLike = number(default=0.1, check=rate)
    average: FloatLike = number(default=0.5, check=in_(0, 1, "(]"))
    upper: Any = static(default=("upper",))
    lower_steps: int = static(default=5, check=whole)
    solve_steps: int = static(default=5, check=whole)

    traits = Traits(sums_keep="mean(v) = mean(s)")

    def __post_init__(self) -> None:
        paths = (self.upper,) if isinstance(self.upper, str) else self.upper
        if not isinstance(paths, (tuple, list)) or not paths or not all(isinstance(p, str) for p in paths):
            raise bad("upper", self.upper, owner=self, instead="give paths of leaves, e.g. ('upper',)")
        object.__setattr__(self, "upper", tuple(paths))

    def init(self, params: NodeTree, key: PRNGKey) -> MaDsboState:
        """All estimates at zero."""
        del key
        x, y = self.split(params)
        return MaDsboState(params, tree.zeros(y), tree.zeros(y), tree.zeros(y), tree.zeros(x))

    def step(self, state: MaDsboState, round: Round) -> MaDsboState:
        """The lower level, the linear system, then the upper level."""
        x, y = self.split(state.params)
        upper = round.of_task("loss")
        lower = round.of_task("lower", upper)
        along = _along(upper, lower)

        def descend(r: Round, y: NodeTree) -> NodeTree:
            slope = self.split(r.gradient(join(x, y), loss=lower))[1]
            return r.keep(tree.sub(r.gossip(y), tree.scale(r.rate(self.lower_lr), slope)), y)

        y = round.repeat(self.lower_steps, descend, y, name="lower")

        def solve(r: Round, carry: Tree) -> Any:
            z, v, last, _ = carry
            z = tree.sub(r.gossip(z, name="solution"), tree.scale(r.rate(self.solve_lr), v))
            u, s = self.split(r.gradient(join(x, y), loss=along, extra=(z,), products=1))
            v = tree.add(r.gossip(v, name="tracker"), tree.sub(s, last))
            return r.keep((z, v, s, tree.scale(-1, u)), carry)

        start = (state.solution, state.tracker, state.last, tree.zeros(x))
        z, v, last, u = round.repeat(self.solve_steps, solve, start, name="solve")
        r = state.direction
        x = tree.sub(round.gossip(x, name="upper"), tree.scale(round.rate(self.lr), r))
        r = tree.add(tree.scale(1 - self.average, r), tree.scale(self.average, u))
        return MaDsboState(join(x, y), z, v, last, round.keep(r, state.direction))

    def split(self, params: Tree) -> tuple[Any, Any]:
        """x and y out of a whole model, each with None in place of the other's leaves."""

        def is_upper(path: Any) -> bool:
            names = path_of(path).split("/")
            return any(names[: len(u)] == u for u in (p.strip("/").split("/") for p in self.upper))

        found = jax.tree_util.tree_map_with_path(lambda path, _: is_upper(path), params)
        x, y = (
            tree.map(lambda leaf, up, want=want: leaf if up == want else None, params, found) for want in (True, False)
        )
        if not tree.leaves(x) or not tree.leaves(y):
            names = ", ".join(path_of(p) for p, _ in jax.tree_util.tree_leaves_with_path(params))
            why = f"which is {'all' if tree.leaves(x) else 'none'} of the leaves {names}"
            raise bad("upper", self.upper, owner=self, why=why, instead="give the paths of some of them")
        return x, y


def _along(upper: Callable[..., Any], lower: Callable[..., Any]) -> Callable[..., jax.Array]:
    """The loss whose gradient is (-u, s): the lower one's derivative along z, less the upper."""

    def loss(params: Tree, batch: Tree, key: jax.Array, z: Tree) -> jax.Array:
        tangent = join(z, tree.zeros(params))
        return jax.jvp(lambda p: lower(p, batch, key), (params,), (tangent,))[1] - upper(params, batch, key)

    return loss


__all__ = ["MaDsbo", "MaDsboState"]
