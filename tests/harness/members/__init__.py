"""One cheap instance of every method and network option, for the tests that walk all of them: a module per family or kind.

A module may hold `methods(lr)`, `options(strength)` and the `STRENGTHLESS` among them. A new member is a row in its module; a new
module is a name in the list below, which is the order of the tables in the docs.
"""

import functools
import importlib

import dejax as dj
from dejax.core.method import traits
from dejax.events._timetable import timetable_of

N = 6
_METHODS = "gossip tracking exact compressed push asynchronous federated clustered personal bilevel merging submodular bandits distilled graphs baselines"
_OPTIONS = "compression attacks aggregation privacy faults audit clock"
_MODULES = [importlib.import_module(f"{__name__}.{name}") for name in (_METHODS + " " + _OPTIONS).split()]


def _rows(what, *args):
    """The rows of all modules; a name stands once."""
    rows = {}
    for module in _MODULES:
        more = getattr(module, what, lambda *_: {})(*args)
        assert not rows.keys() & more.keys(), f"{rows.keys() & more.keys()} stand twice"
        rows |= more
    return rows


def methods(strength=1.0):
    """name -> method on N nodes."""
    return _rows("methods", 0.05 * strength)


def options(strength=1.0):
    """name -> keyword arguments of Network; `strength` scales what the option does (a compressor keeps less)."""
    return _rows("options", strength)


STRENGTHLESS = set().union(*(getattr(module, "STRENGTHLESS", set()) for module in _MODULES))  # on or off


def plan(rounds=8, width=2):
    """A timetable on the ring of N nodes."""
    first = [0, 3, 1, 4, 2, 5, 0, 2, 4, 1, 3, 5, 0, 3, 2, 5]
    second = [1, 2, 2, 5, 3, 0, 5, 1, 3, 0, 4, 4, 1, 4, 1, 0]
    return timetable_of(first, second, n=N, width=width)


@functools.cache
def problem():
    """A softmax regression on digits, N nodes of unequal shards, batches of 4."""
    data = dj.data.digits(flat=True).partition(
        dj.data.dirichlet_by_class(alpha=1.0, min_size=6), nodes=N, seed=1, public=12
    )
    task = dj.tasks.mlp(64, 10)
    return dj.Problem(task, data, batch_size=4, starts="independent")


def graphs():
    """name -> keyword arguments of Network that replace its topology or say who carries averages, and when nodes meet."""
    t = dj.topology
    links = [(i, (i + 1) % N) for i in range(N)] + [(0, 2)]
    return {
        "ring": {"topology": t.ring(N)},
        "binary_tree": {"topology": t.binary_tree(N)},
        "isolated": {"topology": t.isolated(N)},
        "directed_ring": {"topology": t.directed_ring(N)},
        "one_peer_exponential": {"topology": t.one_peer_exponential(N)},
        "random_matching": {"topology": t.random_matching(N)},
        "row_stochastic": {"topology": t.from_edges(links, n=N, directed=True, weights=t.uniform_neighbour())},
        "column_stochastic": {"topology": t.from_edges(links, n=N, directed=True, weights=t.push_sum())},
        "poisson": {"events": dj.events.poisson()},
        "decoupled": {"events": dj.events.decoupled()},
        "updates": {"events": dj.events.updates(age=1)},
        "star": {"server": "star"},
        "shards": {"server": "shards"},
        "all_reduce": {"server": "all_reduce"},
    }


def probe(graph):
    """A method that goes with an entry of `graphs`, to try options on it."""
    if "server" in graphs()[graph]:
        return "fedavg"
    return {"column_stochastic": "sgp", "updates": "quadratic_energy"}.get(graph, "dsgd_awc")


def network(method_name, **options):
    """A network that the method can be carried by."""
    said = traits(methods()[method_name])
    if said.gossips:
        t = dj.topology
        ring = t.ring(N) if said.spectrum is None else t.ring(N, weights=t.lazy())
        tree = said.graph == "tree" or not said.learns  # on a ring all core numbers are alike
        options = {"topology": t.binary_tree(N) if tree else ring} | options
    if said.needs_events:
        apart = dj.events.decoupled(width=2).plan(t.ring(N), 8)
        options = {"events": apart if said.needs_events == "apart" else plan()} | options
    if said.needs_clock:
        options = {"clock": dj.faults.clock(gradient=1.0)} | options
    return dj.Network(**options)
