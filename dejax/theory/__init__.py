"""Theory beside experiment: what is known of a run before it begins."""

from .predict import Curve, Prediction, predict

__all__ = ["Curve", "Prediction", "predict"]
