"""Bandits: nodes choose what they learn the reward of."""

from ._fed_go_ucb import FedGoUcb as fed_go_ucb

__all__ = ["fed_go_ucb"]
