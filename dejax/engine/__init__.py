"""The engine: rollout as one pure function, and the chunk of rounds that the driver repeats."""

from .engine import (
    Carry as Carry,
    carry_axes as carry_axes,
    is_population as is_population,
    laid_out as laid_out,
    model as model,
    node_axis as node_axis,
    one_round as one_round,
    placed as placed,
    prepare as prepare,
    rollout as rollout,
    round_axes as round_axes,
    run_chunk as run_chunk,
    start as start,
    starts as starts,
    state_of as state_of,
    typed as typed,
)

__all__ = [
    "Carry",
    "carry_axes",
    "is_population",
    "laid_out",
    "model",
    "node_axis",
    "one_round",
    "placed",
    "prepare",
    "rollout",
    "round_axes",
    "run_chunk",
    "start",
    "starts",
    "state_of",
    "typed",
]
