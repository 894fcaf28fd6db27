"""Name the types that every room shares.

Letters in shapes: n nodes, d parameters, B examples of a batch, k neighbors, m edges or sampled
nodes, T rounds. Classes of rooms above are names for type checkers alone: at run time a room knows
those below it.
"""

from typing import TYPE_CHECKING, Annotated, Any, Protocol

from jaxtyping import Array, Bool, Float, Int, Key

FloatLike = Annotated[Any, "number"]  # a Python float or a scalar array; a rate may be a schedule of them
NodeFloatLike = Annotated[Any, "number", "[n]"]  # the same, or one number per node, by node id
Tree = Any  # a pytree of arrays
NodeTree = Any  # a pytree of arrays that all carry the node axis first: [n, ...]
NodeInt = Int[Array, " n"]
NodeMask = Bool[Array, " n"]
NodeFloat = Float[Array, " n"]
PRNGKey = Key[Array, ""]

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import jax
    import numpy as np
    from flax.nnx import Module as Module
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure

    from ..core.kinds import (
        Attack as Attack,
        Codec as Codec,
        Compressor as Compressor,
        Fault as Fault,
        Privacy as Privacy,
        Rule as Rule,
    )
    from ..core.method import Method as Method
    from ..devices.mesh import Layout as Layout
    from ..devices.placement import Place as Place
    from ..mixing import Links as Links
    from ..network import Network as Network
    from ..problem import Problem as Problem
    from ..round import Context as Context, Received as Received, Round as Round
    from ..topology import Topology as Topology

    PathLike = str | os.PathLike[str]
    MeshLike = Layout | int | Mapping[str, int] | Sequence[jax.Device] | jax.sharding.Mesh | None  # devices to run on
    Precision = jax.lax.PrecisionLike
    Dtype = jax.typing.DTypeLike
    Ids = np.ndarray | None  # one id per row
    Keys = jax.Array  # one typed key, or an array of them
    Values = jax.Array  # an array inside a traced function

    class Task(Protocol):
        """What one node learns."""

        def init(self, key: Keys) -> Any: ...
        def loss(self, params: Tree, batch: Tree, key: Keys) -> Any: ...
        def metrics(self, params: Tree, batch: Tree) -> dict[str, Any]: ...

else:
    Attack = Axes = Codec = Compressor = Context = Dtype = Fault = Figure = Ids = Keys = Layout = Links = MeshLike = Any
    Method = Module = Network = PathLike = Place = Precision = Privacy = Problem = Received = Round = Rule = Any
    Task = Topology = Values = Any
