"""The engine: rollout as one pure function, and the chunk of rounds that the driver repeats."""

from .node_axis import node_axis as node_axis
from .prepare import (
    epochs_of_round as epochs_of_round,
    placed as placed,
    prepare as prepare,
    typed as typed,
)
from .rollout import (
    model as model,
    rollout as rollout,
    state_of as state_of,
    views as views,
)
from .rounds import (
    Carry as Carry,
    carry_axes as carry_axes,
    one_round as one_round,
    round_axes as round_axes,
    run_chunk as run_chunk,
    start as start,
)
from .starts import (
    is_population as is_population,
    laid_out as laid_out,
    starts as starts,
)

__all__ = [
    "Carry",
    "carry_axes",
    "epochs_of_round",
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
    "views",
]
