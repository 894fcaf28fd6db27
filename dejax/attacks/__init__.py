"""Adversaries: nodes that send what they should not."""

from ._alie import Alie as alie, z_max as z_max
from ._label_flip import LabelFlip as label_flip
from ._sign_flip import SignFlip as sign_flip

__all__ = ["alie", "label_flip", "sign_flip", "z_max"]
