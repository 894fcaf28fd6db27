"""Compressors with exact bit counts, and the codecs around them."""

from . import codecs, compressors
from .codecs import *
from .compressors import *
from .encoding import Compressor as Compressor, Size as Size

__all__ = ["Compressor", "Size", *codecs.__all__, *compressors.__all__]
