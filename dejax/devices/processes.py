"""Several processes of one job (`jax.distributed`): what one does for all.

And what all must agree on. Every process runs the same program and must come to the same exchanges
in the same order. What may differ between them (clocks, signals, files, errors) goes through here.
With one process all of it is a plain call.
"""

import builtins
import functools
import itertools
import json
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core.types import Tree, Values
from ..errors import CheckpointError, FieldError, ProcessError, Words, as_command

_looks = itertools.count()


def count() -> int:
    """Processes of the job; 1 without `jax.distributed`."""
    return jax.process_count()


def leads() -> bool:
    """Whether this is process 0, which writes and prints."""
    return jax.process_index() == 0


def name(index: int | None = None) -> str:
    """ "process 1 of 2": this process, or that of a number."""
    return f"process {jax.process_index() if index is None else index} of {count()}"


def gather(value: Tree) -> list[Any]:
    """The plain values (as JSON has them) that the processes hand in, by process."""
    if count() == 1:
        return [value]
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    lengths = _allgather(np.array([len(text)], np.int32))[:, 0]
    width = 1 << max(8, int(lengths.max() - 1).bit_length())  # few sizes: each is compiled once
    rows = _allgather(np.pad(text, (0, width - len(text))))
    return [json.loads(row[:length].tobytes()) for row, length in zip(rows, lengths, strict=True)]


def share(value: Tree) -> Any:
    """What process 0 hands in, on all."""
    return gather(value if leads() else None)[0]


def hosts() -> list[str]:
    """Return the host of each process, by a name that processes of one host share.

    Until `meet` was called, all count as on one host.
    """
    return _met or [""] * count()


def meet() -> None:
    """Learn the hosts of all processes, which must all call this."""
    if not _met:
        _met.extend(gather(_host()))


def agree(stop: bool, rounds: int) -> tuple[bool, int]:
    """Whether any process was asked to stop, and the number of rounds that process 0 hands in.

    The notice that a scheduler sends before it takes a machine away (SIGTERM, which
    `jax.distributed` catches) counts as asked.
    """
    if count() == 1:
        return stop, rounds
    from jax.experimental.multihost_utils import reached_preemption_sync_point

    with suppress(RuntimeError):  # of a service that is switched off: jax_enable_preemption_service
        stop = reached_preemption_sync_point(next(_looks)) or stop
    got = _allgather(np.array([stop, rounds], np.int32))
    return bool(got[:, 0].any()), int(got[0, 1])


@contextmanager
def everyone() -> Iterator[None]:
    """A stretch that each process passes for itself; an error in one of them ends it in all.

    Where the stretch computes on all devices, this holds for errors on the host, before or after
    it.

    Raises:
      ProcessError: on processes that came through, where another one did not.
    """
    if count() == 1:
        yield
        return
    error = None
    try:
        yield
    except Exception as caught:
        error = caught
    _settle(error)


def led(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Let process 0 run `fn` for all.

    Every process gets its result (plain values), or its error.
    """

    @functools.wraps(fn)
    def run(*args: Any, **kw: Any) -> Any:
        if count() == 1:
            return fn(*args, **kw)
        out, error = None, None
        if leads():
            try:
                out = fn(*args, **kw)
            except Exception as caught:
                error = caught
        return _settle(error, out, alike=True)

    return run


def same(facts: dict[str, dict[str, Any]]) -> None:
    """Refuse processes that were given different experiments: {label: {what: a plain value}}.

    Raises:
      ValueError: says which process and what differs.
    """
    first, *others = gather(facts)
    for i, theirs in enumerate(others, 1):
        if theirs == first:
            continue
        label = next((k for k in {**first, **theirs} if first.get(k) != theirs.get(k)), "")
        ours, other = first.get(label), theirs.get(label)
        if ours is None or other is None:
            what = f"the run {label!r} is only on one of them"
        else:
            part = next(k for k in {**ours, **other} if ours.get(k) != other.get(k))
            what = f"{part} of the run {label!r} differs"
        raise met(
            ValueError(
                f"{name(i)} was given another experiment than process 0: {what}. Give all processes the same arguments; data and "
                "graphs must be made from the same seeds and files"
            )
        )


def met(error: Exception) -> Exception:
    """Mark an error that all processes met alike: process 0 is to say it."""
    return _known(error, told=not leads())


def to_host(values: Tree) -> Any:
    """Copy arrays to the host; keys stay on the device.

    With several processes each gets the whole of them, and all processes must ask.
    """

    def one(x: Values) -> Any:
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            if not isinstance(x, jax.Array) or x.is_fully_addressable:
                return x
            return jax.random.wrap_key_data(one(jax.random.key_data(x)), impl=jax.random.key_impl(x))
        if not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated:
            return jax.device_get(x)
        from jax.experimental.multihost_utils import process_allgather

        return process_allgather(x, tiled=True)

    leaves, shape = jax.tree.flatten(values)
    key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    if count() == 1 and not any(map(key, leaves)):  # all leaves at once
        return jax.tree.unflatten(shape, jax.device_get(leaves))
    return jax.tree.unflatten(shape, list(map(one, leaves)))


# ---- inside
_met: list[str] = []


def _host() -> str:
    """Return the name of this host, with the id of its last start where the system has one.

    Several hosts may be called localhost.
    """
    name = platform.node()
    with suppress(OSError):
        name += " " + Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return name


def _allgather(x: np.ndarray) -> np.ndarray:
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(x))


def _settle(error: Exception | None, result: Any = None, alike: bool = False) -> Any:
    """Raise what failed in any process; else return the result of process 0.

    `alike`: other processes raise an error of the same type.
    """
    said = gather([None if error is None else [type(error).__name__, *_texts(error)], result])
    failed = [i for i, (what, _) in enumerate(said) if what is not None]
    if not failed:
        return said[0][1]
    first = said[failed[0]][0]
    if error is not None:
        error.add_note(f"on {name()}")
        raise _known(error, told=jax.process_index() != failed[0] and first == said[jax.process_index()][0])
    kind, *texts = first
    raise met(_elsewhere(failed[0], kind, Words(*texts), alike))


def _texts(error: Exception) -> tuple[str, str]:
    """What an error says in Python, and on the command line."""
    said = str(error)
    return said, as_command(error.args[0]) if len(error.args) == 1 and error.args[0] == said else said


def _known(error: Exception, told: bool) -> Exception:
    """Mark an error that all processes know of: `told` where another one says it."""
    vars(error).update(known=True, told=told)
    return error


def _elsewhere(index: int, kind: str, text: str, alike: bool) -> Exception:
    """Make the error of another process.

    `alike`: of the same type, if that is one of Python's or of checkpoints.
    """
    own = {"CheckpointError": CheckpointError, "FieldError": FieldError}
    cls: Any = own.get(kind) or getattr(builtins, kind, None)
    if alike and isinstance(cls, type) and issubclass(cls, Exception):
        with suppress(TypeError):  # of one that takes more than a text
            return cls(f"{name(index)}: " + text)
    return ProcessError(f"{name(index)} failed: {kind}: " + text)


__all__ = [
    "agree",
    "count",
    "everyone",
    "gather",
    "hosts",
    "leads",
    "led",
    "meet",
    "met",
    "name",
    "same",
    "share",
    "to_host",
]
