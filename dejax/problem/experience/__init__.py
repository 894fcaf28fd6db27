"""Sources of experience: where batches come from, if not from a node's data."""

from ._acting import Acting as acting

__all__ = ["acting"]
