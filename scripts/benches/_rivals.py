"""The same D-PSGD round on a ring, written by hand: torch modules in a loop, torch.func.vmap, and jax.vmap of plain flax.

Each is a class with `round()`, which does one round on the next of its precomputed batches and returns something that
`jax.block_until_ready` waits for, and `params()`, the parameters [n, ...] as NumPy arrays in the layout of the flax model. All do
x_i <- mean over i - 1, i, i + 1 of (x_j - lr g_j) in the dtype of the batches, on the same start and batches and on the device that JAX
computes on; none draws its batches, none counts anything.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._models import Model

ROUNDS = 8  # of the jax rival in one compiled call


class FlaxVmap:
    """jax.vmap of the gradient of a plain flax model, jnp.roll for the ring; ROUNDS rounds in one compiled scan."""

    def __init__(self, model: Model, params: Any, batches: dict[str, np.ndarray], lr: float):
        self.state = jax.tree.map(jnp.array, params)
        self.batches = {k: jnp.asarray(v) for k, v in batches.items()}
        key = jax.random.key(0)

        def one(params: Any, batch: Any) -> Any:
            return jax.grad(lambda p: model.plain.loss(p, batch, key).mean())(params)

        def mix(x: jax.Array) -> jax.Array:
            return (x + jnp.roll(x, 1, 0) + jnp.roll(x, -1, 0)) / 3

        def round(params: Any, batch: Any) -> tuple[Any, None]:
            grads = jax.vmap(one)(params, batch)
            return jax.tree.map(lambda p, g: mix(p - lr * g), params, grads), None

        self.rounds = len(self.batches["y"])
        self.run = jax.jit(lambda params, batches: jax.lax.scan(round, params, batches)[0], donate_argnums=0)

    def round(self) -> Any:
        """`rounds` rounds."""
        self.state = self.run(self.state, self.batches)
        return self.state

    def params(self) -> Any:
        """As NumPy arrays."""
        return jax.tree.map(np.asarray, self.state)


def products(torch: Any, device: str, exact: bool) -> None:
    """Have torch's float32 products on a GPU round as those of JAX do: to 10 bits (TF32), or, where `exact`, not at all."""
    if device == "cuda":
        torch.set_float32_matmul_precision("highest" if exact else "high")
        torch.backends.cudnn.allow_tf32 = not exact


class _Torch:
    rounds = 1

    def __init__(self, torch: Any, device: str, model: Model, batches: dict[str, np.ndarray], lr: float):
        self.torch, self.model, self.lr, self.t = torch, model, lr, 0
        self.where = {"device": device, "dtype": getattr(torch, batches["x"].dtype.name)}
        x = np.asarray(batches["x"], np.float32)
        x = x if model.widths else x[..., None, :, :]  # one channel first, as torch wants images
        self.x = torch.tensor(x).to(**self.where)
        self.y = torch.tensor(np.asarray(batches["y"], np.int64)).to(device)

    def block_until_ready(self) -> None:
        """Wait for the device: calls of torch return before a GPU is done."""
        if self.where["device"] == "cuda":
            self.torch.cuda.synchronize()

    def module(self) -> Any:
        """A fresh torch model."""
        return self._layers().to(**self.where)

    def _layers(self) -> Any:
        nn = self.torch.nn
        if not self.model.widths:
            pool = lambda: (nn.ReLU(), nn.MaxPool2d(2))
            convs = nn.Conv2d(1, 16, 5, padding=2), nn.Conv2d(16, 32, 5, padding=2)
            return nn.Sequential(convs[0], *pool(), convs[1], *pool(), nn.Flatten(), nn.Linear(1568, 10))
        layers: list[Any] = []
        for a, b in zip(self.model.widths, self.model.widths[1:]):
            layers += [nn.ReLU()] * bool(layers) + [nn.Linear(a, b)]
        return nn.Sequential(*layers)

    def batch(self) -> tuple[Any, Any]:
        """The next one, [n, B, ...]."""
        t = self.t % len(self.y)
        self.t += 1
        return self.x[t], self.y[t]


