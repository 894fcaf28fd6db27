"""What the papers of some methods promise, seen on small problems with a known optimum: prints the tables of docs/experiments.md.

python scripts/shows_methods.py
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import dejax as dj

jax.config.update("jax_enable_x64", True)
N, DIM, SEEDS = 16, 10, range(5)
m, top, c = dj.methods, dj.topology, dj.compression


def squares(seed, zeta2, n=N, dim=DIM):
    """Heterogeneous least squares (L = 1, mu = 0.3), full batches, and its optimum."""
    made = dj.data.least_squares(nodes=n, dim=dim, L=1.0, mu=0.3, zeta2=zeta2, seed=seed, dtype="float64")
    return dj.Problem(made.task, made.data), made.x_star


def distance(method, network, rounds, zeta2, seed, mean=False):
    """Root mean squared distance of the nodes' models (or that of their mean) to the optimum, from a start at zero."""
    problem, best = squares(seed, zeta2)
    network = network(seed) if callable(network) else network
    zero = {"x": jnp.zeros((N, DIM))}
    state, _ = dj.rollout(method, problem, network, jax.random.key(seed), rounds, params=zero)
    models = np.asarray((method.model(state) if hasattr(method, "model") else state.params)["x"])
    models = models.mean(0, keepdims=True) if mean else models
    return float(np.sqrt(np.mean(np.sum((models - best) ** 2, 1))))


def spread(values):
    """Median over seeds, and the range."""
    low, mid, high = min(values), float(np.median(values)), max(values)
    return f"{mid:.1e} ({low:.1e} to {high:.1e})"


