"""Compressed: methods with a codec of their own."""

from ._choco import Choco as choco

__all__ = ["choco"]
