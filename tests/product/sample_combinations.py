"""Write tests/product/combinations.txt anew: `PYTHONPATH=.:tests/harness python tests/product/sample_combinations.py`.

A greedy cover from a fixed seed: of many random combinations that no rule refuses, take again and again the one that shows the most
pairs of (method, option, graph, task, devices) that were not yet seen.
"""

import itertools
import pathlib
import random

import members
import settings

import dejax as dj
from dejax import engine

HERE = pathlib.Path(__file__).with_name("combinations.txt")
LINES, ON_DEVICES, CANDIDATES = 120, 20, 1500


def accepted(method, options, graph, task):
    """Whether nothing refuses it."""
    try:
        network = settings.network(graph, options)
        if network is None:
            return False
        engine.prepare(members.methods()[method], settings.problem(task), network, 4)
    except (dj.RefusedError, ValueError, TypeError):
        return False
    return True


def pairs(combination):
    """The pairs of two members that stand side by side in it."""
    method, options, graph, task, devices = combination
    return set(itertools.combinations(sorted([method, *options, graph, task, f"on {devices}"]), 2))


def drawn(rng):
    """One combination; servers half of the time where graphs are, as most graphs suit no federated method."""
    while True:
        method, graph = rng.choice(list(members.methods())), rng.choice(list(settings.GRAPHS))
        options = tuple(sorted(rng.sample(list(members.options()), rng.choice([0, 1, 2, 2, 3]))))
        task, devices = rng.choice(list(settings.TASKS)), rng.choice([1, 4])
        if accepted(method, options, graph, task):
            return method, options, graph, task, devices


def main():
    """Draw, choose, write."""
    rng, seen, chosen = random.Random(0), set(), []
    candidates = sorted({drawn(rng) for _ in range(CANDIDATES)})
    while len(chosen) < LINES:
        full = sum(c[-1] > 1 for c in chosen) >= ON_DEVICES
        best = max(
            (c for c in candidates if c not in chosen and not (full and c[-1] > 1)), key=lambda c: len(pairs(c) - seen)
        )
        chosen.append(best)
        seen |= pairs(best)
    lines = [" ".join([m, "+".join(o) or "plain", g, t, str(d)]) for m, o, g, t, d in sorted(chosen)]
    HERE.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} lines show {len(seen)} of {len(set().union(*map(pairs, candidates)))} pairs")


if __name__ == "__main__":
    main()
