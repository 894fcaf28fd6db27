"""Execute the notebooks, as a reader runs them.

python scripts/notebook.py [NAME ...]            execute them and write them back, with their pictures
python scripts/notebook.py --check [NAME ...]    execute them, and write nothing
"""

import argparse
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
SECONDS = 120  # that a notebook may take
PICTURES = 2  # that it shows, at least


def execute(path: Path, check: bool) -> str:
    """Run all cells of a notebook in its own folder; returns what is wrong with it, or nothing."""
    book = nbformat.read(path, as_version=4)
    began = time.monotonic()
    NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}).execute()
    took = time.monotonic() - began
    pictures = sum("image/png" in output.get("data", {}) for cell in book.cells for output in cell.get("outputs", ()))
    print(f"{path.name}: {len(book.cells)} cells, {pictures} pictures, {took:.0f} s", flush=True)
    if not check:
        for i, cell in enumerate(book.cells):
            cell.metadata.pop("execution", None)
            cell["id"] = f"cell-{i:02d}"
        nbformat.write(book, path)
    if pictures < PICTURES:
        return f"{path.name} shows {pictures} pictures; it should show at least {PICTURES}"
    return f"{path.name} took {took:.0f} s; it should take at most {SECONDS}" if took > SECONDS else ""


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME", help="without .ipynb; all of them where left out")
    args = parser.parse_args()
    paths = [FOLDER / f"{name}.ipynb" for name in args.names] or sorted(FOLDER.glob("*.ipynb"))
    wrong = [message for path in paths if (message := execute(path, args.check))]
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
