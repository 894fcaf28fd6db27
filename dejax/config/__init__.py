"""Configs: a config is a call; signatures and type hints are the only schema."""

from ._blame import blamed as blamed
from ._error import ConfigError as ConfigError
from ._experiment import Config as Config, Run as Run, load as load
from ._registry import Registry as Registry

__all__ = ["Config", "ConfigError", "Registry", "Run", "blamed", "load"]
