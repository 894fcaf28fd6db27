"""Asynchronous: methods driven by events rather than rounds."""

from ._ad_psgd import AdPsgd as ad_psgd
from ._dadao import Dadao as dadao
from ._swift import Swift as swift

__all__ = ["ad_psgd", "dadao", "swift"]
