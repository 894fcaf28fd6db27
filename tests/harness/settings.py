"""Graphs and tasks for combinations: one of each kind, on eight nodes."""

import functools

import jax
import jax.numpy as jnp
import members
import numpy as np

import dejax as dj
from dejax.events._timetable import timetable_of

N = 8
T = dj.topology

GRAPHS = {
    "ring": lambda: T.ring(N),
    "complete": lambda: T.complete(N),
    "dense": lambda: T.erdos_renyi(N, p=0.8, seed=0),
    "hubs": lambda: T.barabasi_albert(N, m=2, seed=0),
    "regular": lambda: T.random_regular(N, degree=3, seed=0),
    "tree": lambda: T.binary_tree(N),
    "digraph": lambda: T.random_digraph(N, degree=2, seed=0),
    "one_peer": lambda: T.one_peer_exponential(N),
    "matching": lambda: T.random_matching(N),
    "events": lambda: T.ring(N),
    "updates": lambda: T.ring(N),
    "server": lambda: None,
}


def digits(flat):
    """Unequal shards of digits."""
    return dj.data.digits(flat=flat).partition(
        dj.data.dirichlet_by_class(alpha=1.0, min_size=6), nodes=N, seed=1, public=12
    )


def regression():
    """Rows of a linear model in float64, one target each."""
    made = dj.data.least_squares(nodes=N, dim=4, L=1.0, mu=0.3, zeta2=2.0, seed=0, dtype="float64")
    return dj.Problem(made.task, made.data, starts="independent")


def recommender():
    """A shared vector and a personal one, in float32."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((32, 4)), rng.integers(0, 10, 32)
    index = jnp.arange(32, dtype=jnp.int32).reshape(N, 4)
    data = dj.data.NodeData(
        {"x": jnp.asarray(x, jnp.float32), "y": jnp.asarray(y, jnp.int32)}, index, jnp.full((N,), 4, jnp.int32)
    )
    init = lambda key: {"body": jax.random.normal(key, (4,), jnp.float32), "head": jnp.zeros((), jnp.float32)}
    loss = lambda params, batch, key: jnp.square(batch["x"] @ params["body"] + params["head"] - batch["y"] / 10)
    return dj.Problem(
        dj.tasks.from_functions(init, loss),
        data,
        batch_size=2,
        roles={"head": "personal"},
        personal_lr=0.1,
        starts="independent",
    )


def two_models():
    """A linear model at six nodes and one hidden layer at two: what answers alone have in common."""
    tasks = {"linear": dj.tasks.mlp(64, 10), "hidden": dj.tasks.mlp(64, 4, 10)}
    both = dj.tasks.architectures(tasks, nodes={"linear": 6, "hidden": [1, 4]})
    return dj.Problem(both, digits(True), batch_size=4, starts="independent")


def evolution():
    """Directions by measuring along random ones, in place of back-propagation."""
    rule = dj.learning_rules.evolution(sigma=0.1)
    return dj.Problem(dj.tasks.mlp(64, 10), digits(True), batch_size=4, starts="independent", rule=rule)


def forward_forward():
    """Layers with losses of their own."""
    rule = dj.learning_rules.forward_forward()
    return dj.Problem(dj.tasks.goodness_mlp([8]), digits(True), batch_size=4, starts="independent", rule=rule)


def walk():
    """Worlds that go on from round to round, in which nodes act."""
    cells = dj.data.cells(size=3).partition(dj.data.iid(), nodes=N, seed=0)
    source = dj.experience.acting(steps=3, copies=2)
    return dj.Problem(dj.tasks.grid_walk(size=3, hidden=8), cells, source=source, starts="independent")


LESSONS = {"evolution": evolution, "forward_forward": forward_forward, "walk": walk}  # other rules, other sources
TASKS = {
    "mlp": lambda: dj.Problem(dj.tasks.mlp(64, 4, 10), digits(True), batch_size=4, starts="independent"),
    "cnn": lambda: dj.Problem(
        dj.tasks.cnn((2, 4), (8, 8), 10, kernel=3), digits(False), batch_size=2, starts="independent"
    ),
    "regression": regression,
    "personal": recommender,
    "two_models": two_models,
    **LESSONS,
}


@functools.cache
def problem(task):
    """The problem of a kind of task; made once, as programs know problems by value."""
    return TASKS[task]()


def network(graph, options):
    """The network of a kind of graph with options by name, or None where two of them take one place."""
    given = {}
    for name in options:
        one = members.options()[name]
        if given.keys() & one.keys():
            return None
        given |= one
    if graph == "events":
        given["events"] = timetable_of([0, 3, 1, 4, 2, 5, 6, 7], [1, 2, 2, 5, 3, 4, 7, 0], n=N, width=2)
    if graph == "updates":
        given["events"] = dj.events.updates(age=2, width=2)
    return dj.Network(GRAPHS[graph](), **given)
