"""Sources: real data sets, from the package, from files, or your own arrays."""

from ._cifar import cifar10 as cifar10, cifar100 as cifar100
from ._embedded import digits as digits, letters as letters
from ._folders import from_folder as from_folder, tiny_imagenet as tiny_imagenet
from ._huggingface import from_huggingface as from_huggingface
from ._idx import emnist as emnist, fashion_mnist as fashion_mnist, from_idx as from_idx, mnist as mnist
from ._leaf import celeba as celeba, femnist as femnist, sent140 as sent140, shakespeare as shakespeare
from ._own import from_arrays as from_arrays, from_clients as from_clients, from_npz as from_npz
from ._svhn import svhn as svhn
from ._tables import from_csv as from_csv, from_parquet as from_parquet
from ._text import from_text as from_text, from_tokens as from_tokens

__all__ = [
    "digits",
    "letters",
    "celeba",
    "cifar10",
    "cifar100",
    "emnist",
    "fashion_mnist",
    "femnist",
    "mnist",
    "sent140",
    "shakespeare",
    "svhn",
    "tiny_imagenet",
    "from_arrays",
    "from_clients",
    "from_csv",
    "from_folder",
    "from_huggingface",
    "from_idx",
    "from_npz",
    "from_parquet",
    "from_text",
    "from_tokens",
]
