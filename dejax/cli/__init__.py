"""The `dejax` command."""

from ._parser import main as main
from ._parser import parser as parser
from ._parser import version as version

__all__ = ["main", "parser", "version"]
