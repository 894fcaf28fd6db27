"""Compressed: methods with a codec of their own."""

from ._choco import Choco as choco
from ._dproxsgt import CompressedDProxSgt as cdproxsgt, DProxSgt as dproxsgt

__all__ = ["cdproxsgt", "choco", "dproxsgt"]
