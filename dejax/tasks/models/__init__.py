"""Models: small flax modules, and classifiers made of them."""

from ._goodness import goodness_mlp as goodness_mlp
from ._images import CNN as CNN, cnn as cnn, lenet as lenet
from ._logistic import logistic as logistic
from ._mlp import MLP as MLP, mlp as mlp

__all__ = ["CNN", "cnn", "goodness_mlp", "lenet", "logistic", "MLP", "mlp"]
