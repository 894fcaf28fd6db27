"""Write tests/product/combinations.txt anew: `PYTHONPATH=.:tests/harness python tests/product/sample_combinations.py`.

A greedy cover from a fixed seed: of many random combinations that no rule refuses, take again and again the one that shows the most
pairs of (method, option, graph, task, devices) that were not yet seen.
"""

import itertools
import pathlib
import random

import jax
import members
import settings

import dejax as dj
from dejax import engine

HERE = pathlib.Path(__file__).with_name("combinations.txt")
LINES, ON_DEVICES, CANDIDATES = 120, 20, 1500


def accepted(method, options, graph, task):
    """Whether nothing refuses it."""
    problem = settings.problem(task)
    try:
        network = settings.network(graph, options)
        if network is None:
            return False
        engine.prepare(members.methods()[method], problem, network, 4)
    except (dj.RefusedError, ValueError):
        return False
    return True


def begins(combination):
    """Whether tracing its first round refuses nothing either."""
    method, options, graph, task, _ = combination
    parts = engine.prepare(members.methods()[method], settings.problem(task), settings.network(graph, options), 4)
    try:
        jax.eval_shape(engine.start, *parts, jax.random.key(0))
    except (dj.RefusedError, ValueError):
        return False
    return True


def pairs(combination):
    """The pairs of two members that stand side by side in it."""
    method, options, graph, task, devices = combination
    return set(itertools.combinations(sorted([method, *options, graph, task, f"on {devices}"]), 2))


def drawn(rng):
    """One combination that no rule refuses."""
    while True:
        method, graph = rng.choice(list(members.methods())), rng.choice(list(settings.GRAPHS))
        options = tuple(sorted(rng.sample(list(members.options()), rng.choice([0, 1, 2, 2, 3]))))
        task, devices = rng.choice(list(settings.TASKS)), rng.choice([1, 4])
        if accepted(method, options, graph, task):
            return method, options, graph, task, devices


def main():
    """Draw, choose, write."""
    jax.config.update("jax_enable_x64", True)
    rng, seen, chosen = random.Random(0), set(), []
    candidates = sorted({drawn(rng) for _ in range(CANDIDATES)})
    first = list(members.methods())  # each method once, then what shows most
    while len(chosen) < LINES:
        full = sum(c[-1] > 1 for c in chosen) >= ON_DEVICES
        fits = [c for c in candidates if not (full and c[-1] > 1) and (not first or c[0] == first[0])]
        best = max(fits, key=lambda c: len(pairs(c) - seen))
        candidates.remove(best)
        if begins(best):
            chosen.append(best)
            seen |= pairs(best)
            first = first[1:]
    lines = [" ".join([m, "+".join(o) or "plain", g, t, str(d)]) for m, o, g, t, d in sorted(chosen)]
    HERE.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} lines show {len(seen)} pairs of members")


if __name__ == "__main__":
    main()
