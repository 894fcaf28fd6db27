"""Bilevel: an upper loss of x and of the y that minimise a lower loss, which depends on x."""

from ._ma_dsbo import MaDsbo as ma_dsbo

__all__ = ["ma_dsbo"]
