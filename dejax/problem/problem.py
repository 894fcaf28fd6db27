"""The problem: what every node learns, from which samples, and by which rule."""

import dataclasses
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core import tree
from ..core.abstract import model_like, width_of
from ..core.architectures import Architectures
from ..core.arguments import takes_weight
from ..core.checks import choice, or_none, rate, whole
from ..core.kinds import Slot
from ..core.struct import number, option, static, struct
from ..core.types import Keys, NodeFloatLike, Task, Tree, Values
from ..data import Dataset, Synthetic
from ..data.augmentations.augment import as_members
from ..data.sampling import Epoch, Full, Poisson, Replacement, WithoutReplacement
from ..devices.node_blocks import BLOCK
from ..errors import NULL, bad, keyword
from ..xla.materialize import materialize
from ..xla.take_rows import fetch_rows
from .batch import Batch
from .experience.samples import Samples
from .learning_rules import back_propagation as BackPropagation
from .roles import Rules, as_rules
from .task_check import check_task

SAMPLERS = ("full", "replacement", "without_replacement", "epoch", "poisson")


@struct
class Problem:
    """Task, data and sampling of all nodes.

    Args:
      task: what one node learns: `init(key)`, `loss(params, batch, key) -> [B]`, `metrics`; static
        by value. Built-in models without sizes (`dejax.tasks.mlp(hidden=[64])`) take those of the
        data.
      data: `NodeData`: arrays without a node axis and one index list per node.
      batch_size: samples per node and gradient, B >= 1; None takes all local samples.
      sampling: "full" (all local samples), "replacement" (B uniform draws), "without_replacement" (B distinct
        samples, drawn afresh each time), "epoch" (each sample once per epoch; the last batch of an epoch may be
        smaller) or "poisson" (each sample enters each batch on its own, B on average: what accounts of privacy assume). Default: "full" without `batch_size`, else "replacement".
      starts: "equal" (all nodes start from one draw of `task.init`) or "independent" (one draw each).
      source: where batches come from, a member of `dejax.experience` or your own; default: samples
        of the node's data, by `batch_size` and `sampling`.
      rule: the learning rule, a member of `dejax.learning_rules` or your own; default
        back-propagation.
      augment: how samples change at random after they are drawn, one or several of `dejax.augmentations` (crop, flip,
        cutout, mixup), or functions of (key, x) of one sample as the task sees it, called under jit; in order. Draws are
        by name, node and round; nothing is changed where models are evaluated, nor in validation and public rows.
      block: nodes whose gradients are computed at a time, so that activations and batches do not
        grow with n; "auto" takes as many as hold about 32 MiB (CPU) or 1 GiB (accelerators), or all
        where that is less than four of their models; None is all at once. Draws do not depend on
        it.
      roles: paths of leaves and their role, "shared" (default), "personal", "frozen" or
        "statistics", e.g. {"head": "personal", "layer0": "frozen"}: a path names its first parts, *
        stands for any one part. They win over what the task says of its running statistics:
        {"norm": "personal"} keeps all of a batch normalization at its node (FedBN).
      personal_lr, personal_optimizer: the step of personal leaves: plain SGD of this rate (scalar,
        [n] or a schedule), or an optax optimizer; one of them where there are personal leaves.
      remat: where rounds themselves are differentiated (hyper-gradients through `rollout`), keep
        parameters and batches alone and compute each loss again. It saves nothing in plain runs,
        whose gradients end within a round: there `block` bounds memory, and a deep model wraps its
        own layers in `nnx.remat`.
    Raises:
      TypeError: a task without init and loss; data that are not partitioned.
      ValueError: an unknown sampling or start, batch_size or block < 1, a batch size without or
        beside its sampling.
    """

    task: Any = static()
    data: Any = ()  # None only while JAX or a plan takes it apart
    batch_size: int | None = static(default=None, check=or_none(whole, "or " + NULL + " for all samples"))
    sampling: str | None = static(default=None, check=or_none(choice(*SAMPLERS), "or leave it out"))
    starts: str = static(default="equal", check=choice("equal", "independent"))
    source: Any = option(default=None, check=Slot("experience"))
    rule: Any = option(default=BackPropagation(), check=Slot("learning_rule"))
    augment: Any = option(default=())
    block: int | str | None = static(default="auto", check=BLOCK)
    remat: bool = static(default=False)
    roles: Any = static(default=())
    personal_lr: NodeFloatLike = number(default=None, check=rate)
    personal_optimizer: Any = option(default=None, check=Slot("optimizer"))
    place: Any = dataclasses.field(default=None, repr=False, compare=False)  # filled where the run has a mesh

    def __post_init__(self) -> None:
        if isinstance(self.data, (type, FunctionType)):
            raise bad(
                "data",
                self.data,
                owner="Problem",
                says=f"is {self.data.__name__}",
                why="which was not called, so that it is no data yet",
                instead=f"give e.g. dejax.data.{self.data.__name__}(...).partition(dejax.data.iid(), nodes=8, seed=0)",
            )
        if (
            isinstance(self.data, (tuple, list, dict, str, np.ndarray, jax.Array))
            or getattr(self.data, "data", None) is not None
        ):
            refuse_data(self.data)
        if isinstance(self.data, Dataset):
            raise bad(
                "data",
                self.data,
                owner="Problem",
                why="whose samples belong to no node yet",
                instead="give e.g. data.partition(dejax.data.iid(), nodes=8, seed=0)",
            )
        build = getattr(self.task, "build", None)  # of one whose sizes are those of the data
        if build is not None:
            object.__setattr__(self, "task", build(self.data))
        check_task(self.task)
        object.__setattr__(self, "data", _as_wide(self.data, self.task))
        if self.sampling == "full" and self.batch_size is not None:
            raise bad(
                "batch_size",
                self.batch_size,
                owner="Problem",
                says=f"is {self.batch_size} but sampling is 'full'",
                instead="leave one of them out",
            )
        if self.sampling not in (None, "full") and self.batch_size is None:
            raise bad(
                "sampling",
                self.sampling,
                owner="Problem",
                says=f"is {self.sampling!r} but batch_size is " + NULL,
                instead="give batch_size, e.g. 16",
            )
        if self.source is not None and (self.batch_size is not None or self.sampling is not None):
            field = "sampling" if self.batch_size is None else "batch_size"
            why = "but the source of experience says itself what a batch is"
            raise bad(field, getattr(self, field), owner="Problem", why=why, instead="leave one of them out")
        object.__setattr__(self, "augment", as_members(self.augment))
        if self.augment and self.source is not None:
            why = "but the source of experience collects what no augmentation knows"
            raise bad("augment", self.augment, owner="Problem", why=why, instead="leave one of them out")
        build = getattr(self.source, "build", None)  # of one that is made for a task
        if build is not None:
            object.__setattr__(self, "source", build(self.task))
        object.__setattr__(self, "roles", as_rules(self.roles))
        if self.rule is None:
            object.__setattr__(self, "rule", BackPropagation())
        if self.personal_lr is not None and self.personal_optimizer is not None:
            raise bad("", owner=self, says="got both personal_lr and personal_optimizer", instead="give one of them")

    @property
    def n(self) -> int:
        """Number of nodes."""
        return self.data.n

    @property
    def rules(self) -> Rules:
        """Paths and roles: those that the task brings, and those given, which win."""
        return Rules(tuple(getattr(self.task, "roles", ())), self.roles)

    @property
    def sampler(self) -> Any:
        """How a node draws its batch."""
        if self.batch_size is None:
            return Full(even=self.data.even)
        if self.sampling == "poisson":
            return Poisson(self.batch_size)
        if self.sampling == "without_replacement":
            return WithoutReplacement(self.batch_size, self.data.even and self.data.index.shape[1] >= self.batch_size)
        return (
            Epoch(self.batch_size, self.data.even and self.data.index.shape[1] % self.batch_size == 0)
            if self.sampling == "epoch"
            else Replacement(self.batch_size)
        )

    @property
    def experience(self) -> Any:
        """Where batches come from: the source, or the node's own samples."""
        return Samples(self.sampler) if self.source is None else self.source

    def batches(self, samples: Any) -> Any:
        """Batches of an epoch of nodes with so many samples: a number, or an array of them."""
        return -(-samples // (samples if self.batch_size is None else self.batch_size))

    def an_epoch(self, samples: Any) -> Any:
        """Steps of one epoch of nodes with so many samples [m]: sum_i ceil(samples_i / B).

        Epochs are counted by it everywhere: steps of these nodes over this number. So a node with more samples counts
        for more: it is the mean of the nodes' own epochs, each weighted by its batches.
        """
        return self.batches(samples).sum()

    def of_model(self, measure: Callable[[Tree], float]) -> float:
        """`measure` of the shapes of one model; of several architectures the mean over the nodes."""
        like = model_like(self.task)
        if not isinstance(self.task, Architectures):
            return measure(like)
        return sum(len(ids) * measure(like[name]) for name, ids, _ in self.task.items()) / self.n

    def draw(
        self, memory: Tree, ids: jax.Array, keys: jax.Array, base_keys: jax.Array, places: bool = False
    ) -> tuple[jax.Array, Any, Any]:
        """Draw one batch for each node of `ids` [m] (None: all).

        Returns:
          (rows of the data [m, B], or `places` in each node's list of them, weights [m, B] or None, the
          sampler's memory).
        """
        whole = ids is None
        index = self.data.index if whole else self.data.index[ids]
        if places:
            index = jnp.broadcast_to(jnp.arange(index.shape[1], dtype=jnp.int32), index.shape)
        count = self.data.count if whole else self.data.count[ids]
        return self.sampler.draw(memory, count, index, keys, base_keys)

    def fetch(self, rows: jax.Array) -> Any:
        """The samples at these rows [...], as tasks see them: a tree of [..., *sample]."""
        rows = materialize(rows)  # each row number is read by every number of its sample
        return self.data.seen(tree.map(lambda x: fetch_rows(jnp.asarray(x), rows), self.data.arrays))

    def scalar_loss(self, fn: Callable[..., Any], batch: Tree, weight: Values | None, key: Keys, *extra: Tree) -> Any:
        """Make params -> scalar: the mean of fn's losses [B] over real samples.

        A scalar loss passes when nothing is padded. A loss with an argument `weight` gets the
        weights [B] of the batch, and weighs its samples itself.
        """
        if takes_weight(fn):
            own = jnp.ones(tree.leaves(batch)[0].shape[:1], float) if weight is None else weight
            fn, weight = partial(fn, weight=own), None
        fn = jax.checkpoint(fn) if self.remat else fn

        def loss(params: Tree) -> jax.Array:
            values = fn(params, batch, key, *extra)
            if values.ndim == 0:
                if weight is not None:
                    way = "return one loss per example, shape [B], or use " + keyword("sampling", "replacement")
                    raise ValueError(
                        "the task's loss returns one number per batch, but batches are padded, as the nodes' shards or their draws differ in size; "
                        + way
                    )
                return values
            return Batch(batch, weight).mean(values)

        return loss


def _as_wide(data: Any, task: Task) -> Any:
    """Return the data with float64 arrays in float32 where the model has no float64.

    They would widen all that is computed from them.
    """
    parts = {name: getattr(data, name, None) for name in ("arrays", "test", "validation")}
    wide = lambda x: getattr(x, "dtype", None) == jnp.float64
    if not any(map(wide, tree.leaves(parts))) or width_of(task) == "float64":
        return data
    narrow = tree.map(lambda x: x.astype(jnp.float32) if wide(x) else x, parts)
    return dataclasses.replace(data, **narrow)


def refuse_data(data: Any) -> None:
    """Say how samples become the data of nodes."""
    says = "is missing" if data is None or (isinstance(data, tuple) and not data) else f"is a {type(data).__name__}"
    instead = "give NodeData: dejax.data.from_arrays(x, y).partition(dejax.data.iid(), nodes=8, seed=0), or dejax.data.from_clients([(x, y), ...])"
    if isinstance(data, Synthetic):
        says, instead = f"is a {type(data).__name__} problem", "give its parts, Problem(made.task, made.data)"
    raise bad("data", data, owner="Problem", says=says, why="and no data of nodes", instead=instead)


__all__ = ["Problem", "takes_weight"]
