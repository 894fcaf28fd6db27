"""What a run spends of privacy, read from method, problem and network."""

import math
from typing import Any, NamedTuple

import jax
import numpy as np

from ..core.checks import whole
from ..core.method import traits
from ..core.random import seeded
from ..core.types import Method, Network, Problem
from ..data.sampling import Epoch, Full, Poisson, WithoutReplacement
from ..engine import prepare
from ..engine.rounds import begin
from ..errors import RefusedError, bad
from ..privacy import accountant

Queries = list[tuple[int, int]]  # (times, uses of one draw) of the mechanisms of a round
NEIGHBORS = {"add_remove": "added or removed", "replace_one": "replaced"}


class Spent(NamedTuple):
    """What each node spends, and what that rests on.

    Args:
      epsilon: float64 [n], of each node for its own data; inf where there is no guarantee.
      delta: the same for all.
      guarantee: whether epsilon is a bound. words: what it is a bound of, or why there is none.
      per_round: mechanisms that a node runs in a round in which it takes part. rounds: the rounds.
      sampling_rate: float64 [n], the probability with which an example enters a batch, or under privacy of uploads a node a cohort.
      clients: that of a node to take part in a round, where it may be seen who does.
      adjacency: which data are neighbors: "add_remove" or "replace_one" of what `words` name.
    """

    epsilon: np.ndarray
    delta: float
    guarantee: bool
    words: str
    per_round: int
    rounds: int
    sampling_rate: np.ndarray
    clients: float
    adjacency: str


def privacy_spent(method: Method, problem: Problem, network: Any, *, rounds: int, delta: float | None = None) -> Spent:
    """Account for the privacy of a whole run: (epsilon, delta) of every node.

    A round of K mechanisms in which a node takes part with probability p has the moment 1 - p + p M^K, where M is that of one
    mechanism: who takes part is drawn whatever the data are, and may be seen. Gradients that share a batch count as one mechanism
    of less noise. Under privacy of uploads, who takes part is secret instead, and counts as the sampling of whole nodes.

    Args:
      method, problem, network: of `simulate`. rounds: how many. delta: in (0, 1), below 1 over the examples of a node; None: that of
        the mechanism.
    Raises:
      FieldError: a network without privacy; an argument out of range. What `simulate` refuses.
    Reference: Abadi et al., Deep learning with differential privacy, 2016 (moments); Mironov, Talwar and Zhang, 2019; Wang, Balle and
      Kasiviswanathan, 2019 (without replacement).
    """
    rounds = whole("rounds", rounds)
    method, problem, network = prepare(method, problem, network, rounds)
    found = account(method, problem, network)
    if found is None:
        instead = "give a mechanism of dejax.privacy, e.g. gaussian_gradient(clip=1.0, noise_multiplier=1.0)"
        raise bad("network.privacy", None, why="so that nothing is spent or bounded", instead=instead)
    return found.spent(rounds, delta)


