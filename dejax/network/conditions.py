"""Longer conditions of refusals: falsy where a case passes, else words of the reason."""

from typing import Any

import numpy as np

from ..errors import FieldError, bad
from ..topology import least_eigenvalue
from .case import Case

MARGIN = 1e-6  # an eigenvalue at the limit itself is too low, however it is rounded


def ignored(case: Case) -> Any:
    """The first option that acts on messages where a method sends none."""
    network = case.network
    idle = {"codec": network.codec.lossless, "rule": network.rule.linear, "faults": not network.faults}
    field = next((field for field, is_idle in idle.items() if not is_idle), None)
    return field and {"field": field, "value": getattr(network, field)}


def all_reduce(case: Case) -> Any:
    """Why partial sums cannot carry what the network asks for."""
    if not case.served or case.network.server != "all_reduce":
        return None
    if not case.network.rule.linear:
        return {"why": f"network.rule {case.option('rule')} must see single values"}
    if not case.network.codec.lossless:
        return {"why": f"network.codec {case.option('codec')} compresses single values"}
    lost = case.fault(lambda fault: not fault.sleeps)
    return lost and {"why": "network.faults loses uploads, and a ring of sums has no single upload to lose"}


def rows(case: Case) -> Any:
    """Who needs rows per edge, and what the graph does that excludes them."""
    if not case.rows or (case.top.fixed and case.both_ways):
        return None
    return who(case) | {"does": "is directed" if case.top.fixed else "changes its neighbors from round to round"}


def who(case: Case) -> dict[str, str]:
    """Who sends or keeps rows per edge."""
    if not case.traits.rows:
        return {"what": "network.codec with per_edge=True keeps"}
    return {"what": f"{case.method} {'sends' if case.channel == 'edges' else 'keeps'}"}


def footprints(case: Case) -> Any:
    """What events touch, where the method's events touch something else."""
    events, own = case.network.events, case.traits.footprint
    if not case.gossips or events is None or own in (None, events.footprint):
        return None
    does = {"pair": "lets two nodes meet", "neighbors": "lets one node act on what it heard of its neighbors"}
    return {"does": does[events.footprint], "want": own}


def cycles(case: Case) -> Any:
    """What a graph that must be a tree is instead."""
    if not case.gossips or case.traits.graph != "tree":
        return None
    if not case.top.fixed:
        return {"is": "changes its neighbors from round to round", "links": case.n - 1}
    if len(case.edges) != 2 * (case.n - 1):
        return {"is": f"has {len(case.edges) // 2} links for n = {case.n} nodes", "links": case.n - 1}
    return None


def eigenvalues(case: Case) -> Any:
    """The least eigenvalue of W, where it is too low or at the limit."""
    bound = case.traits.spectrum
    if not case.gossips or bound is None or not case.top.symmetric:
        return None
    least = least_eigenvalue(case.top)
    return {"least": least} if least < bound + MARGIN else None


def rule_size(case: Case) -> Any:
    """What a rule says of the number of values that it gets."""
    try:
        if case.gossips and not case.network.rule.linear:
            case.network.rule.check(int(case.top.max_degree))
            if found := _small_neighborhood(case):
                return found
        if case.served:
            case.network.rule.check(case.uploads, server=True)
    except FieldError as error:
        return error
    return None


def _small_neighborhood(case: Case) -> Any:
    """What a rule says of the node that hears fewest, but somebody."""
    for phase in range(case.top.period):
        heard = np.bincount(case.top.host(phase).receivers, minlength=case.n)
        fewest = int(heard[heard > 0].min(initial=int(case.top.max_degree)))
        try:
            case.network.rule.check(fewest)
        except FieldError as error:
            where = f" (phase {phase})" if case.top.period > 1 else ""
            node = int(np.flatnonzero(heard == fewest)[0])
            error.why += f". {(heard == fewest).sum()} of {case.n} nodes hear {fewest}, node {node} among them{where}"
            return bad(error.field, error.got, says=error.says, why=error.why, instead=error.instead)
    return None


def adversaries(case: Case) -> Any:
    """What an attack says of the number of nodes."""
    try:
        return case.hostile and None
    except FieldError as error:
        return error


def statistics(case: Case) -> Any:
    """Why batch statistics cannot be kept."""
    if "statistics" not in {role for _, role in case.problem.rules.brought}:
        return None
    if case.traits.pooled and case.roles & {"statistics", "own_statistics"}:
        return {
            "why": f"{case.method} trains one model on the batches of all nodes, which would leave n sets of them",
        }
    if not case.problem.experience.even:
        return {
            "why": "shards of different sizes pad their batches, and padding would be counted; set sampling='replacement'",
        }
    privacy = case.network.privacy
    if privacy is not None and privacy.per_example:
        why = f"network.privacy {case.option('privacy')} clips per example, which batch statistics tie together"
        return {"why": why}
    if (case.rewrites("privacy") or case.noises_uploads) and case.channel == "server" and "statistics" in case.roles:
        return {"why": f"network.privacy {case.option('privacy')} would add noise to variances at the server"}
    return None


__all__ = [
    "adversaries",
    "all_reduce",
    "cycles",
    "eigenvalues",
    "footprints",
    "ignored",
    "rows",
    "rule_size",
    "statistics",
    "who",
]
