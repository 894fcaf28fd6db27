"""Models: small flax modules, and classifiers made of them."""

from ._classics import fedavg_cnn as fedavg_cnn, lenet5 as lenet5, vgg11 as vgg11
from ._goodness import goodness_mlp as goodness_mlp
from ._images import CNN as CNN, cnn as cnn, lenet as lenet
from ._logistic import linear as linear, logistic as logistic
from ._mlp import MLP as MLP, mlp as mlp
from ._mobilenet import MobileNet as MobileNet, mobilenet as mobilenet
from ._resnet import ResNet as ResNet, resnet as resnet
from ._text import LSTM as LSTM, Decoder as Decoder, lstm as lstm, transformer as transformer

__all__ = [
    "CNN",
    "LSTM",
    "MLP",
    "Decoder",
    "MobileNet",
    "ResNet",
    "cnn",
    "fedavg_cnn",
    "goodness_mlp",
    "lenet",
    "lenet5",
    "linear",
    "logistic",
    "lstm",
    "mlp",
    "mobilenet",
    "resnet",
    "transformer",
    "vgg11",
]
