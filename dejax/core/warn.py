"""Warnings that point at the user's line."""

import os
import sys
import warnings

OWN = os.path.dirname(os.path.dirname(__file__)) + os.sep


def warn(message: str) -> None:
    """Raise a UserWarning at the line that called dejax.

    That is the line outside the outermost function of the package on the stack.
    """
    frame, depth, level = sys._getframe(), 1, 1
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
        if frame.f_back is not None and frame.f_code.co_filename.startswith(OWN):
            level = depth + 1
    warnings.warn(message, stacklevel=level)


__all__ = ["warn"]
