"""Asynchronous: methods driven by events rather than rounds."""

from ._ad_psgd import AdPsgd as ad_psgd

__all__ = ["ad_psgd"]
