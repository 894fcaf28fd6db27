"""Tasks: what one node learns: init, loss and metrics, from flax modules or plain functions."""

from ._flax import FlaxTask as FlaxTask
from ._flax import classifier as classifier
from ._flax import from_module as from_module
from ._flax import regression as regression
from ._functions import FunctionTask as FunctionTask
from ._functions import from_functions as from_functions
from ._mlp import MLP as MLP
from ._mlp import mlp as mlp

__all__ = ["MLP", "FlaxTask", "FunctionTask", "classifier", "from_functions", "from_module", "mlp", "regression"]
