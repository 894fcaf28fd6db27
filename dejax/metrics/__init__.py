"""What is measured on a population: the metrics of dejax.

A metric is any function `fn(view) -> {name: number}`.
"""

from ._curvature import hessian_trace as hessian_trace, sharpness as sharpness
from ._ensemble import ensemble as ensemble
from ._models import local_models as local_models, mean_model as mean_model, own_test as own_test
from ._spread import consensus as consensus, heterogeneity as heterogeneity, objective as objective
from ._validation import validation as validation
from .view import Metric as Metric, View as View

__all__ = [
    "Metric",
    "View",
    "consensus",
    "ensemble",
    "hessian_trace",
    "heterogeneity",
    "local_models",
    "mean_model",
    "objective",
    "own_test",
    "sharpness",
    "validation",
]
