"""What a run costs its nodes: floating-point operations, and joules."""

import dataclasses
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import jax

from ..core.abstract import key_like, model_like
from ..core.architectures import Architectures
from ..core.checks import above, at_least
from ..core.types import Problem
from ..devices.processes import to_host
from ..errors import FieldError, bad
from ..problem import Batch
from ..problem.lesson import Lesson, of_first
from ..round.local import PRODUCT
from ..xla.flops import flops as of_function
from .view import View

Device = Literal["a100", "h100", "jetson_nano"]
Link = Literal["lte", "wifi"]
# name -> (joules per floating-point operation, source): the board's power over its float32 peak. A lower bound where the
# run computes in float32: on boards with TF32, JAX's default precision of products is that, whose peak is higher
DEVICES = {
    "a100": (400 / 19.5e12, "NVIDIA A100 SXM data sheet: 400 W, 19.5 TFLOPS in float32"),
    "h100": (700 / 67e12, "NVIDIA H100 SXM data sheet: 700 W, 67 TFLOPS in float32"),
    "jetson_nano": (10 / (2 * 128 * 921.6e6), "NVIDIA Jetson Nano data sheet: 10 W, 128 cores at 921.6 MHz"),
}
MW_PER_MBPS = 8e-9  # joules per byte: 1 mW at 1 Mbit/s is 1e-9 J a bit
# name -> ((joules per byte sent, per byte received), source): the slopes of a phone's power over its rate. The numbers are
# quoted from memory of Table 4, and were not compared with the paper
LINKS = {
    "lte": ((438.39 * MW_PER_MBPS, 51.97 * MW_PER_MBPS), "Huang et al., 2012: 438.39 mW/Mbps up, 51.97 down"),
    "wifi": ((283.17 * MW_PER_MBPS, 137.01 * MW_PER_MBPS), "Huang et al., 2012: 283.17 mW/Mbps up, 137.01 down"),
}


def flops(view: View) -> dict[str, float]:
    """Count the floating-point operations of all honest nodes' local work so far.

    The gradients that were metered, times the operations of one by XLA's cost analysis: the learning rule's direction on one
    batch of `batch_size` rows, or of as many as a node has on average. A forward pass counts as one of the task's loss,
    a Hessian-vector product as two gradients. Steps of optimizers, codecs and averages are not counted.

    Returns:
      "flops", of all honest nodes, and "flops/node".
    Raises:
      ValueError: batches come from a source of experience, whose size is not known beforehand.
    Identity: 2 m n k for each product of a model's forward pass and of its gradient, and one for each number of a sum.
    """
    gradient, forward = work(view.problem)
    counts = view.counted.get
    gradients = counts("gradients", 0) + counts("public_gradients", 0) + PRODUCT * counts("products", 0)
    total = gradient * gradients + forward * counts("forwards", 0)
    return {"flops": total, "flops/node": total / len(view.loyal)}


def energy(
    view: View,
    *,
    device: Device | float,
    link: Link | tuple[float, float],
    server: Link | tuple[float, float] | None = None,
) -> dict[str, float]:
    """Estimate the joules of all honest nodes so far.

    Operations times one number; bytes that nodes send times another, and bytes that they receive times a third.

    A cost model, not a measurement: idle power, the base power of a radio while it transfers, its tails, and memory are
    not in it.

    Args:
      view: of a run, whose operations are those of `flops` and whose bytes are those of its record.
      device: joules per floating-point operation, > 0, or a device: "a100" (2.05e-11), "h100" (1.04e-11), "jetson_nano" (4.24e-11),
        by the power and the float32 peak of their data sheets.
      link: (up, down), joules per byte that a node sends and per byte that it receives, >= 0, or a radio of a phone: "lte"
        (3.51e-6, 4.16e-7), "wifi" (2.27e-6, 1.10e-6). A message between nodes costs both, one at each end; an upload to a
        server costs up and an answer down, for the server's ends are not nodes'.
      server: the same of the server's own ends, which nothing is charged for by default. Where nodes hold the server
        themselves (`network.server` is "shards" or "all_reduce") both ends are nodes', and this must be left out.
    Returns:
      "joules", of which "joules/compute" and "joules/messages"; "joules/node", per honest node, without what a server spends;
      with `server` also "joules/server", which is part of "joules/messages".
    Raises:
      ValueError: an unknown device or link, a number that is negative or not finite; a server's price where there is no
        server; as `flops`.
    Reference: Huang, Qian, Gerber, Mao, Sen and Spatscheck, A close examination of performance and power characteristics of 4G LTE
      networks, 2012 (links).
    """
    per_flop = _device(device)
    up, down = _link("link", link)
    network_server = getattr(view.network, "server", None)
    if server is not None and network_server in ("shards", "all_reduce"):
        why = f"but network.server is {network_server!r}, whose ends are all nodes'"
        raise bad("server", server, owner="energy", why=why, instead="leave it out")
    server_up, server_down = (0.0, 0.0) if server is None else _link("server", server)
    between, uploads, downloads = (view.counted.get(f"bytes/{way}", 0) for way in ("wire", "up", "down"))
    if network_server in ("shards", "all_reduce"):
        between, uploads, downloads = between + uploads + downloads, 0, 0
    compute = per_flop * flops(view)["flops"]
    nodes = up * (between + uploads) + down * (between + downloads)
    at_server = server_up * downloads + server_down * uploads
    found = {
        "joules": compute + nodes + at_server, "joules/node": (compute + nodes) / len(view.loyal),
        "joules/compute": compute, "joules/messages": nodes + at_server,
    }  # fmt: skip
    return found if server is None else found | {"joules/server": at_server}


