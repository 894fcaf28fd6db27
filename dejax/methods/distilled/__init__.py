"""Distilled: answers travel in place of models."""

from ._fedmd import Fedmd as fedmd

__all__ = ["fedmd"]
