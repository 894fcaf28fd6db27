"""Print a command of README.md by its name, so that what the tests run is what a reader copies.

A command is the fenced block that follows a line `<!-- command: NAME -->`:

    python scripts/readme_command.py test | bash -e
"""

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def commands(text: str) -> dict[str, str]:
    """Name -> shell text, in the order of the page."""
    found = re.findall(r"<!-- command: ([\w-]+) -->\n+```\w*\n(.*?)```", text, flags=re.DOTALL)
    return {name: block.strip() for name, block in found}


if __name__ == "__main__":
    known = commands(README.read_text())
    if len(sys.argv) != 2 or sys.argv[1] not in known:
        sys.exit(f"usage: readme_command.py NAME, where NAME is one of {', '.join(known)}")
    print(known[sys.argv[1]])
