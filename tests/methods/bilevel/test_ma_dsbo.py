"""MA-DSBO against NumPy on quadratics, whose hypergradient is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import RING, N, W, close, mix

import dejax as dj
from dejax.data import NodeData

P, Q, MU = 3, 4, 0.5
rng = np.random.default_rng(2)
ROOT = rng.standard_normal((N, Q, Q))
H = np.eye(Q) + np.einsum("nab,ncb->nac", ROOT, ROOT) / Q  # unequal curvature: means of inverses are wrong
B, C, D = rng.standard_normal((N, Q, P)), rng.standard_normal((N, Q)), rng.standard_normal((N, P))
X0, Y0 = rng.standard_normal((N, P)), rng.standard_normal((N, Q))
STEPS = {"lr": 0.05, "lower_lr": 0.1, "solve_lr": 0.08, "average": 0.3}


def init(key):
    """A model of both levels."""
    return {"upper": {"x": jnp.zeros(P)}, "y": jax.random.normal(key, (Q,), jnp.float64)}


def lower(params, batch, key):
    """(y - B x)' H (y - B x) / 2, one row per node."""
    del key
    gap = params["y"][None] - jnp.einsum("bqp,p->bq", batch["B"], params["upper"]["x"])
    return 0.5 * jnp.einsum("bq,bqr,br->b", gap, batch["H"], gap)


def linear(params, batch, key):
    """c . y + mu |x - d|^2 / 2: its slope in y is the same everywhere."""
    del key
    return batch["c"] @ params["y"] + 0.5 * MU * jnp.square(params["upper"]["x"][None] - batch["d"]).sum(-1)


def square(params, batch, key):
    """|y - c|^2 / 2 + mu |x - d|^2 / 2."""
    del key
    near = jnp.square(params["y"][None] - batch["c"]).sum(-1)
    return 0.5 * near + 0.5 * MU * jnp.square(params["upper"]["x"][None] - batch["d"]).sum(-1)


def problem(upper, nodes=N):
    """One row of matrices at each node."""
    rows = {k: jnp.asarray(v[:nodes]) for k, v in {"H": H, "B": B, "c": C, "d": D}.items()}
    data = NodeData(rows, jnp.arange(nodes, dtype=jnp.int32)[:, None], jnp.ones((nodes,), jnp.int32))
    return dj.Problem(dj.tasks.from_functions(init, upper, lower=lower), data)


def run(method, made, network, rounds, x0=X0, y0=Y0):
    """The final state."""
    import programs

    params = {"upper": {"x": jnp.asarray(x0)}, "y": jnp.asarray(y0)}
    return programs.run(method, made, dj.Network(network), rounds, jax.random.key(0), params)[0]


def slope(y, name):
    """grad_y f_i at each row."""
    return C if name == "linear" else y - C


def loop(rounds, lower_steps, solve_steps, name, w=W):
    """All nodes, one product of matrices after the other."""
    x, y, r = X0.copy(), Y0.copy(), np.zeros((N, P))
    z, v, last = (np.zeros((N, Q)) for _ in range(3))
    each = lambda a, b: np.stack([a[i] @ b[i] for i in range(N)])
    for _ in range(rounds):
        for _ in range(lower_steps):
            y = mix(w, y) - STEPS["lower_lr"] * each(H, y - each(B, x))
        for _ in range(solve_steps):
            z = mix(w, z) - STEPS["solve_lr"] * v
            s = each(H, z) - slope(y, name)
            v, last = mix(w, v) + s - last, s
        u = MU * (x - D) + np.stack([B[i].T @ H[i] @ z[i] for i in range(N)])
        x = mix(w, x) - STEPS["lr"] * r
        r = (1 - STEPS["average"]) * r + STEPS["average"] * u
    return x, y, z, v, last, r


@pytest.mark.parametrize("upper", [square, pytest.param(linear, marks=pytest.mark.slow)])
def test_against_numpy(upper):
    method = dj.methods.ma_dsbo(**STEPS, lower_steps=2, solve_steps=3)
    for rounds in (1, 2, 7):
        state = run(method, problem(upper), RING, rounds)
        got = [state.params["upper"]["x"], state.params["y"], state.solution["y"], state.tracker["y"], state.last["y"]]
        got.append(state.direction["upper"]["x"])
        for mine, want in zip(got, loop(rounds, 2, 3, upper.__name__), strict=True):
            close(np.asarray(mine), want, 1e-10)
        close(np.asarray(state.tracker["y"]).mean(0), np.asarray(state.last["y"]).mean(0))  # mean(v) = mean(s)


def test_hypergradient_is_that_through_the_lower_minimizer():
    """x stands still: z solves the system of mean Hessians, and mean(u) is the derivative through y*(x)."""
    x = np.broadcast_to(X0[0], X0.shape)
    method = dj.methods.ma_dsbo(lr=0.0, lower_lr=0.1, solve_lr=0.05, average=1.0)
    state = run(method, problem(linear), RING, 400, x0=x)
    z = np.linalg.solve(H.mean(0), C.mean(0))
    close(np.asarray(state.solution["y"]), np.broadcast_to(z, (N, Q)), 1e-10)
    wrong = np.stack([np.linalg.solve(H[i], C[i]) for i in range(N)]).mean(0)
    assert np.abs(wrong - z).max() > 0.1  # what nodes would make of their own inverses

    def total(x):
        best = jnp.linalg.solve(H.mean(0), jnp.asarray(np.einsum("nab,nbp->ap", H, B) / N) @ x)
        return C.mean(0) @ best + 0.5 * MU * jnp.square(x[None] - D).sum(-1).mean()

    close(np.asarray(state.direction["upper"]["x"]).mean(0), np.asarray(jax.grad(total)(jnp.asarray(X0[0]))), 1e-10)


def optimum(nodes):
    """x where the derivative of mean |y*(x) - c|^2 / 2 + mu |x - d|^2 / 2 is zero, y*(x) = m x."""
    h, b, c, d = H[:nodes], B[:nodes], C[:nodes], D[:nodes]
    m = np.linalg.solve(h.mean(0), np.einsum("nab,nbp->ap", h, b) / nodes)
    return np.linalg.solve(m.T @ m + MU * np.eye(P), m.T @ c.mean(0) + MU * d.mean(0))


def test_one_node_reaches_the_optimum():
    method = dj.methods.ma_dsbo(lr=0.05, lower_lr=0.2, solve_lr=0.2)
    state = run(method, problem(square, 1), dj.topology.ring(1).astype("float64"), 1000, X0[:1], Y0[:1])
    close(np.asarray(state.params["upper"]["x"])[0], optimum(1), 1e-10)


@pytest.mark.slow
def test_a_network_comes_as_near_as_its_steps_are_small():
    errors = []
    for scale in (1.0, 0.25):
        method = dj.methods.ma_dsbo(lr=0.04 * scale, lower_lr=0.08 * scale, solve_lr=0.05)
        state = run(method, problem(square), RING, 6000)
        errors.append(np.abs(np.asarray(state.params["upper"]["x"]).mean(0) - optimum(N)).max())
    assert errors[1] < 0.4 * errors[0] < 0.05


def test_paths_of_the_upper_level_are_checked():
    for upper in ((), 3, ("nowhere",), ("upper", "y")):
        with pytest.raises(ValueError, match="upper"):
            dj.methods.ma_dsbo(lr=0.1, upper=upper).init(
                {"upper": {"x": jnp.zeros((2, 1))}, "y": jnp.zeros((2, 1))}, jax.random.key(0)
            )
