"""Sources of experience: how a node gets its batches, where these are not drawn from its data."""

from ._acting import Acting as acting

__all__ = ["acting"]
