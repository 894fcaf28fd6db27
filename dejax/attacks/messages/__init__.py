"""Attacks on messages: adversaries rewrite what their neighbors receive."""

from ._alie import Alie as alie, z_max as z_max
from ._sign_flip import SignFlip as sign_flip

__all__ = ["alie", "z_max", "sign_flip"]
