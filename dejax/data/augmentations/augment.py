"""Change the batch of one node by a list of augmentations, each with draws of its own."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ...core.random import fold_in, fold_name
from ...core.struct import static, struct
from ...core.types import PRNGKey
from ...errors import FieldError, bad

MEMBERS = "e.g. [dejax.augmentations.crop(padding=4), dejax.augmentations.flip()], or functions of (key, x)"


class Augmentation:
    """Change one sample: `apply(key, x) -> x` of the same shape and dtype.

    One that mixes samples has `mix(key, batch, weight) -> (batch, weight)` of a node's batch instead, and `mixes = True`.
    """

    mixes = False


@struct
class Own(Augmentation):
    """A function of your own, of a key and one sample."""

    fn: Callable[[Any, Any], Any] = static()

    def apply(self, key: PRNGKey, x: Any) -> Any:
        """The sample that the function makes."""
        return self.fn(key, x)


def as_members(given: Any) -> tuple[Any, ...]:
    """Augmentations as a tuple; functions of (key, x) in a box.

    Raises:
      TypeError: a class that was not called, or anything else.
    """
    several = given if isinstance(given, (list, tuple)) else (given,)
    return tuple(map(_member, () if given is None else several))


def _member(value: Any) -> Any:
    if isinstance(value, type):
        name = value.__name__.lower()
        raise bad(
            "augment",
            value,
            owner="Problem",
            says=f"is {name}",
            why="which was not called",
            instead=f"give {name}(...)",
        )
    if any(getattr(value, hook, None) is not None for hook in ("mix", "apply")):
        return value
    if not callable(value):
        says = f"is {value!r} ({type(value).__name__})"
        raise bad(
            "augment", value, owner="Problem", says=says, why="which is no augmentation", instead="give " + MEMBERS
        )
    try:
        inspect.signature(value).bind(None, None)
    except TypeError as error:
        says = f"{value!r} cannot be called with (key, x): {error}"
        raise bad("augment", value, owner="Problem", says=says, instead="write def f(key, x) of one sample") from None
    except ValueError:  # a builtin without a signature
        pass
    return Own(value)


def augmented(members: Sequence[Any], key: PRNGKey, batch: Any, weight: Any) -> tuple[Any, Any]:
    """Change one node's batch in the order of `members`.

    Args:
      key: of the node, in this round and call. Each member draws by its own name and place.
      batch: "x" [B, ...] and what else a sample has. weight: [B], 0 on padding, or None.
    Returns:
      (batch, weight); of those that mix, with two rows for each.
    Raises:
      ValueError: another shape or dtype than that of the sample; samples of several arrays.
    """
    if members and isinstance(batch["x"], Mapping):
        why = f"but x is a dict of {', '.join(batch['x'])}"
        raise bad("augment", owner="Problem", says="changes one array x", why=why, instead="leave augment out")
    for place, member in enumerate(members):
        own = fold_in(fold_name(key, type(member).__name__), place)
        if getattr(member, "mixes", False):
            batch, weight = member.mix(own, batch, weight)
            continue
        x = batch["x"]
        made = jax.vmap(member.apply)(fold_in(own, jnp.arange(x.shape[0], dtype=jnp.int32)), x)
        one = isinstance(made, jax.Array)
        if not one or made.shape != x.shape or made.dtype != x.dtype:
            name = getattr(getattr(member, "fn", None), "__name__", type(member).__name__)
            got = f"{made.dtype}{list(made.shape[1:])}" if one else type(made).__name__
            raise FieldError(
                f"augmentation {name} makes {got} of a sample {x.dtype}{list(x.shape[1:])}; return the shape and dtype it got",
                field="Problem.augment",
            )
        batch = {**batch, "x": made}
    return batch, weight


def check_image(name: str, x: Any) -> None:
    """Refuse samples that are no images [H, W] or [H, W, C]."""
    if x.ndim not in (2, 3):
        says, why = f"holds {name}, which changes images [H, W] or [H, W, C]", f"but a sample is {list(x.shape)}"
        raise bad("augment", list(x.shape), owner="Problem", says=says, why=why, instead="leave it out, or give images")


__all__ = ["Augmentation", "Own", "as_members", "augmented", "check_image"]
