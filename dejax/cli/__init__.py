"""The `dejax` command."""

from .parser import main as main, parser as parser, version as version

__all__ = ["main", "parser", "version"]