class TorchLoop(_Torch):
    """A module per node, forward and backward one after another; step and mixing by torch's fused list operations."""

    def __init__(self, torch: Any, device: str, model: Model, params: Any, batches: dict[str, np.ndarray], lr: float):
        super().__init__(torch, device, model, batches, lr)
        leaves = to_torch(torch, model, params)
        n = len(leaves[0])
        self.nodes = [self.module() for _ in range(n)]
        with torch.no_grad():
            for i, node in enumerate(self.nodes):
                for p, value in zip(node.parameters(), leaves):
                    p.copy_(value[i])
        self.each = [list(node.parameters()) for node in self.nodes]
        self.flat = [p for node in self.each for p in node]

    def round(self) -> Any:
        """One round."""
        torch, (x, y) = self.torch, self.batch()
        loss_of = torch.nn.functional.cross_entropy
        grads: list[Any] = []
        for i, node in enumerate(self.nodes):
            grads += torch.autograd.grad(loss_of(node(x[i]), y[i]), self.each[i])
        with torch.no_grad():
            torch._foreach_add_(self.flat, grads, alpha=-self.lr)
            k = len(self.each[0])
            mixed = torch._foreach_add(self.flat, self.flat[k:] + self.flat[:k])
            torch._foreach_add_(mixed, self.flat[-k:] + self.flat[:-k])
            torch._foreach_mul_(mixed, 1 / 3)
            torch._foreach_copy_(self.flat, mixed)
        return self

    def params(self) -> Any:
        """As NumPy arrays."""
        stacked = [self.torch.stack([node[j] for node in self.each]) for j in range(len(self.each[0]))]
        return from_torch(self.model, [to_numpy(x) for x in stacked])


class TorchVmap(_Torch):
    """torch.func: vmap of grad over stacked parameters, torch.roll for the ring."""

    def __init__(self, torch: Any, device: str, model: Model, params: Any, batches: dict[str, np.ndarray], lr: float):
        super().__init__(torch, device, model, batches, lr)
        module = self.module()
        leaves = [x.to(**self.where) for x in to_torch(torch, model, params)]
        self.state = dict(zip((k for k, _ in module.named_parameters()), leaves))

        def loss(p: Any, x: Any, y: Any) -> Any:
            return torch.nn.functional.cross_entropy(torch.func.functional_call(module, p, (x,)), y)

        self.grads = torch.func.vmap(torch.func.grad(loss))

    def round(self) -> Any:
        """One round."""
        torch = self.torch
        with torch.no_grad():
            grads = self.grads(self.state, *self.batch())
            for name, x in self.state.items():
                x = x.add_(grads[name], alpha=-self.lr)
                self.state[name] = torch.roll(x, 1, 0).add_(x).add_(torch.roll(x, -1, 0)).mul_(1 / 3)
        return self

    def params(self) -> Any:
        """As NumPy arrays."""
        return from_torch(self.model, [to_numpy(x) for x in self.state.values()])


def to_torch(torch: Any, model: Model, params: Any) -> list[Any]:
    """Leaves in the order of torch's parameters, float32: per layer weight [n, out, in...] and bias [n, out]."""
    out = []
    for layer in params:
        kernel, bias = (np.asarray(params[layer][name], np.float32) for name in ("kernel", "bias"))
        if kernel.ndim == 5:
            kernel = kernel.transpose(0, 4, 3, 1, 2)
        elif not model.widths:  # rows of the CNN's last layer: height, width, channel to channel, height, width
            n, _, c = kernel.shape
            kernel = kernel.reshape(n, 7, 7, 32, c).transpose(0, 4, 3, 1, 2).reshape(n, c, -1)
        else:
            kernel = kernel.transpose(0, 2, 1)
        out += [torch.tensor(kernel.copy()), torch.tensor(bias.copy())]
    return out


def to_numpy(x: Any) -> np.ndarray:
    """A torch tensor as float32 on the host."""
    return x.detach().float().cpu().numpy()


def from_torch(model: Model, leaves: list[np.ndarray]) -> Any:
    """The inverse of `to_torch`."""
    names = [f"layer{i}" for i in range(len(model.widths) - 1)] if model.widths else ["conv0", "conv1", "linear"]
    out = {}
    for name, kernel, bias in zip(names, leaves[::2], leaves[1::2]):
        if kernel.ndim == 5:
            kernel = kernel.transpose(0, 3, 4, 2, 1)
        elif not model.widths:
            n, c, _ = kernel.shape
            kernel = kernel.reshape(n, c, 32, 7, 7).transpose(0, 3, 4, 2, 1).reshape(n, -1, c)
        else:
            kernel = kernel.transpose(0, 2, 1)
        out[name] = {"kernel": kernel, "bias": bias}
    return out
