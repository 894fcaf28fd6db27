"""Exact first-order methods by differences of iterates or dual variables."""

from ._d2 import D2 as d2, ExactDiffusion as exact_diffusion
from ._dadmm import DAdmm as dadmm
from ._dlm import Dlm as dlm
from ._extra import Extra as extra
from ._led import Led as led
from ._nids import Nids as nids
from ._proxskip import ProxSkip as proxskip

__all__ = ["d2", "dadmm", "dlm", "exact_diffusion", "extra", "led", "nids", "proxskip"]
