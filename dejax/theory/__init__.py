"""Theory beside experiment: what is known of a run before it begins."""

from .curves import Curve
from .predict import Prediction, predict

__all__ = ["Curve", "Prediction", "predict"]
