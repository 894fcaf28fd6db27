"""The delta of an account, as mechanisms hold it."""

from ..core.checks import in_

DELTA = in_(0, 1, "()")
