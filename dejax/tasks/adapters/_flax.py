"""Tasks from flax modules.

Parameters are a plain nested dict; tasks are equal when rebuilt; the user's own module comes back.
A flax nnx module is split once, abstractly (no array is made), into its graph definition and its
state. The task keeps the definition; `init` runs the factory, `loss` puts a module together again
from parameters and calls it.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from ...core.abstract import key_like
from ...core.arguments import with_key
from ...core.made import recorded
from ...core.random import fold_name
from ...core.types import Tree
from ...errors import FieldError, a_name, bad
from ...layers.conv import conv_general_dilated
from ...layers.linear import dot_general
from .. import objectives

Factory = Callable[[nnx.Rngs], nnx.Module]
Loss = Callable[[Any, Any], jax.Array]
Metrics = Callable[[Any, Any], dict[str, jax.Array]]
Path = tuple[Any, ...]


class FlaxTask:
    """A task of a flax nnx module; made by `classifier`, `regression` or `from_module`.

    `init(key)` gives a nested dict of arrays (keys are the module's attribute names),
    `loss(params, batch, key)` runs the module in training mode with the key behind its dropout,
    `metrics(params, batch)` in evaluation mode, `module(params)` gives the user's own module. Its
    plain `nnx.Linear` and `nnx.Conv` layers get products and convolutions that are fast under a
    node axis, with the same numbers up to rounding. Two tasks are equal when the modules'
    structure, the way they are initialized and the functions are equal.
    """

    def __init__(self, factory: Factory | nnx.Module, loss: Loss, metrics: Metrics | None):
        self._factory = factory = _as_factory(factory)
        self._loss, self._metrics = loss, metrics
        made: list[Any] = []

        def one() -> Any:
            made.append(factory(nnx.Rngs(0)))
            return made[-1] if isinstance(made[-1], nnx.Module) else None

        try:
            abstract = nnx.eval_shape(one)
        except FieldError:  # of a module that says itself what would be right
            raise
        except Exception as error:
            says = f"{_named(factory)} raised {type(error).__name__} when it was called with nnx.Rngs: {error}"
            raise bad(
                "factory", factory, says=says, instead="give a function from nnx.Rngs to a flax nnx module"
            ) from error
        if abstract is None:
            what = _named(made[-1]) + _of_library(made[-1]) if _way(made[-1]) else a_name(made[-1])
            raise bad(
                "factory",
                made[-1],
                says=f"gives {what}",
                why="but a task needs a flax nnx module",
                instead=_way(made[-1]) or "give e.g. lambda rngs: dj.tasks.MLP(16, 64, 26, rngs=rngs)",
            )
        _quicken(abstract)
        self._kinds, self._streams = _check(abstract)
        abstract.train()
        self._train = nnx.graphdef(abstract)
        abstract.eval()
        self._eval = nnx.graphdef(abstract)
        self._value = (self._train, self._eval, loss, metrics, _fingerprint(self.init))
        self._hash = hash(self._value)

    def init(self, key: jax.Array) -> dict[str, Any]:
        """Make one model's parameters, a nested dict of arrays.

        Pure, so it can be jitted and vmapped over keys.
        """
        state = dict(nnx.to_flat_state(nnx.state(self._factory(nnx.Rngs(key)))))
        return _nested((path, state[path][...]) for path, _ in self._kinds)

    @property
    def roles(self) -> tuple[tuple[str, str], ...]:
        """Return the roles of leaves that the module itself writes (nnx.BatchStat): statistics.

        See `dejax.roles`.
        """
        return tuple(("/".join(map(str, path)), "statistics") for path, kind in self._kinds if kind is nnx.BatchStat)

    @property
    def higher(self) -> Any:
        """Of which metrics more is better: the attribute `higher` of the function that was given."""
        return getattr(self._metrics, "higher", None)

    def statistics(self, params: Tree, batch: Tree, key: jax.Array | None = None) -> dict[str, Any]:
        """Return `params` with the statistics that the module leaves after its loss on this batch.

        The module is in training mode.
        """
        module = self._merge(self._train, params, key)
        self._loss(module, batch)
        state = dict(nnx.to_flat_state(nnx.state(module)))
        return _nested((path, state[path][...]) for path, _ in self._kinds)

    def loss(self, params: Tree, batch: Tree, key: jax.Array | None = None) -> jax.Array:
        """Compute the loss [B] of one node's model on its batch.

        The task's own loss function may return another shape.
        """
        return self._loss(self._merge(self._train, params, key), batch)

    def metrics(self, params: Tree, batch: Tree, key: jax.Array | None = None) -> dict[str, jax.Array]:
        """Name -> [B], in evaluation mode; {} when the task has none."""
        return self._measured(self.module(params), batch, key)

    def answer(self, params: Tree, batch: Tree) -> Any:
        """The module's output on the batch's x, in evaluation mode."""
        return self.module(params)(batch["x"])

    def hidden(self, params: Tree, batch: Tree) -> Any:
        """What the module's hidden units answer on the batch's x: its `hidden`, in evaluation mode.

        Raises:
          TypeError: the module has no `hidden`.
        """
        module = self.module(params)
        if not callable(getattr(module, "hidden", None)):
            raise TypeError(f"{type(module).__name__} has no method hidden(x), a list of what its hidden units answer")
        return module.hidden(batch["x"])

    def features(self, params: Tree, batch: Tree) -> Any:
        """What the module makes of x before its head: its `features`, in evaluation mode.

        Raises:
          TypeError: the module has no `features`.
        """
        module = self.module(params)
        if not callable(getattr(module, "features", None)):
            raise TypeError(f"{type(module).__name__} has no method features(x), what it makes of x before its head")
        return module.features(batch["x"])

    def _measured(self, module: Any, batch: Tree, key: Any) -> dict[str, jax.Array]:
        key = jax.random.key(0) if key is None else key
        return {} if self._metrics is None else with_key(self._metrics, module, batch, key=key)

    def measure(self, answer: Callable[[Any], Any], batch: Tree, key: jax.Array | None = None) -> dict[str, jax.Array]:
        """Metrics [B] of `answer(x)` in place of a module's output, e.g. of several models together.

        The loss is that of the answers, too.
        """
        found = self._measured(answer, batch, key)
        return found if "loss" in found else found | {"loss": self._loss(answer, batch)}

    def module(self, params: Tree) -> Any:
        """The user's own module with these parameters (no node axis), in evaluation mode."""
        return self._merge(self._eval, params, None)

    def num_scores(self, params: Tree, batch: Tree) -> int | None:
        """Class scores that a classifier gives, from shapes alone; None for other tasks."""
        if self._loss is not objectives.classifier_loss:
            return None
        return jax.eval_shape(lambda p, b: self.module(p)(b["x"]), params, batch).shape[-1]

    def _merge(self, graphdef: Any, params: Tree, key: jax.Array | None) -> Any:
        flat: list[tuple[Path, Any]] = []
        for path, kind in self._kinds:
            value = params
            for p in path:
                value = value[str(p)]
            flat.append((path, kind(value)))
        if self._streams and key is None:
            key = jax.random.key(0)  # evaluation, or a loss asked for without a key: any fixed stream
        for path, kind in self._streams:
            value = fold_name(key, "/".join(map(str, path[:-1]))) if kind is nnx.RngKey else jnp.zeros((), jnp.uint32)
            flat.append((path, kind(value, tag=str(path[-2]))))
        return nnx.merge(graphdef, nnx.from_flat_state(flat))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlaxTask) and self._hash == other._hash and self._value == other._value

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"FlaxTask({self._train.nodes[0].type.__name__}, loss={getattr(self._loss, '__name__', self._loss)})"


