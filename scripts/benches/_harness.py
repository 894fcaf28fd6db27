"""What all groups of the bench share: turns, rows, and the line that names the machine.

A group is a file in this folder, whose docstring's first line says what it measures, with one function

    rows(options: Options) -> Iterable[Row]

that yields each row as soon as it is there. Before it builds anything for a row it asks `options.wants` with the row's full name and n.
Rows come from `turns`: a dict of calls, timed one after another again and again.
"""

import contextlib
import importlib
import os
import pkgutil
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

DTYPES = ("float32", "bfloat16")
ORDER = ("mixing", "step", "round", "eval", "rules", "sweep", "growth")
SAMPLE = 0.01  # seconds: shorter calls are repeated within a turn, so that the clock and the dispatch do not count
COLD = 0.3  # seconds: shorter turns begin with a call that is not timed, since the turn before has taken the caches
VECTORS = {  # what /proc/cpuinfo calls them -> name, the widest first
    "avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sse2": "SSE2", "sve2": "SVE2", "sve": "SVE", "asimd": "NEON", "neon": "NEON",
}  # fmt: skip
KINDS = {"cpu family": "family", "model": "model", "CPU implementer": "implementer", "CPU part": "part"}
HEADER = f"{'group':8}{'name':50}{'n':>7}{'ms':>11}  {'bound':28}{'ratio':>8}  {'spread':14}"


