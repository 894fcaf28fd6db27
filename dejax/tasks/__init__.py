"""Tasks: what one node learns: init, loss and metrics, from flax modules or plain functions."""

from . import conv as conv
from ._flax import FlaxTask as FlaxTask, classifier as classifier, from_module as from_module, regression as regression
from ._functions import FunctionTask as FunctionTask, from_functions as from_functions
from ._images import CNN as CNN, cnn as cnn, lenet as lenet
from ._linear import dot_general as dot_general
from ._logistic import logistic as logistic
from ._mlp import MLP as MLP, mlp as mlp
from ._native_conv import warn_if_batched_conv as warn_if_batched_conv

# what a config can name, and the classes behind it; `dot_general` and `conv` are for layers of your own
__all__ = [
    "CNN",
    "MLP",
    "FlaxTask",
    "FunctionTask",
    "classifier",
    "cnn",
    "conv",
    "from_functions",
    "from_module",
    "lenet",
    "logistic",
    "mlp",
    "regression",
]
