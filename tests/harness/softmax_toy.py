"""A softmax regression written by hand, as a task: small enough for NumPy references."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from dejax.data import NodeData
from dejax.problem import Problem


@dataclass(frozen=True)
class Softmax:
    features: int = 3
    classes: int = 4

    def init(self, key):
        return {"w": 0.1 * jax.random.normal(key, (self.features, self.classes)), "b": jnp.zeros(self.classes)}

    def loss(self, params, batch, key):
        logits = batch["x"] @ params["w"] + params["b"][None]
        return jax.nn.logsumexp(logits, -1) - jnp.take_along_axis(logits, batch["y"][:, None], -1)[:, 0]

    def metrics(self, params, batch):
        logits = batch["x"] @ params["w"] + params["b"][None]
        return {"accuracy": logits.argmax(-1) == batch["y"]}


def problem(nodes=6, seed=0, even=True, test=40, samples=48):
    """Unequal classes at unequal nodes; x float64."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(samples, 3)), rng.integers(0, 4, samples).astype(np.int32)
    order = np.argsort(y, kind="stable")
    parts = (
        np.array_split(order, nodes)
        if even
        else np.split(order, np.sort(rng.choice(np.arange(1, samples), nodes - 1, False)))
    )
    width = max(len(p) for p in parts)
    index = np.stack([np.r_[p, np.full(width - len(p), p[0])] for p in parts]).astype(np.int32)
    data = NodeData(
        arrays={"x": x, "y": y},
        index=index,
        count=np.array([len(p) for p in parts], np.int32),
        test={"x": rng.normal(size=(test, 3)), "y": rng.integers(0, 3, test).astype(np.int32)} if test else None,
        num_classes=4,
        name="toy",
        even=even,
    )
    return Problem(Softmax(), data)


def population(nodes=6, seed=1):
    rng = np.random.default_rng(seed)
    return {"w": jnp.asarray(rng.normal(size=(nodes, 3, 4))), "b": jnp.asarray(rng.normal(size=(nodes, 4)))}
