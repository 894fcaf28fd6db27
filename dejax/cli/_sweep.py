"""sweep"""

from typing import Any


def sweep(args: Any) -> int:
    raise NotImplementedError
