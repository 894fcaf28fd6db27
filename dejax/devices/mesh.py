"""Meshes: the devices of a run, with the axes `runs` (several seeds) and `nodes`.

Devices on paper, too: those that need not be there.
"""

import dataclasses
import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh

from ..core.checks import Whole, or_none
from ..core.types import Tree
from ..core.warn import warn
from ..errors import bad

NODES, RUNS = "nodes", "runs"


@dataclasses.dataclass(frozen=True)
class Layout:
    """A mesh, and whether nodes may be relabelled so that few edges cross between devices."""

    mesh: Mesh
    relabel: bool = True


def layout(nodes: int | None = None, runs: int = 1, relabel: bool = True, devices: Any = None) -> Layout:
    """Choose the devices of a run: `runs` groups, each with all nodes in `nodes` equal parts.

    Args:
      nodes: devices along the node axis, >= 1; None: all there are, over `runs`.
      runs: devices along the axis of seeds, >= 1; several seeds are split into that many equal
        groups.
      relabel: let nodes change places so that few edges cross between devices (numbers stay the
        same); False keeps node i at place i.
      devices: JAX devices to use; None: all of them, of all processes, or equally many of each
        process.
    Raises:
      ValueError: more devices than there are; a number that processes cannot share equally; no
        number. TypeError: devices that are none, relabel that is no bool.
    Example:
      >>> layout(nodes=1).mesh.shape["nodes"]
      1
    """
    _check(nodes, runs, relabel, devices)
    given = devices is not None
    devices = list(devices if given else jax.devices())
    nodes = max(1, len(devices) // runs) if nodes is None else nodes
    if nodes * runs > len(devices):
        simulated = f"on a CPU more are simulated by the environment variable JAX_NUM_CPU_DEVICES={nodes * runs}"
        raise bad(
            "mesh",
            (runs, nodes),
            says=f"asks for runs x nodes = {runs} x {nodes} devices",
            why=f"but there {('is' if len(devices) == 1 else 'are')} {len(devices)}",
            instead=f"{('give more of them' if given else simulated)}",
        )
    grid = np.asarray(_of_each_process(devices, nodes * runs), object).reshape(runs, nodes)
    return Layout(_mesh(grid), relabel)


DEVICES = Whole(words="a number of devices >= 1")


def _check(nodes: Any, runs: Any, relabel: Any, devices: Any) -> None:
    """Refuse numbers of devices that cannot be, and other values that `layout` does not take."""
    or_none(DEVICES)("mesh.nodes", nodes)
    DEVICES("mesh.runs", runs)
    if not isinstance(relabel, bool):
        raise bad("relabel", relabel, owner="mesh", instead="give True or False")
    listed = isinstance(devices, (Sequence, np.ndarray)) and all(isinstance(d, jax.Device) for d in devices)
    if devices is not None and (not listed or len(set(devices)) < len(devices)):
        raise bad(
            "devices",
            devices,
            owner="mesh",
            instead="give a list of different JAX devices, e.g. jax.devices()[:4], or how many as nodes",
        )


def in_runs() -> bool:
    """Return whether this runs within a `jax.vmap(..., spmd_axis_name="runs")`.

    Also within a jit in it.

    JAX says so in a private module alone. A release that moves it makes this True, and nothing is
    refused (a test would fail).
    """
    env = getattr(sys.modules.get("jax._src.core"), "get_axis_env", None)
    names = getattr(env() if env else None, "spmd_axis_names", (RUNS,))
    return RUNS in names


def check_runs(runs: int, seeds: int) -> None:
    """Raise ValueError unless `runs` devices can take equally many of so many seeds."""
    if seeds % runs:
        there = "is 1 seed" if seeds == 1 else f"are {seeds} seeds"
        raise bad(
            "mesh",
            runs,
            says=f"has {runs} devices along runs",
            why=f"but there {there}",
            instead="make runs a divisor of the number of seeds",
        )


def _check_names(value: Mapping[str, Any]) -> None:
    """Raise ValueError for a name that `layout` does not take."""
    names = inspect.signature(layout).parameters
    for name in value:
        if name not in names:
            raise bad(
                "mesh",
                dict(value),
                says=f"has {name!r}: {value[name]!r}",
                instead=f"the names that it knows are {', '.join(names)}",
            )


def _of_each_process(devices: list[Any], count: int) -> list[Any]:
    """Return `count` devices, equally many of each process.

    A process that has none could not take part in a program.
    """
    owners = sorted({d.process_index for d in devices})
    if count == len(devices):
        return devices
    if count % len(owners):
        raise bad(
            "mesh",
            count,
            says=f"asks for {count} devices of {len(owners)} processes",
            why="which cannot each give as many",
            instead=f"make runs x nodes a multiple of {len(owners)}, or leave nodes out to take all {len(devices)}",
        )
    own = [[d for d in devices if d.process_index == owner] for owner in owners]
    short = next((i for i, mine in zip(owners, own, strict=True) if len(mine) < count // len(owners)), None)
    if short is not None:
        raise bad(
            "mesh",
            count,
            says=f"asks for {count} devices, {count // len(owners)} of each process",
            why=f"but process {short} has fewer",
            instead=f"leave nodes out to take all {len(devices)}",
        )
    return [d for mine in own for d in mine[: count // len(owners)]]


def _mesh(grid: np.ndarray) -> Mesh:
    """Devices [runs, nodes] as a mesh.

    Raises:
      ValueError: a process of the job holds none of them.
    """
    left_out = set(range(jax.process_count())) - {d.process_index for d in grid.flat}
    if left_out:
        raise bad(
            "mesh",
            grid.tolist(),
            says=f"has no device of process {min(left_out)}",
            instead="every process of the job must hold some: give mesh={} to take all devices",
        )
    return Mesh(grid, (RUNS, NODES), axis_types=(AxisType.Auto,) * 2)


def as_layout(value: Tree) -> Layout | None:
    """Read what users may write as `mesh=`.

    That is None, a number of devices, {nodes, runs, relabel}, a JAX mesh, or a Layout.

    Raises:
      TypeError, ValueError: anything else; a mesh without an axis `nodes`.
    """
    if value is None or isinstance(value, Layout):
        return value
    if isinstance(value, Mapping):
        _check_names(value)
        return layout(**value)
    if isinstance(value, (int, np.integer)):
        _check(value, 1, True, None)
        return layout(int(value))
    if not isinstance(value, Mesh):
        raise bad(
            "mesh", value, instead="give a number of devices, e.g. 8, or a mapping such as {'nodes': 4, 'runs': 2}"
        )
    if NODES not in value.axis_names or not set(value.axis_names) <= {NODES, RUNS}:
        raise bad(
            "mesh",
            value.axis_names,
            says=f"has axes {value.axis_names}",
            instead="name them 'runs' (may be left out) and 'nodes'",
        )
    grid = value.devices if value.axis_names == (RUNS, NODES) else value.devices.reshape(-1, value.shape[NODES])
    if value.axis_names == (NODES, RUNS):
        grid = value.devices.T
    return Layout(_mesh(grid))


def on_paper(value: Tree) -> Layout | None:
    """Read a mesh as `as_layout`, on devices that need not be there.

    What is placed on them are shapes that say how they are divided. Without a number of devices
    along `nodes` it is that of the devices that are there, over `runs`, and at least 1.
    """
    if value is None:
        return None
    if isinstance(value, (int, np.integer)):
        value = {"nodes": value}
    if isinstance(value, Mapping) and value.get("devices") is None:
        _check_names(value)
        nodes, runs, relabel = value.get("nodes"), value.get("runs", 1), value.get("relabel", True)
        _check(nodes, runs, relabel, None)
        shape: tuple[Any, ...] = (runs, max(1, len(jax.devices()) // runs) if nodes is None else nodes)
    else:
        found: Any = as_layout(value)
        shape, relabel = tuple(found.mesh.shape[name] for name in (RUNS, NODES)), found.relabel
    mesh: Any = AbstractMesh(shape, (RUNS, NODES), axis_types=(AxisType.Auto,) * 2)
    return Layout(mesh, relabel)


def fitting(mesh: Any, n: int) -> Any:
    """The mesh, or its largest part of which the node axis divides n."""
    # one row of the mesh: hosts may hold rows
    there = () if isinstance(mesh, AbstractMesh) else mesh.devices[0]
    devices, hosts = mesh.shape[NODES], max(1, len({d.process_index for d in there}))
    if n % devices == 0:
        return mesh
    fits = max((d for d in range(1, devices) if n % d == 0 and d % hosts == 0), default=None)
    near = " or ".join(str(m) for m in (n - n % devices, n - n % devices + devices) if m)
    if fits is None:
        raise bad(
            "mesh",
            devices,
            says=f"has {devices} devices on {hosts} hosts along its node axis",
            why=f"but there are n = {n} nodes, which no number of devices that uses all hosts divides",
            instead=f"make n a multiple of {devices}, e.g. {near}",
        )
    warn(
        f"n = {n} nodes do not split evenly over {devices} devices: {fits} of them {'is' if fits == 1 else 'are'} used; to use all make n "
        f"a multiple of {devices}, e.g. {near}"
    )
    if isinstance(mesh, AbstractMesh):
        return AbstractMesh((mesh.shape[RUNS], fits), mesh.axis_names, axis_types=mesh.axis_types)
    each = devices // hosts
    keep = [h * each + i for h in range(hosts) for i in range(fits // hosts)] if hosts > 1 else list(range(fits))
    return _mesh(mesh.devices[:, keep])


__all__ = ["NODES", "RUNS", "Layout", "as_layout", "check_runs", "fitting", "in_runs", "layout", "on_paper"]
