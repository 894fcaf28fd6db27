"""Tasks: what one node learns: init, loss and metrics, from flax modules or plain functions."""

from ..layers import conv as conv
from ..layers.linear import dot_general as dot_general
from ..layers.slow_layers import warn_if_slow as warn_if_slow
from . import adapters, models, policies
from .adapters import *
from .models import *
from .policies import *

__all__ = ["conv", *adapters.__all__, *models.__all__, *policies.__all__]
