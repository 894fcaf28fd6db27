"""What a run spends of privacy, read from method, problem and network."""

import math
from typing import Any, NamedTuple

import jax
import numpy as np

from ..core.checks import whole
from ..core.method import traits
from ..core.random import seeded
from ..core.types import Method, Problem
from ..data.sampling import Epoch, Full, Poisson
from ..engine import prepare
from ..engine.rounds import begin
from ..errors import bad
from ..privacy import accountant


class Spent(NamedTuple):
    """What each node spends, and what that rests on.

    Args:
      epsilon: float64 [n], of each node for its own data; inf where there is no guarantee.
      delta: the same for all.
      guarantee: whether epsilon is a bound. words: what it is a bound of, or why there is none.
      per_round: mechanisms that a node runs in a round in which it takes part. rounds: the rounds.
      sampling_rate: float64 [n], the probability with which an example enters a batch. clients: that of a node to take part in a round.
    """

    epsilon: np.ndarray
    delta: float
    guarantee: bool
    words: str
    per_round: int
    rounds: int
    sampling_rate: np.ndarray
    clients: float


def privacy_spent(method: Method, problem: Problem, network: Any, *, rounds: int, delta: float) -> Spent:
    """Account for the privacy of a whole run: (epsilon, delta) of every node.

    A round of K mechanisms in which a node takes part with probability p has the moment 1 - p + p M^K, where M is that of one
    mechanism: who takes part is drawn whatever the data are, and may be seen. Gradients that share a batch count as one mechanism
    of less noise.

    Args:
      method, problem, network: of `simulate`. rounds: how many. delta: in (0, 1), below 1 over the examples of a node.
    Raises:
      FieldError: a network without privacy; a mechanism without a noise_multiplier; an argument out of range. What `simulate` refuses.
    Reference: Abadi et al., Deep learning with differential privacy, 2016 (moments); Mironov, Talwar and Zhang, 2019.
    """
    rounds = whole("rounds", rounds)
    method, problem, network = prepare(method, problem, network, rounds)
    mechanism = network.privacy
    if getattr(mechanism, "noise_multiplier", None) is None:
        instead = "give a mechanism of dejax.privacy, e.g. gaussian_gradient(clip=1.0, noise_multiplier=1.0)"
        raise bad("network.privacy", mechanism, why="whose noise nobody knows", instead=instead)
    runs = _queries(method, problem, network)
    per_round = sum(times * uses for times, uses in runs)
    count, n = np.asarray(jax.device_get(problem.data.count)), problem.n
    cohort = traits(method).cohort
    sleeps = any(fault.sleeps for fault in network.faults)  # those awake are drawn first, and so more often
    clients = 1.0 if cohort is None or sleeps else min(cohort, n) / n
    adjacency = getattr(mechanism, "adjacency", "replace_one")
    noise = float(mechanism.noise_multiplier) / (1 if adjacency == "add_remove" else 2)
    rate, why, words = np.ones(n), "", "a node's message, whatever it is"
    repeats = np.full(n, rounds)
    if mechanism.hook == "gradient":
        rate, repeats, why, words = _of_batches(problem, adjacency, rounds, per_round, count)
    if mechanism.hook == "gradient" and problem.source is not None:
        why = "the problem has a source of experience, and no account knows what one of its samples touches"
    if network.events is not None:
        why = "how many mechanisms a node runs depends on the timetable, which this account does not read"
    if why:
        return Spent(np.full(n, math.inf), delta, False, "no guarantee: " + why, per_round, rounds, rate, clients)
    if isinstance(problem.sampler, Epoch) and mechanism.hook == "gradient":
        clients, runs = 1.0, [(1, 1)]
    kinds = dict.fromkeys(zip(rate.tolist(), repeats.tolist(), strict=True), 0.0)
    for q, t in kinds:
        kinds[q, t] = _epsilon(noise, q, clients, runs, t, delta)
    spent = np.array([kinds[pair] for pair in zip(rate.tolist(), repeats.tolist(), strict=True)])
    return Spent(spent, delta, True, f"bound for {words}", per_round, rounds, rate, clients)


def _of_batches(
    problem: Problem, adjacency: str, rounds: int, per_round: int, count: np.ndarray
) -> tuple[Any, Any, str, str]:
    """(rates, repeats, why there is no guarantee or "", what is protected)."""
    sampler, n = problem.sampler, len(count)
    words = "one example added to a node or removed" if adjacency == "add_remove" else "one example of a node replaced"
    ones, every = np.ones(n), np.full(n, rounds)
    if isinstance(sampler, Full):
        return ones, every, "", words
    if isinstance(sampler, Poisson):
        rate = sampler.rates(count)
        if adjacency != "add_remove" and (rate < 1).any():
            return (
                rate,
                every,
                "Poisson sampling is accounted for examples added or removed; give adjacency='add_remove'",
                words,
            )
        return rate, every, "", words
    rate = np.minimum(1, sampler.batch_size / count)
    if not isinstance(sampler, Epoch):
        return (
            rate,
            every,
            "with sampling='replacement' an example may enter a batch twice; give sampling='poisson'",
            words,
        )
    if adjacency == "add_remove":
        why = (
            "an example that is added moves all others of an epoch; give adjacency='replace_one', or sampling='poisson'"
        )
        return rate, every, why, words
    batches = -(-count // sampler.batch_size)
    return ones, -(-rounds * per_round // batches), "", words


def _epsilon(noise: float, q: float, clients: float, runs: list[tuple[int, int]], rounds: int, delta: float) -> float:
    """Compute epsilon of rounds in which a node takes part with probability `clients`.

    runs: (times, uses of one batch) of the mechanisms of such a round.
    """
    if q == 1 and clients == 1:
        return accountant.epsilon(noise, rounds * sum(times * uses for times, uses in runs), 1.0, delta)
    orders = np.asarray(accountant.ORDERS, np.float64)
    one = sum(times * accountant.rdp(noise / math.sqrt(uses), q, orders) for times, uses in runs)
    if clients < 1:
        moment = math.log(clients) + one * (orders - 1)
        one = np.logaddexp(math.log1p(-clients), moment) / (orders - 1)
    return accountant.converted(rounds * one, orders, delta)


def _queries(method: Method, problem: Problem, network: Any) -> list[tuple[int, int]]:
    """(times, uses of one batch) of the mechanisms of one round, by recording it."""
    stores: list[Any] = []
    jax.eval_shape(lambda key: begin(method, problem, network, key, None, stores=stores).state, seeded(0))
    return stores[0].queries()


__all__ = ["Spent", "privacy_spent"]
