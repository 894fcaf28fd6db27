"""Personal: a model of its own for every node, beside or in place of a common one."""

from ._apfl import Apfl as apfl
from ._dispfl import Dispfl as dispfl
from ._ditto import Ditto as ditto
from ._fedrep import Fedrep as fedrep
from ._l2c import L2c as l2c
from ._network_lasso import NetworkLasso as network_lasso
from ._pfedhn import Pfedhn as pfedhn

__all__ = ["apfl", "dispfl", "ditto", "fedrep", "l2c", "network_lasso", "pfedhn"]
