"""Configs: a config is a call; signatures and type hints are the only schema."""

from ._error import ConfigError as ConfigError
from ._experiment import Config as Config
from ._experiment import Run as Run
from ._experiment import load as load
from ._registry import Registry as Registry

__all__ = ["Config", "ConfigError", "Registry", "Run", "load"]
