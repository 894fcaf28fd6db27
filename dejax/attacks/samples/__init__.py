"""Attacks on samples: adversaries learn from falsified data."""

from ._label_flip import LabelFlip as label_flip

__all__ = ["label_flip"]