@recorded()
def classifier(factory: Factory | nnx.Module) -> FlaxTask:
    """Learn to classify with any flax module: softmax cross entropy per example.

    Metrics are loss and accuracy.

    Args:
      factory: `rngs -> module`, where `module(x [B, ...])` gives scores [B, C]; or a module that is
        built already, whose parameters are then everybody's start. Batches are
        {"x": [B, ...], "y": int [B]}.
    Raises:
      TypeError: a factory that does not take one argument, or gives no nnx module.
      ValueError: a module with state besides nnx.Param and nnx.BatchStat (caches).
    Example:
      >>> task = classifier(lambda rngs: nnx.Linear(4, 3, rngs=rngs))
      >>> jax.tree.map(jnp.shape, task.init(jax.random.key(0)))
      {'bias': (3,), 'kernel': (4, 3)}
    """
    return FlaxTask(factory, objectives.classifier_loss, objectives.classifier_metrics)


@recorded()
def regression(factory: Factory | nnx.Module) -> FlaxTask:
    """Learn to predict numbers with any flax module: half the squared error per example.

    Metrics are loss and mse.

    Args:
      factory: as for `classifier`; `module(x)` gives [B, ...] like y, or [B, 1] for y [B].
    Example:
      >>> regression(lambda rngs: nnx.Linear(4, 1, rngs=rngs))
      FlaxTask(Linear, loss=regression_loss)
    """
    return FlaxTask(factory, objectives.regression_loss, objectives.regression_metrics)


@recorded()
def from_module(factory: Factory | nnx.Module, loss: Loss, metrics: Metrics | None = None) -> FlaxTask:
    """Learn with any flax module and your own loss: `loss(module, batch) -> [B]`.

    Metrics, too, are yours: `metrics(module, batch) -> {name: [B]}`, or `metrics(module, batch, key)`.

    Args:
      factory: as for `classifier`.
      loss: called with the module in training mode and one node's batch. A named function: a fresh
        lambda compiles anew.
      metrics: the same in evaluation mode; may be left out. Its attribute `higher`, {name: True or False}, says of which
        more is better, where names do not.
    Example:
      >>> def reconstruct(module, batch):
      ...     return jnp.square(module(batch["x"]) - batch["x"]).mean(1)
      >>> from_module(lambda rngs: nnx.Linear(4, 4, rngs=rngs), reconstruct)
      FlaxTask(Linear, loss=reconstruct)
    """
    return FlaxTask(factory, loss, metrics)


