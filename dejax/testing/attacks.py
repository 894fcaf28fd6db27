"""What an attack must satisfy."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core import tree
from ..core.types import Attack
from ..network import Network
from .probes import CLASSES, NODES, Average, Listen, OneRound, classification, graph, weights
from .promise import Promises, close, equal, require, same
from .runs import halved, numbers, with_number

SEEN = {"message": "heard", "batch": "data", "gradient": "gradient"}


def check_attack(attack: Any) -> None:
    """Check that an attack changes what adversaries do and nothing else.

    And that its numbers act. It is run on 14 nodes with 4 neighbors each, and at a server where it
    rewrites messages.

    Args:
      attack: a member of `dejax.attacks` or your own, with at least one of 14 nodes as adversary.
    Raises:
      PromiseError: which promise broke, what was seen, and how to mend it.
    Example:
      >>> check_attack(dejax.attacks.sign_flip(adversaries=2))
    """
    promises = Promises(attack)
    with promises("says what it is", "set hook to 'message', 'batch' or 'gradient', with the function of that name"):
        require(attack.hook in SEEN, f"hook is {attack.hook!r}")
        require(callable(getattr(attack, attack.hook, None)), f"there is no function {attack.hook}")
    with promises(
        "adversaries are known beforehand", "let is_adversary(n) return a bool [n] of NumPy, by `seed` alone"
    ):
        bad = np.asarray(attack.is_adversary(NODES))
        require(bad.dtype == bool and bad.shape == (NODES,), f"is_adversary({NODES}) is {bad.dtype}{bad.shape}")
        same(bad, np.asarray(attack.is_adversary(NODES)), "a second call names others")
        require(
            bad.any() and not bad.all(),
            f"{bad.sum()} of {NODES} nodes are adversaries; give some, and leave some honest",
        )
    made = classification(getattr(attack, "num_classes", CLASSES))
    topology = graph(weights())
    without = OneRound(Listen(), Network(topology), made)()
    run = OneRound(Listen(), Network(topology, attack=attack), made)
    attacked = run()
    what = SEEN[attack.hook]
    honest = {"data": ~bad, "gradient": ~bad, "heard": ~np.isin(without[1]["from"], np.flatnonzero(bad))}
    for name in ("data", "gradient", "heard"):
        with promises("honest nodes are untouched", "write rows with jnp.where(ctx.is_adversary, bad, good)"):
            first, second = (
                tree.map(lambda x, name=name: x[honest[name]], side[1][name]) for side in (without, attacked)
            )
            same(first, second, f"{name} of honest nodes has changed")
    with promises("models of nodes are untouched", "rewrite what is sent, not what the node holds"):
        same(attacked[0], without[0], "models have changed")
    with promises("shapes and dtypes are kept", "cast what is sent to the dtype of the values"):
        for a, b in zip(jax.tree.leaves(attacked[1][what]), jax.tree.leaves(without[1][what]), strict=True):
            require((a.shape, a.dtype) == (b.shape, b.dtype), f"{b.dtype}{b.shape} became {a.dtype}{a.shape}")
    with promises("the attack acts", "rewrite the rows where ctx.is_adversary"):
        require(not equal(attacked[1][what], without[1][what]), f"{what} of adversaries is as without the attack")
    for name, place in numbers(attack):
        with promises("its numbers act", f"use {name}, or take it out of the fields"):
            weaker = lambda net, place=place: replace(net, attack=with_number(net.attack, place, halved))
            require(not equal(run(weaker)[1][what], attacked[1][what]), f"half of {name} changes nothing")
    if attack.hook == "message":
        _server(promises, attack, bad)


def _server(promises: Promises, attack: Attack, bad: np.ndarray) -> None:
    probe = Average(jnp.asarray(~bad, jnp.float32))
    (_, plain), (_, attacked) = (OneRound(probe, Network(attack=a))() for a in (None, attack))
    with promises("honest nodes are untouched", "write rows with jnp.where(is_adversary, bad, good)"):
        close(attacked["some"], plain["some"], "at a server the mean of the honest nodes alone has changed")
    with promises("the attack acts", "give `server(ctx, sent, is_adversary)`, and rewrite the rows where is_adversary"):
        require(not equal(attacked["all"], plain["all"]), "at a server the mean is as without the attack")


__all__ = ["check_attack"]
