"""What fails between nodes, and the clock that counts virtual seconds."""

from ._absence import Joins as joins, Vanish as vanish
from ._churn import Churn as churn
from ._clock import Clock as clock, rebase as rebase
from ._delay import Delay as delay
from ._link_loss import DirectedLinkLoss as directed_link_loss, LinkLoss as link_loss

__all__ = ["churn", "clock", "delay", "directed_link_loss", "joins", "link_loss", "rebase", "vanish"]