def _nested(leaves: Iterable[tuple[Path, Any]]) -> dict[str, Any]:
    """A nested dict out of paths and values."""
    out: dict[str, Any] = {}
    for path, value in leaves:
        *folders, name = (str(p) for p in path)
        place = out
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return out


def _as_factory(factory: Any) -> Factory:
    if isinstance(factory, nnx.Module):
        return _Built(factory)
    if way := _way(factory):
        what = f"is {_named(factory)}{_of_library(factory)}"
        raise bad("factory", factory, says=what, why="but a task needs a flax nnx module", instead=way)
    if not callable(factory):
        raise bad(
            "factory",
            factory,
            why="but a task needs a function from nnx.Rngs to a flax nnx module",
            instead="give e.g. lambda rngs: dj.tasks.MLP(16, 64, 26, rngs=rngs)",
        )
    is_class = inspect.isclass(factory)
    try:
        inspect.signature(factory.__init__ if is_class else factory).bind(*[None] * (1 + is_class))
    except TypeError as e:
        raise bad(
            "factory",
            factory,
            says=f"{_named(factory)!r} cannot be called with one argument, nnx.Rngs ({e})",
            instead="wrap it: lambda rngs: MyModule(sizes, rngs=rngs)",
        ) from None
    except ValueError:  # a builtin without a signature
        pass
    return factory


FUNCTIONS = "dejax.tasks.from_functions(init, loss) with its own init and apply"
FOREIGN = {
    "flax.linen": f"wrap it, lambda rngs: nnx.bridge.ToNNX(module, rngs=rngs).lazy_init(example), or write {FUNCTIONS}",
    "haiku": f"write {FUNCTIONS}",
    "equinox": f"write {FUNCTIONS}",
    "torch": "write the model with flax.nnx",
}


def _named(factory: object) -> str:
    """Its name, or that of its class: modules print over many lines."""
    return getattr(factory, "__name__", None) or type(factory).__name__


def _library(factory: object) -> str:
    """The foreign library that a module or its class is of; "" for any other."""
    kin = factory.__mro__ if isinstance(factory, type) else type(factory).__mro__
    return next((library for library in FOREIGN if any(c.__module__.startswith(library) for c in kin)), "")


def _of_library(factory: object) -> str:
    library = _library(factory)
    return f", a {'class' if inspect.isclass(factory) else 'module'} of {library}" if library else ""


def _way(factory: object) -> str:
    return FOREIGN.get(_library(factory), "")


class _Built:
    """A factory that gives copies of a module that exists already."""

    def __init__(self, module: nnx.Module):
        self.graphdef, self.state = nnx.split(module)

    def __call__(self, rngs: nnx.Rngs) -> nnx.Module:
        del rngs
        return nnx.merge(self.graphdef, jax.tree.map(jnp.asarray, self.state))


def _quicken(module: nnx.Module) -> None:
    """Give plain flax layers products and convolutions that stay fast under a node axis.

    The numbers are the same, up to rounding.
    """
    for _, layer in nnx.iter_graph(module):
        if getattr(layer, "dot_general", None) is jax.lax.dot_general:
            layer.dot_general = dot_general
        if getattr(layer, "conv_general_dilated", None) is jax.lax.conv_general_dilated:
            layer.conv_general_dilated = conv_general_dilated


def _check(abstract: nnx.Module) -> tuple[list[tuple[Path, Any]], list[tuple[Path, Any]]]:
    """Return paths and types of parameters and statistics, and of the random streams.

    Anything else is refused.
    """
    kinds: list[tuple[Path, Any]] = []
    streams: list[tuple[Path, Any]] = []
    for path, leaf in nnx.to_flat_state(nnx.state(abstract)):
        kind = type(leaf) if isinstance(leaf, nnx.Variable) else getattr(leaf, "type", type(leaf))
        if issubclass(kind, nnx.Param):
            kinds.append((path, nnx.Param))
        elif issubclass(kind, nnx.BatchStat):
            kinds.append((path, nnx.BatchStat))
        elif issubclass(kind, nnx.RngState):
            streams.append((path, nnx.RngKey if issubclass(kind, nnx.RngKey) else nnx.RngCount))
        else:
            name = ".".join(map(str, path))
            raise ValueError(
                f"the module's {name} is {kind.__name__}, but a task's state is nnx.Param and nnx.BatchStat: other variables would have "
                "to be mixed, counted and evaluated by rules of their own. Make it an nnx.Param, or compute it in __call__."
            )
    if not any(kind is nnx.Param for _, kind in kinds):
        raise ValueError(
            f"the module {type(abstract).__name__} has no nnx.Param, so there is nothing to learn; add a layer"
        )
    return kinds, streams


def _fingerprint(init: Callable[[jax.Array], Any]) -> str:
    """Digest the program of `init`.

    Equal modules may be initialized by different laws.
    """
    key = key_like()
    program = jax.make_jaxpr(init)(key)
    digest = hashlib.sha256(str(program.jaxpr).encode())
    for const in program.consts:
        digest.update(jax.device_get(const).tobytes())
    return digest.hexdigest()
