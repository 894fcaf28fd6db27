"""`python -m dejax`: the same as the `dejax` command."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
