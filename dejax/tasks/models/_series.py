"""Layers in a row, as attributes `conv0`, `conv1`, ...: flax 0.11 keeps no lists of modules."""

from collections.abc import Sequence
from typing import Any

from flax import nnx


def put(module: nnx.Module, name: str, layers: Sequence[Any]) -> None:
    """Keep the layers under `name0`, `name1`, ..., and how many there are."""
    for i, layer in enumerate(layers):
        setattr(module, f"{name}{i}", layer)
    setattr(module, f"number_of_{name}", len(layers))


def series(module: nnx.Module, name: str) -> list[Any]:
    """The layers in their order."""
    return [getattr(module, f"{name}{i}") for i in range(getattr(module, f"number_of_{name}"))]


__all__ = ["put", "series"]
