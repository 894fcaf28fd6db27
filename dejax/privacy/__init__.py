"""Privacy mechanisms, and the accountant that says what they spend."""

from . import accountant as accountant
from ._gaussian_gradient import GaussianGradient as gaussian_gradient
from ._gaussian_message import GaussianMessage as gaussian_message
from ._user_level import UserLevel as user_level

__all__ = ["accountant", "gaussian_gradient", "gaussian_message", "user_level"]
