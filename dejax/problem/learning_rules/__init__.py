"""Learning rules: how a node finds the direction that it descends along."""

from ._back_propagation import BackPropagation as back_propagation
from ._clip_gradient import ClipGradient as clip_gradient
from ._evolution import Evolution as evolution
from ._forward_forward import ForwardForward as forward_forward
from ._l2_penalty import L2Penalty as l2_penalty
from ._max_norm import MaxNorm as max_norm

__all__ = ["back_propagation", "clip_gradient", "evolution", "forward_forward", "l2_penalty", "max_norm"]