class Account:
    """What a run spends, after any number of rounds."""

    def __init__(self, method: Method, problem: Problem, network: Network, queries: Queries | None = None):
        mechanism = network.privacy
        self.queries = _queries(method, problem, network) if queries is None else queries
        self.per_round = sum(times * uses for times, uses in self.queries)
        self.runs, self.count = self.queries, np.asarray(jax.device_get(problem.data.count))
        self.delta = getattr(mechanism, "delta", 1e-5)
        self.adjacency = getattr(mechanism, "adjacency", "replace_one")
        noise = getattr(mechanism, "noise_multiplier", 0.0)
        self.noise = float(noise) / (1 if self.adjacency == "add_remove" else 2)
        self.sleeps = any(fault.sleeps for fault in network.faults)  # those awake are drawn first, and so more often
        cohort = traits(method).cohort
        self.clients = 1.0 if cohort is None or self.sleeps else min(cohort, problem.n) / problem.n
        self.rate, self.without = np.ones(problem.n), False
        self.batches = np.zeros(problem.n, np.int64)  # of an epoch, where there are any
        self.protects, self.why = "the messages of a node", ""
        self.members, self.of_members = 1, ""  # of which one is protected
        if mechanism.hook == "gradient":
            self._of_batches(problem)
        elif mechanism.hook == "upload":
            self._of_uploads(method, problem, network)
        if network.events is not None:
            self.why = "how many mechanisms a node runs depends on the timetable, which this account does not read"
        if not getattr(mechanism, "gaussian", False):
            name = type(mechanism).__name__
            self.why = f"{name} does not say gaussian = True, so that nobody knows its noise"
        elif float(noise) == 0:
            self.why = "no noise is added"
        self._moments: dict[float, np.ndarray] = {}

    def words(self, delta: float) -> str:
        """What epsilon at this delta is a bound of, or why there is none."""
        if self.why:
            return "no guarantee: " + self.why
        found = f"bound for {self.protects} {NEIGHBORS[self.adjacency]}"
        if (
            delta * self.members >= 1
        ):  # then a mechanism that publishes one of them at random is private, with epsilon 0
            found += f"; delta is not below 1 over the {self.members} {self.of_members}, so that it promises little"
        return found

    def said(self) -> str:
        """The words, with the delta, as tables and files say them."""
        words = self.words(self.delta)
        return words if self.why else f"epsilon at delta {self.delta:g}, a {words}; the node that spends most"

    def terms(self) -> tuple[Any, ...]:
        """What all its numbers come from; equal for accounts that are the same."""
        if self.why:
            return (self.why,)
        of_nodes = (self.rate.tolist(), self.without, self.batches.tolist())
        return self.runs, self.queries, self.delta, self.noise, self.clients, of_nodes, self.words(self.delta)

    def spent(self, rounds: int, delta: float | None = None) -> Spent:
        """Of every node after `rounds` rounds."""
        wanted = self.delta if delta is None else delta
        epsilon = np.full(len(self.count), math.inf)
        if not self.why:
            pairs = list(zip(self.rate.tolist(), self._repeats(rounds).tolist(), strict=True))
            known = {(q, t): self._epsilon(q, t, wanted) for q, t in dict.fromkeys(pairs)}
            epsilon = np.array([known[pair] for pair in pairs])
        return Spent(
            epsilon,
            wanted,
            not self.why,
            self.words(wanted),
            self.per_round,
            rounds,
            self.rate,
            self.clients,
            self.adjacency,
        )

    def worst(self, rounds: int) -> float:
        """Epsilon of the node that spends most, after `rounds` rounds; inf without a guarantee."""
        if self.why:
            return math.inf
        return self._epsilon(float(self.rate.max()), int(self._repeats(rounds).max()), self.delta)

    def _repeats(self, rounds: int) -> np.ndarray:
        """How often each node runs `self.runs`: once a round, or once an epoch."""
        if not self.batches.any():
            return np.full(len(self.count), rounds)
        return -(-rounds * sum(times for times, _ in self.queries) // self.batches)

    def _epsilon(self, q: float, repeats: int, delta: float) -> float:
        if q == 1 and self.clients == 1:
            total = repeats * sum(times * uses for times, uses in self.runs)
            return accountant.epsilon(self.noise, total, 1.0, delta)
        orders = np.asarray(accountant.ORDERS, np.float64)
        tried = orders.tolist()
        if q not in self._moments:
            rdp = accountant.rdp_without_replacement if self.without else accountant.rdp
            one = sum(times * rdp(self.noise / math.sqrt(uses), q, tried) for times, uses in self.runs)
            if self.clients < 1:
                moment = math.log(self.clients) + one * (orders - 1)
                one = np.logaddexp(math.log1p(-self.clients), moment) / (orders - 1)
            self._moments[q] = np.asarray(one)
        return accountant.converted(repeats * self._moments[q], orders, delta)

    def _of_batches(self, problem: Problem) -> None:
        """Read how a node draws its batches."""
        sampler, added = problem.sampler, self.adjacency == "add_remove"
        self.protects, self.members, self.of_members = (
            "one example of a node",
            int(self.count.max()),
            "examples of a node",
        )
        if problem.source is not None:
            self.why = "the problem has a source of experience, and no account knows what one of its samples touches"
        elif isinstance(sampler, Poisson):
            self.rate = sampler.rates(self.count)
            if not added and (self.rate < 1).any():
                self.why = "Poisson sampling is accounted for examples added or removed; give adjacency='add_remove'"
        elif isinstance(sampler, Epoch):
            self.clients, self.runs = 1.0, [(1, max((uses for _, uses in self.queries), default=0))]
            self.batches = -(-self.count // sampler.batch_size)
            if added:
                self.why = "an example that is added moves all others of an epoch"
        elif isinstance(sampler, WithoutReplacement):
            self.rate, self.without = np.minimum(1, sampler.batch_size / self.count), True
            if added and (self.rate < 1).any():
                self.why = "an example that is added pushes others out of batches of a fixed size"
        elif not isinstance(sampler, Full):
            self.rate = np.minimum(1, sampler.batch_size / self.count)
            self.why = f"with sampling={problem.sampling or 'replacement'!r} an example may enter a batch twice"
            self.why += "; give sampling='poisson', 'without_replacement' or 'epoch'"
            return
        if self.why and added and not isinstance(sampler, Poisson) and problem.source is None:
            self.why += "; give adjacency='replace_one', or sampling='poisson'"

    def _of_uploads(self, method: Method, problem: Problem, network: Network) -> None:
        """Read how a server draws its cohort, and who adds the noise."""
        mechanism, n, cohort = network.privacy, problem.n, traits(method).cohort
        self.protects, self.clients = "all data of a node, one node", 1.0
        self.members, self.of_members = n, "nodes"
        poisson = getattr(mechanism, "client_sampling", "fixed") == "poisson"
        if cohort is not None and cohort < n:
            if poisson or not self.sleeps:
                q = float(Poisson(cohort).rates(np.array([n]))[0]) if poisson else cohort / n
                self.rate, self.without = np.full(n, q), not poisson
            if poisson and self.adjacency != "add_remove":
                self.why = "Poisson sampling is accounted for nodes added or removed; give adjacency='add_remove'"
            elif not poisson and self.adjacency == "add_remove":
                self.why = "a node that is added pushes others out of cohorts of a fixed size; give adjacency='replace_one', or "
                self.why += "client_sampling='poisson'"
            elif network.late is not None:
                self.why = (
                    "a sum holds late updates, of nodes of another round's cohort, of which it may hold two of one node"
                )
        if not mechanism.at_nodes:
            return
        attack = network.attack
        if network.faults or (poisson and cohort is not None and cohort < n):
            self.why = "of noise in shares, those of nodes whose uploads do not arrive are missing; give noise='server'"
        elif attack is not None and attack.hook == "message" and np.any(attack.is_adversary(n)):
            self.why = "adversaries need not add their shares of the noise; give noise='server'"


def account(method: Method, problem: Problem, network: Network, queries: Queries | None = None) -> Account | None:
    """Make the account of a run, of prepared objects; None where the network has no privacy.

    queries: of a run of the same structure, which are not recorded anew.
    """
    return None if network.privacy is None else Account(method, problem, network, queries)


def check_alike(place: int, first: Account | None, other: Account | None) -> None:
    """Refuse phases of a run of which one account does not hold.

    Args:
      place: which phase `other` is of. first: of the first phase.
    Raises:
      RefusedError: says which phase spends otherwise.
    """
    if (first is None, first and first.terms()) != (other is None, other and other.terms()):
        why = "but epsilon is accounted for rounds that all spend alike"
        way = "keep privacy, local work, batches, sampled clients and what reads them in all phases"
        says = "makes rounds that spend otherwise than those of the first phase"
        raise bad(f"phases[{place}].network.privacy", None, says=says, why=why, instead=way, error=RefusedError)


def _queries(method: Method, problem: Problem, network: Any) -> Queries:
    """Find the mechanisms of one round, by recording it."""
    stores: list[Any] = []
    jax.eval_shape(lambda key: begin(method, problem, network, key, None, stores=stores).state, seeded(0))
    return stores[0].queries()


__all__ = ["Account", "Spent", "account", "check_alike", "privacy_spent"]
