"""Adversaries: nodes that send what they should not."""

from . import messages, samples
from .messages import *
from .samples import *

__all__ = [*messages.__all__, *samples.__all__]
