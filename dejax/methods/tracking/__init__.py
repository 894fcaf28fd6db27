"""Tracking: nodes estimate the mean gradient of the network."""

from ._augdgm import AugDgm as augdgm
from ._gradient_tracking import GradientTracking as gradient_tracking
from ._gt_saga import GtSaga as gt_saga
from ._gt_sarah import GtHsgd as gt_hsgd, GtSarah as gt_sarah
from ._kgt import Kgt as kgt
from ._mt_dsgdm import MomentumTracking as mt_dsgdm

__all__ = ["augdgm", "gradient_tracking", "gt_hsgd", "gt_saga", "gt_sarah", "kgt", "mt_dsgdm"]
