"""One cheap instance of every method and network option, for the tests that walk all of them: a module per family or kind.

A module may hold `methods(lr)`, `networks(n)` of those that do not run on a ring, `options(strength)` and the `STRENGTHLESS` among
them. A new member is a row in its module; a new module needs no line here.
"""

import functools
import importlib
import pkgutil

import dejax as dj

N = 6
_MODULES = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]


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


@functools.cache
def problem():
    """A softmax regression on digits, N nodes of unequal shards, batches of 4."""
    data = dj.data.digits(flat=True).partition(dj.data.dirichlet_by_class(alpha=1.0, min_size=6), nodes=N, seed=1)
    task = dj.tasks.mlp(64, 10)
    return dj.Problem(task, data, batch_size=4, starts="independent")


def network(method_name, **options):
    """A network that the method can be carried by."""
    make = _rows("networks", N).get(method_name, functools.partial(dj.Network, dj.topology.ring(N)))
    return make(**options)
