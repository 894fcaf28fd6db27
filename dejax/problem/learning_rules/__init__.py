"""Learning rules: how a node finds the direction that it descends along."""

from ._back_propagation import BackPropagation as back_propagation
from ._evolution import Evolution as evolution
from ._forward_forward import ForwardForward as forward_forward
from ._max_norm import MaxNorm as max_norm

__all__ = ["back_propagation", "evolution", "forward_forward", "max_norm"]
