"""Results of the literature that name no constants, so that no curve can be drawn."""

from typing import Any

import numpy as np

from .. import methods, topology
from .constants import Constants
from .curves import Stage


def notes(stage: Stage, known: Constants) -> tuple[str, ...]:
    """Name the rate of local and decentralized SGD by Koloskova et al., where it holds.

    It is of x <- W_t (x - lr g(x)) with symmetric, doubly stochastic W_t that are I in local steps, for mu-convex f_i, unbiased
    gradients and one constant rate; E ||X W_t ... W_{t + tau - 1} - Xbar||^2 <= (1 - p) ||X - Xbar||^2 over blocks of tau steps
    (assumption 4). So tau is K times the period of the graph, and p = 1 - rho^2 over that period. The orders "atc" and "cta" of
    D-PSGD are this sequence, seen half a step apart; "awc" is not.

    Not confirmed: the paper's text was not at hand. As it is remembered, theorem 2 says that
    T = O~(sigma^2 / (n mu eps) + sqrt(L) (zeta tau + sigma sqrt(p tau)) / (mu p sqrt(eps)) + L tau / (mu p) log(1 / eps)) steps
    reach eps, with sigma and zeta at x_star, and L that of the loss of any single sample. Below it is solved for eps, term by term.

    Reference: Koloskova, Loizou, Boreiri, Jaggi and Stich, A unified theory of decentralized SGD with changing topology and local
      updates, 2020, theorem 2.
    """
    if not stage.steady or any(np.ndim(lr) for lr in stage.rates):
        return ()
    method, top = stage.method, stage.network.topology
    made: Any = method
    if isinstance(method, methods.local_sgd):
        steps = made.local_steps
    elif isinstance(method, methods.dsgd) and made.order != "awc":
        steps = 1
    else:
        return ()
    p, tau = 1 - (topology.rho(top) or 0.0) ** 2, steps * top.period
    if known.mu <= 0 or known.at_star is None or not top.symmetric or p <= 0:
        return ()
    counts = f"T counts local steps, {steps} in a round" if steps > 1 else "T counts rounds"
    return (
        "for a suitable constant rate E f(x) - f_star at a weighted mean x of xbar_0 ... xbar_T is O~(sigma^2 / (n mu T) + "
        "L (tau^2 zeta^2 / p^2 + tau sigma^2 / p) / (mu T)^2 + exp(-mu p T / (L tau))), with constants that are not given; here "
        f"tau = {tau}, p = 1 - rho^2 = {p:.3g}, and {counts}: Koloskova et al., A unified theory of decentralized SGD, 2020, theorem 2",
    )


__all__ = ["notes"]
