"""Sources: real data sets, from the package, from files, or your own arrays."""

from ._embedded import digits as digits, letters as letters
from ._idx import fashion_mnist as fashion_mnist, from_idx as from_idx
from ._own import from_arrays as from_arrays, from_clients as from_clients, from_npz as from_npz

__all__ = ["digits", "letters", "fashion_mnist", "from_idx", "from_arrays", "from_clients", "from_npz"]
