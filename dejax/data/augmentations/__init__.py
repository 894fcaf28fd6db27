"""Augmentations: samples changed at random after a batch is drawn, in training alone."""

from ._crop import Crop as crop
from ._cutout import Cutout as cutout
from ._flip import Flip as flip
from ._mixup import Mixup as mixup

__all__ = ["crop", "cutout", "flip", "mixup"]
