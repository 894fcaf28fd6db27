"""The problem: what every node learns, from which samples, by which learning rule.

And the roles of a model's leaves.
"""

from . import experience as experience, learning_rules as learning_rules
from .batch import Batch as Batch
from .problem import Problem as Problem

__all__ = ["Batch", "Problem", "experience", "learning_rules"]
