"""Yardsticks: no communication, and one model on all data."""

from ._baselines import Centralized as centralized, LocalOnly as local_only

__all__ = ["centralized", "local_only"]
