"""Name the types of arrays that every room shares.

Letters in shapes: n nodes, d parameters, B examples of a batch, k neighbors, m edges or sampled nodes, T rounds.
"""

from typing import Annotated, Any

from jaxtyping import Array, Bool, Float, Int, Key

FloatLike = Annotated[Any, "number"]  # a Python float or a scalar array; a rate may be a schedule of them
NodeFloatLike = Annotated[Any, "number", "[n]"]  # the same, or one number per node, by node id
Tree = Any  # a pytree of arrays
NodeTree = Any  # a pytree of arrays that all carry the node axis first: [n, ...]
NodeInt = Int[Array, " n"]
NodeMask = Bool[Array, " n"]
NodeFloat = Float[Array, " n"]
PRNGKey = Key[Array, ""]
