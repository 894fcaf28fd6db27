"""What is measured on a population: the metrics of dejax.

A metric is any function `fn(view) -> {name: number or array}`.
"""

from ._classes import confusion as confusion, per_class as per_class
from ._cost import energy as energy, flops as flops
from ._curvature import hessian_trace as hessian_trace, sharpness as sharpness
from ._ensemble import ensemble as ensemble
from ._models import local_models as local_models, mean_model as mean_model, own_test as own_test
from ._nodes import fairness as fairness, per_node as per_node
from ._spread import consensus as consensus, heterogeneity as heterogeneity, objective as objective
from ._validation import validation as validation
from .view import Metric as Metric, View as View

__all__ = [
    "Metric",
    "View",
    "confusion",
    "consensus",
    "energy",
    "ensemble",
    "fairness",
    "flops",
    "hessian_trace",
    "heterogeneity",
    "local_models",
    "mean_model",
    "objective",
    "own_test",
    "per_class",
    "per_node",
    "sharpness",
    "validation",
]
