"""What a run costs its nodes: floating-point operations, and joules."""

import dataclasses
import math
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
# name -> (joules per floating-point operation, source): the board's power over its float32 peak, so a lower bound
DEVICES = {
    "a100": (400 / 19.5e12, "NVIDIA A100 SXM data sheet: 400 W, 19.5 TFLOPS in float32"),
    "h100": (700 / 67e12, "NVIDIA H100 SXM data sheet: 700 W, 67 TFLOPS in float32"),
    "jetson_nano": (10 / (2 * 128 * 921.6e6), "NVIDIA Jetson Nano data sheet: 10 W, 128 cores at 921.6 MHz"),
}
MW_PER_MBPS = 8e-9  # joules per byte: 1 mW at 1 Mbit/s is 1e-9 J a bit
# name -> (joules per byte, sent and received, source)
LINKS = {
    "lte": ((438.39 + 51.97) * MW_PER_MBPS, "Huang et al., 2012: 438.39 mW/Mbps up, 51.97 down"),
    "wifi": ((283.17 + 137.01) * MW_PER_MBPS, "Huang et al., 2012: 283.17 mW/Mbps up, 137.01 down"),
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
    return {"flops": total, "flops/node": total / view.loyal}


def energy(view: View, *, device: Device | float, link: Link | float) -> dict[str, float]:
    """Estimate the joules of all honest nodes so far.

    Operations times one number, bytes times another.

    A cost model, not a measurement: idle power, memory and the tails of radios are not in it.

    Args:
      view: of a run, whose operations are those of `flops` and whose bytes are those of its record.
      device: joules per floating-point operation, > 0, or a device: "a100" (2.05e-11), "h100" (1.04e-11), "jetson_nano" (4.24e-11),
        by the power and the float32 peak of their data sheets, which no program reaches.
      link: joules per byte from sender to receiver, both ends together, >= 0, or a radio: "lte" (3.92e-6), "wifi" (3.36e-6),
        the slopes of the power of a phone over its rate, up and down.
    Returns:
      "joules", "joules/node", and of the first "joules/compute" and "joules/messages".
    Raises:
      ValueError: an unknown device or link, a number that is negative or not finite; as `flops`.
    Reference: Huang, Qian, Gerber, Mao, Sen and Spatscheck, A close examination of performance and power characteristics of 4G LTE
      networks, 2012 (links).
    """
    per_flop = _named("device", device, DEVICES, above(0))
    per_byte = _named("link", link, LINKS, at_least(0))
    compute = per_flop * flops(view)["flops"]
    messages = per_byte * view.counted.get("bytes", 0)
    total = compute + messages
    return {
        "joules": total, "joules/node": total / view.loyal, "joules/compute": compute, "joules/messages": messages,
    }  # fmt: skip


def _named(field: str, given: object, known: dict[str, tuple[float, str]], check: Any) -> float:
    if isinstance(given, str):
        if given not in known:
            names = ", ".join(map(repr, known))
            raise bad(field, given, owner="energy", instead=f"give {names}, or a number of joules")
        return known[given][0]
    return float(check(field, given))


def work(problem: Problem) -> tuple[float, float]:
    """The operations of one gradient, and of one forward pass, of a node.

    Of several architectures the mean over nodes.
    """
    if problem.source is not None:
        raise FieldError(
            "flops counts gradients on a node's own samples, but batches come from a source of experience; leave flops and energy out",
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
