"""Personal: a model of its own for every node, beside or in place of a common one."""

from ._apfl import Apfl as apfl
from ._dispfl import Dispfl as dispfl
from ._ditto import Ditto as ditto
from ._fedrep import Fedrep as fedrep
from ._network_lasso import NetworkLasso as network_lasso
from ._pfedhn import Pfedhn as pfedhn

__all__ = ["apfl", "dispfl", "ditto", "fedrep", "network_lasso", "pfedhn"]