def _device(given: Any) -> float:
    if isinstance(given, str):
        return _known("device", given, DEVICES, "a number of joules")
    return float(above(0)("device", given))


def _link(field: str, given: Any) -> tuple[float, float]:
    """Joules per byte sent, and per byte received."""
    pair = "(up, down), joules per byte sent and per byte received"
    if isinstance(given, str):
        return _known(field, given, LINKS, pair)
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        names = ", ".join(map(repr, LINKS))
        raise bad(field, given, owner="energy", instead=f"give {pair}, e.g. (4e-6, 4e-7), or {names}")
    up, down = (float(at_least(0)(f"{field}[{i}]", x)) for i, x in enumerate(given))
    return up, down


def _known(field: str, given: str, known: Mapping[str, tuple[Any, str]], otherwise: str) -> Any:
    if given not in known:
        names = ", ".join(map(repr, known))
        raise bad(field, given, owner="energy", instead=f"give {names}, or {otherwise}")
    return known[given][0]


def work(problem: Problem) -> tuple[float, float]:
    """The operations of one gradient, and of one forward pass, of a node.

    Of several architectures the mean over nodes.
    """
    if problem.source is not None:
        raise FieldError(
            "flops prices a gradient by the shapes of its batch, rows of a node's own samples, but batches come from a source of "
            "experience, which makes them as it goes, and what it spends on that is not metered; leave flops and energy out",
            field="metrics",
        )
    problem = dataclasses.replace(problem, place=None)
    rows = problem.batch_size or max(1, round(float(to_host(problem.data.count).mean())))
    if not isinstance(problem.task, Architectures):
        return _work(*_shapes(problem), rows)
    parts = [(len(ids), dataclasses.replace(problem, task=task)) for _, ids, task in problem.task.items()]
    each = [(count, *_work(*_shapes(part), rows)) for count, part in parts]
    return sum(n * g for n, g, _ in each) / problem.n, sum(n * f for n, _, f in each) / problem.n


def _shapes(problem: Problem) -> tuple[Any, tuple[jax.ShapeDtypeStruct, ...]]:
    """A problem without its arrays, so that what is kept of it holds none."""
    leaves, structure = jax.tree.flatten(jax.eval_shape(lambda x: x, problem))
    return structure, tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves)


@lru_cache(maxsize=64)
def _work(structure: Any, leaves: tuple[jax.ShapeDtypeStruct, ...], rows: int) -> tuple[float, float]:
    problem: Any = jax.tree.unflatten(structure, leaves)
    params, key = model_like(problem.task), key_like()
    data = jax.eval_shape(lambda p, at: p.fetch(at), problem, jax.ShapeDtypeStruct((rows,), "int32"))
    memory = jax.eval_shape(problem.rule.init, params, key)

    def direction(params: Any, data: Any, key: Any, memory: Any, rule: Any) -> Any:
        lesson = Lesson(problem, problem.task.loss, (), lambda params: params, key)
        return of_first(rule).direction(lesson, params, Batch(data, None), key, memory)

    def forward(params: Any, data: Any, key: Any) -> Any:
        return problem.scalar_loss(problem.task.loss, data, None, key)(params)

    found = of_function(direction, params, data, key, memory, problem.rule), of_function(forward, params, data, key)
    if math.isnan(found[0]):
        raise FieldError("XLA says no cost of a gradient on this device; leave flops and energy out", field="metrics")
    return found


__all__ = ["DEVICES", "LINKS", "energy", "flops", "work"]
