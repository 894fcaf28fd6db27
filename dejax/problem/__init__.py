"""The problem: what every node learns, from which samples, by which learning rule.

And the roles of a model's leaves.
"""

from .problem import BackPropagation as BackPropagation, Batch as Batch, Problem as Problem

__all__ = ["BackPropagation", "Batch", "Problem"]
