"""Adapters: tasks from any flax module, or from plain functions."""

from ._architectures import architectures as architectures
from ._flax import FlaxTask as FlaxTask, classifier as classifier, from_module as from_module, regression as regression
from ._functions import FunctionTask as FunctionTask, from_functions as from_functions

__all__ = ["architectures", "FlaxTask", "classifier", "from_module", "regression", "FunctionTask", "from_functions"]