@dataclass(frozen=True)
class Options:
    """What the command line asks for.

    Attributes:
      quick: few repeats, small sizes. dtype: of parameters and values. seconds: most seconds of measuring per row.
      wants: (full name of a row, its n) -> whether it is asked for.
    """

    quick: bool = False
    dtype: str = "float32"
    seconds: float = 6.0
    wants: Callable[[str, int], bool] = lambda name, n: True

    @property
    def real(self) -> Any:
        """The dtype object."""
        return jnp.dtype(self.dtype)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
      group, name, n: what was measured, on how many nodes.
      ms: median milliseconds; None for a row that only carries a note.
      bound: label, e.g. "copy". bound_ms: its median milliseconds.
      ratio: median over turns of time / bound, or of bound / time where `rival`. spread: (first, third) quartile of it.
      rival: the bound is another way to do the same work, and ratio says how many times faster dejax is.
      more: further numbers or words, written to JSON; `note` is printed, too.
    """

    group: str
    name: str
    n: int
    ms: float | None = None
    bound: str = ""
    bound_ms: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    rival: bool = False
    note: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """The row as printed."""
        ms = "" if self.ms is None else f"{self.ms:.4g}"
        bound = self.bound if self.bound_ms is None else f"{self.bound} {self.bound_ms:.4g}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}" + ("x" if self.rival else " ")
        spread = "" if self.spread is None else f"{self.spread[0]:.2f}-{self.spread[1]:.2f}"
        return f"{self.group:8}{self.name:50}{self.n:7}{ms:>11}  {bound:28}{ratio:>8}  {spread:14}{self.note}".rstrip()

    def record(self) -> dict[str, Any]:
        """The row as JSON."""
        return {k: v for k, v in vars(self).items() if k != "more"} | self.more


@dataclass(frozen=True)
class Turns:
    """Seconds of each call in each turn: name -> [turns]."""

    seconds: dict[str, np.ndarray]

    def ms(self, name: str, per: float = 1) -> float:
        """Median milliseconds of one of `per` equal parts of a call."""
        return float(np.median(self.seconds[name]) * 1e3 / per)

    def row(
        self, group: str, label: str, n: int, call: str, against: str | None = None, *, bound: str = "",
        per: float = 1, against_per: float = 1, rival: bool = False, scale: float = 1.0, note: str = "", **more: Any,
    ) -> Row:  # fmt: skip
        """A row of `call`, and its ratio to the call `against` taken turn by turn.

        Args:
          per, against_per: how many units of work one call does (rounds of a chunk); milliseconds are per unit.
          rival: turn the ratio round. scale: the bound is this many times the time of `against`.
        """
        t = self.seconds[call] / per
        ms = float(np.median(t) * 1e3)
        if against is None:
            low, high = (float(q) for q in np.quantile(t / np.median(t), (0.25, 0.75)))
            return Row(group, label, n, ms, spread=(low, high), note=note, more=more)
        b = self.seconds[against] / against_per * scale
        ratio = b / t if rival else t / b
        low, mid, high = (float(q) for q in np.quantile(ratio, (0.25, 0.5, 0.75)))
        bound_ms = float(np.median(b) * 1e3)
        return Row(group, label, n, ms, bound or against, bound_ms, mid, (low, high), rival, note, more)


def turns(calls: dict[str, Callable[[], Any]], options: Options, least: int = 5, most: int = 51) -> Turns:
    """Time calls in turns: a, b, c, a, b, c, ... after one warm-up of each, which compiles.

    Args:
      calls: name -> function without arguments; what it returns is waited for. Functions that donate keep their own state.
      least, most: turns; `options.seconds` lies between (a quick run takes 3).
    """
    inner, warm = {}, {}
    once = 0.0
    for name, fn in calls.items():
        jax.block_until_ready(fn())
        took = _seconds(fn, 1)
        inner[name] = max(1, min(200, int(SAMPLE / max(took, 1e-7))))
        warm[name] = took * inner[name] < COLD
        once += took * inner[name] * (1 + warm[name])
    count = 3 if options.quick else int(min(most, max(least, options.seconds / max(once, 1e-6))))
    out: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(count):
        for name, fn in calls.items():
            if warm[name]:
                _seconds(fn, inner[name])
            out[name].append(_seconds(fn, inner[name]))
    return Turns({name: np.array(times) for name, times in out.items()})


def _seconds(fn: Callable[[], Any], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        got = fn()
    jax.block_until_ready(got)
    return (time.perf_counter() - start) / times


def compiled(fn: Callable[..., Any], *args: Any, **jit: Any) -> tuple[Callable[[], Any], Any]:
    """(call without arguments, compiled program): compiled ahead, so that a call is its execution alone."""
    program = jax.jit(fn, **jit).lower(*args).compile()
    return lambda: program(*args), program


@contextlib.contextmanager
def compilations() -> Iterator[list[float]]:
    """Within it, seconds of each compilation by the back end, in order."""
    seen: list[float] = []
    watching = True

    def listen(event: str, seconds: float, **_: Any) -> None:
        if watching and event.endswith("backend_compile_duration"):
            seen.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        watching = False


def temporary_bytes(program: Any) -> int | None:
    """Bytes of scratch memory that a compiled program asks for; None where the back end does not say."""
    stats = program.memory_analysis()
    return None if stats is None else int(stats.temp_size_in_bytes)


def accelerated() -> bool:
    """Whether JAX computes on something else than the CPU: sizes that fill a GPU or TPU are larger."""
    return jax.devices()[0].platform != "cpu"


def processor(info: str) -> dict[str, Any]:
    """What the text of /proc/cpuinfo ("" where there is none) says about the first processor.

    Returns:
      name; family and model (ARM: implementer and part), where they are told; vectors: the widest ones, None where unknown.
    """
    facts = {
        k.strip(): v.strip() for k, found, v in (s.partition(":") for s in info.split("\n\n")[0].splitlines()) if found
    }
    name = facts.get("model name") or platform.processor() or platform.machine()
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    if not flags and platform.machine() in ("arm64", "aarch64"):
        flags = ["asimd"]  # part of the architecture
    kind = {word: facts[key] for key, word in KINDS.items() if key in facts}
    return {"name": name, **kind, "vectors": next((VECTORS[flag] for flag in VECTORS if flag in flags), None)}


def machine() -> dict[str, Any]:
    """Processor (see `processor`) with its cores, devices of JAX, versions, milliseconds of a call that does nothing."""
    info = Path("/proc/cpuinfo")
    cpu = processor(info.read_text() if info.exists() else "")
    cpu["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    device = jax.devices()[0]
    empty = turns({"call": compiled(lambda x: x + 1, jnp.float32(0))[0]}, Options(quick=True))
    return {
        "cpu": cpu,
        "devices": f"{len(jax.devices())} x {device.platform} {device.device_kind}",
        "versions": {"jax": jax.__version__, "numpy": np.__version__, "Python": platform.python_version()},
        "call_ms": empty.ms("call"),
    }


def machine_line(machine: dict[str, Any]) -> str:
    """What `machine` found, without the time of a call, in one line."""
    cpu = machine["cpu"]
    kind = [f"{word} {cpu[word]}" for word in KINDS.values() if word in cpu]
    kind += [cpu["vectors"]] * bool(cpu["vectors"])
    name = cpu["name"] + (f" ({', '.join(kind)})" if kind else "")
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    return f"{name}, {cpu['cores']} cores; {machine['devices']}; {versions}"


def groups() -> dict[str, ModuleType]:
    """All groups of this folder by name, the known ones in reading order."""
    names = [m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if not m.name.startswith("_")]
    names.sort(key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    return {name: importlib.import_module(f"{__package__}.{name}") for name in names}


def names(group: ModuleType, options: Options) -> list[tuple[str, int]]:
    """(full name, n) of every row that a group has, wanted or not; nothing is built or measured."""
    seen: list[tuple[str, int]] = []

    def look(name: str, n: int) -> bool:
        seen.append((name, n))
        return False

    for row in group.rows(replace(options, wants=look)):
        raise AssertionError(f"{group.__name__} yields {row.name!r} though it was not asked for")
    return seen


def torch_here() -> tuple[Any, str, str]:
    """(torch, its name for the device that JAX computes on, ""), or (None, "", why there is none)."""
    try:
        import torch
    except ImportError:
        return None, "", "torch is not installed"
    kind = jax.devices()[0].platform
    if kind == "cpu":
        return torch, "cpu", ""
    if kind in ("gpu", "cuda", "rocm") and torch.cuda.is_available():
        return torch, "cuda", ""
    return None, "", f"left out: JAX computes on a {kind}, which this torch cannot use"
