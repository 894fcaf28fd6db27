"""Configs: a config is a call; signatures and type hints are the only schema."""

from ..errors import ConfigError as ConfigError
from .blame import blamed as blamed
from .experiment import Config as Config, RunSpec as RunSpec
from .load import load as load
from .registry import Registry as Registry

__all__ = ["Config", "ConfigError", "Registry", "RunSpec", "blamed", "load"]
