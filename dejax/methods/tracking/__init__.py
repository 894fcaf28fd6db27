"""Tracking: nodes estimate the mean gradient of the network."""

from ._gradient_tracking import GradientTracking as gradient_tracking

__all__ = ["gradient_tracking"]
