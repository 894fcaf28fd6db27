"""What a method sends and keeps, from shapes alone: the amounts of the second table of docs/methods.md.

Each method is traced on the network and the problem of tests/harness/members, whose settings (local steps, periods, compressors) the
amounts are of. Nothing is compiled, and no gradient is computed.
"""

import dataclasses
import functools
import inspect
import math
import re

import jax
import jax.numpy as jnp
import members

from dejax import engine
from dejax.core.method import traits
from dejax.methods._parts import WEIGHTS
from dejax.planning import traffic
from dejax.planning.plan import numbers

ROUNDS = range(1, 25)  # those whose messages are counted; round 0 is often another


def field(doc, name):
    """The text of a field `name:` of a docstring, on one line; "" where there is none."""
    found = re.search(rf"^[ ]*{name}:[ ]*(.*(?:\n(?!\s*\w[\w ]*:)[ ]*\S.*)*)", doc or "", re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def amount(count, model):
    """So many numbers as models of so many numbers, and single numbers beside them; "" for none."""
    if count < 1e-6:
        return ""
    words = lambda value, name: f"{value:.3g} {name}{'' if f'{value:.3g}' == '1' else 's'}"
    whole, rest = divmod(count + 1e-6, model)
    if rest > 0.1 * model and (whole or count > 100):
        return words(count / model, "model")
    parts = [words(whole, "model")] * (whole > 0) + [words(round(rest, 3), "number")] * (rest > 1e-3)
    return " and ".join(parts)


def trace(name, method, problem):
    """(network, carry, which of its leaves have the node axis, one traced round) of a method."""
    key = jax.random.key(0)
    method, problem, network = engine.prepare(method, problem, members.network(name), ROUNDS.stop)
    axes = engine.carry_axes(method, problem, network, key)
    carry = jax.eval_shape(engine.start, method, problem, network, key)
    return network, carry, axes, traffic.trace(method, problem, network, axes, carry)


def kept(method, problem, network, carry, axes):
    """What a node keeps, and what there is one of for all: the state and the network's memory, but not the sampler's."""
    model, n, edges = problem.of_model(numbers), problem.n, getattr(network.edges, "m", None)
    found = dict.fromkeys(("node", *WHERE), 0.0)
    trees = [(carry.state, axes.state), *((x, axes.slots[k]) for k, x in carry.slots.items() if k != "source")]
    for tree, has in trees:
        leaves, flags = jax.tree.leaves(tree), jax.tree.leaves(has)
        for x, own in zip(leaves, flags if len(flags) == len(leaves) else flags * len(leaves), strict=True):
            if not (jnp.issubdtype(x.dtype, jnp.number) or x.dtype == bool):
                continue
            kind, over = "all", 1
            if own:
                kind, over = ("others", n * n) if x.shape[1:2] == (n,) else ("node", n)
            elif x.shape[:1] == (edges,):
                kind, over = "edge", edges
            if x.shape[-2:] == (model, model):
                kind, over = "matrix", n * model * model if own else math.inf
            found[kind] += math.prod(x.shape) / over
    table = traits(method).per_example * problem.data.index.shape[1] * model  # one row for each sample
    parts = [amount(found["node"] - table, model), "1 model per sample" * bool(table)]
    parts += [f"{amount(found[kind], model)} {where}" for kind, where in WHERE.items() if found[kind]]
    return ", ".join(filter(None, parts))


WHERE = {"matrix": "times d^2", "edge": "per neighbor", "others": "times n", "all": "for all nodes"}


def sent(method, problem, network, traced, doc):
    """What is sent in a round, in the mean of `ROUNDS`; the docstring's `Wire:` where that follows from values."""
    rounds = ROUNDS if network.events is None else range(network.events.rounds)
    by_name = traffic.sent_bytes(network, traced, rounds)
    if by_name is None:
        found = re.search(r"Wire: (.*?)\.(?:\s|$)", " ".join(doc.split()))
        return found[1] if found else "what follows from values"
    model, said = problem.of_model(numbers), traits(method)
    totals = dict.fromkeys(("wire", "up", "down"), 0.0)
    for name, size in by_name.items():
        totals[name.split("/")[0]] += size / 4  # bytes of a number
    if network.events is not None:
        events = float((network.events.initiators < problem.n).sum()) / len(rounds)
        return f"{amount(totals['wire'] / events, model)} per event"
    links = len(network.topology.edges()) if said.gossips else 1
    nodes = said.cohort or problem.n
    parts = [(totals["wire"] / links, "per neighbor"), (totals["up"] / nodes, "up"), (totals["down"] / nodes, "down")]
    return ", ".join(f"{amount(value, model)} {where}" for value, where in parts if value) or "nothing"


def counts(method):
    """How much each upload counts in what a server averages; "" where it averages none."""
    said = traits(method)
    if any(f.name == "weights" and f.metadata["check"] is WEIGHTS for f in dataclasses.fields(method)):
        return "by samples, *switchable*"
    return "alike" if (said.channel == "server" or said.served) and said.averages else ""


def step(method):
    """By which fields a node's step is given: `lr`, or `optimizer` in its place; "" for neither."""
    fields = [f.name for f in dataclasses.fields(method)]
    return " or ".join(f"`{name}`" for name in ("lr", "optimizer") if name in fields)


def settings(name, method):
    """The call that makes the member, without its rate and what is left at its default."""
    fields = [f for f in dataclasses.fields(method) if f.name not in ("lr", "optimizer")]
    plain = lambda x: isinstance(x, (bool, int, float, str))
    given = [(f.name, getattr(method, f.name)) for f in fields if getattr(method, f.name) != f.default]
    said = ", ".join(f"{k}={v!r}" for k, v in given if plain(v))
    return f"`{name}({said})`" if said else f"`{name}`"


@functools.cache
def facts():
    """Class of a method -> (its first member in tests/harness/members, what it sends, what a node keeps)."""
    found, problem = {}, members.problem()
    with jax.enable_x64(False):  # in which numbers of runs are as wide as those of models
        for name, method in members.methods().items():
            if type(method).__name__ not in found:
                network, carry, axes, traced = trace(name, method, problem)
                doc = inspect.getmodule(type(method)).__doc__
                amounts = sent(method, problem, network, traced, doc), kept(method, problem, network, carry, axes)
                found[type(method).__name__] = method, *amounts
    return found


__all__ = ["counts", "facts", "field", "settings", "step"]