def table(title, head, rows):
    """A table in Markdown."""
    print(f"\n### {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def network(graph):
    """A network on this graph, weights in float64."""
    return dj.Network(graph.astype("float64"))


def tracking():
    ring = network(top.ring(N))
    rows = []
    for zeta2 in (0.0, 1.0, 10.0, 100.0):
        pair = (m.dsgd(lr=0.05), m.gradient_tracking(lr=0.05))
        rows.append([f"{zeta2:g}", *(spread([distance(x, ring, 3000, zeta2, s) for s in SEEDS]) for x in pair)])
    table("Gradient tracking: exact whatever the heterogeneity", ["zeta^2", "D-PSGD", "gradient tracking"], rows)


def relay():
    rows = []
    for name in ("chain", "binary_tree"):
        graph = network(getattr(top, name)(N))
        for rounds in (100, 4000):
            methods = (m.dsgd(lr=0.05), m.gradient_tracking(lr=0.05), m.relaysgd(lr=0.05))
            rows.append(
                [name, str(rounds), *(spread([distance(x, graph, rounds, 10.0, s) for s in SEEDS]) for x in methods)]
            )
    head = ["graph", "rounds", "D-PSGD", "gradient tracking (twice the bytes)", "RelaySGD"]
    table("RelaySGD: exact on sparse trees, zeta^2 = 10", head, rows)


def choco():
    gamma, ring = 0.1, top.ring(N)
    lazy = top.from_matrix((1 - gamma) * np.eye(N) + gamma * ring.matrix())
    ring = network(ring)
    base = [distance(m.dsgd(lr=0.05), network(lazy), 3000, 10.0, s) for s in SEEDS]
    rows = [["D-PSGD on W_gamma", spread(base), ""]]
    for name, compressor in (
        ("top-5 of 10", c.top_k(k=5)),
        ("top-2 of 10", c.top_k(k=2)),
        ("QSGD, 4 levels", c.qsgd(levels=4)),
    ):
        method = m.choco(lr=0.05, gamma=gamma, compressor=compressor)
        late = [distance(method, ring, 3000, 10.0, s) for s in SEEDS]
        gap = max(abs(a - b) for a, b in zip(late, base, strict=True))
        rows.append([f"CHOCO, {name}", spread(late), f"{gap:.0e}"])
    head = ["method", "distance after 3,000 rounds", "largest difference to D-PSGD on W_gamma"]
    table("CHOCO: the fixed point does not depend on the compressor (gamma = 0.1, zeta^2 = 10)", head, rows)


def push():
    lr = dj.InverseSqrt(0.3)

    @functools.cache
    def digraph(seed, weights):
        graph = top.random_digraph(N, degree=2, seed=seed)
        if weights == "push_sum":
            return network(graph)
        edges = graph.matrix() != 0
        return network(top.from_matrix(edges / edges.sum(1, keepdims=True)))

    rows = []
    for rounds in (100, 10000):
        row = [str(rounds)]
        for method, weights in ((m.dsgd(lr=lr), "row"), (m.sgp(lr=lr), "push_sum")):
            graph = functools.partial(digraph, weights=weights)
            row.append(spread([distance(method, graph, rounds, 10.0, s, mean=True) for s in SEEDS]))
        rows.append(row)
    head = ["rounds", "D-PSGD, row-stochastic W", "SGP, column-stochastic P"]
    table("SGP: no bias on directed graphs (mean model, lr = 0.3 / sqrt(1 + t), zeta^2 = 10)", head, rows)


def h1(seed):
    """H1: 32 nodes in 4 clusters, 20 samples of y = x . w_c + 0.1 noise each, d = 20, w_c Bernoulli(1/2)."""
    rng = np.random.default_rng(seed)
    kind, w = np.arange(32) % 4, rng.integers(0, 2, (4, 20)).astype(float)
    x, x_test = rng.standard_normal((32, 20, 20)), rng.standard_normal((32, 100, 20))
    noisy = lambda x: np.einsum("nsd,nd->ns", x, w[kind]) + 0.1 * rng.standard_normal(x.shape[:2])
    data = dj.data.from_clients([(a, b) for a, b in zip(x, noisy(x), strict=True)])
    return (
        kind,
        (x_test, noisy(x_test)),
        dj.Problem(dj.tasks.from_functions(linear_init, linear_loss), data, starts="independent"),
    )


def linear_init(key):
    return {"x": jax.random.bernoulli(key, 0.5, (20,)).astype(jnp.float64)}  # as IFCA's authors start


def linear_loss(params, batch, key):
    del key
    return 0.5 * jnp.square(batch["x"] @ params["x"] - batch["y"])


def rand_index(a, b):
    """Adjusted Rand index of two partitions."""
    pairs = lambda x: x * (x - 1) / 2
    counts = np.array([[np.sum((a == i) & (b == j)) for j in np.unique(b)] for i in np.unique(a)])
    both, left, right = pairs(counts).sum(), pairs(counts.sum(1)).sum(), pairs(counts.sum(0)).sum()
    expected = left * right / pairs(len(a))
    return (both - expected) / ((left + right) / 2 - expected)


def clusters():
    kw = {"lr": 0.02, "local_steps": 5}
    methods = {"IFCA, K = 4": m.ifca(clusters=4, **kw), "FedAvg": m.fedavg(**kw), "local only": m.local_only(lr=0.02)}
    errors, indices = {name: [] for name in methods}, []
    for seed in range(10):
        kind, (x, y), problem = h1(seed)
        for name, method in methods.items():
            state, _ = dj.rollout(method, problem, None, jax.random.key(seed), 100 if "local" not in name else 500)
            models = np.broadcast_to(
                np.asarray((method.model(state) if hasattr(method, "model") else state.params)["x"]), (32, 20)
            )
            errors[name].append(float(np.mean((np.einsum("nsd,nd->ns", x, models) - y) ** 2)))
            if "IFCA" in name:
                indices.append(rand_index(kind, np.asarray(state.choice)))
    rows = [
        [name, spread(e), ", ".join(f"{i:.2f}" for i in sorted(indices)) if "IFCA" in name else ""]
        for name, e in errors.items()
    ]
    table(
        "IFCA: finds the clusters, mostly (H1, 10 seeds)", ["method", "test error", "adjusted Rand index by seed"], rows
    )


def copies():
    n, dim = 12, 40
    made = dj.data.consensus(nodes=n, dim=dim, dtype="float64")
    problem, ring = dj.Problem(made.task, made.data, starts="independent"), top.ring(n).astype("float64")
    rows = []
    for p in (0.0, 0.01, 0.1, 0.3):
        row = [f"{p:g}"]
        for per_edge in (False, True):
            codec = c.copies(c.top_k(k=4), gamma=0.2, per_edge=per_edge)
            net = dj.Network(ring, codec=codec, faults=dj.faults.link_loss(p=p))
            got = []
            for seed in SEEDS:
                x = np.asarray(dj.rollout(m.dsgd(lr=0.0), problem, net, jax.random.key(seed), 3000)[0].params["x"])
                got.append(np.mean(np.sum((x - x.mean(0)) ** 2, 1)))
            row.append(spread(got))
        rows.append(row)
    table("Copies under loss: consensus distance of pure gossip, ring of 12, top-4 of 40, gamma = 0.2, 3,000 rounds",
          ["link loss", "one copy per sender (late)", "one per edge and end (lost)"], rows)  # fmt: skip


if __name__ == "__main__":
    for part in (tracking, relay, choco, push, clusters, copies):
        part()
