"""Write and execute notebooks/quickstart.ipynb from the cells below.

python scripts/notebook.py            write it, executed, with its pictures
python scripts/notebook.py --check    execute the stored one and compare its cells with the ones below; writes nothing
"""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
PATH = ROOT / "notebooks" / "quickstart.ipynb"

CELLS = [
    """md
# dejax in ten minutes

Hundreds of learners, each with a few samples of its own, train together by talking to neighbours. Who talks to whom decides how
well their models become. Everything here runs on a CPU; the data are inside the package.
""",
    """md
## Install

`SOURCE` says where dejax comes from: a checkout, a wheel, or a git address. By default it is the checkout around this notebook. (On the package
index the name `dejax` belongs to another project, so install it from its source, as here.) On Colab this keeps the JAX that is there.
""",
    """py
SOURCE = ".."  # or "dejax_sim-0.1.0-py3-none-any.whl", or "git+<address of the repository>"

%matplotlib inline
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("dejax") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", SOURCE], check=True)

import jax

import dejax as dj

print("dejax", dj.__version__, "| jax", jax.__version__, "|", jax.devices())
""",
    """md
## Data: who holds what

16,000 letters, 26 classes, split over 256 nodes so that each sees only some of the letters.
""",
    """py
data = dj.data.letters().partition(dj.data.dirichlet(alpha=0.3), nodes=256, seed=0)
print(data)
""",
    """md
## A task: any flax module

One node's model. dejax stacks 256 of them along a leading axis and vmaps.
""",
    """py
from flax import nnx


class Net(nnx.Module):
    def __init__(self, rngs):
        self.hidden = nnx.Linear(16, 64, rngs=rngs)
        self.out = nnx.Linear(64, 26, rngs=rngs)

    def __call__(self, x):
        return self.out(nnx.relu(self.hidden(x)))


task = dj.tasks.classifier(lambda rngs: Net(rngs))
problem = dj.Problem(task, data)
""",
    """md
## Two networks

A ring mixes slowly; the one-peer exponential graph sends as little (one message per node and round) and averages exactly in 8 rounds.
""",
    """py
ring = dj.topology.ring(256)
one_peer = dj.topology.one_peer_exponential(256)
for topology in (ring, one_peer):
    print(topology.name, dj.topology.facts(topology), "", sep="\\n")
""",
    """md
## Train

The first lines say *compiling*; after that a bar shows rounds per second, loss and consensus distance.
""",
    """py
ROUNDS = 150
history = dj.simulate(dj.methods.dsgd(lr=0.5), problem, dj.Network(ring), ROUNDS, label="ring", nodes=32, progress=False)
history += dj.simulate(dj.methods.dsgd(lr=1.0), problem, dj.Network(one_peer), ROUNDS, label="one-peer", nodes=32, progress=False)
history += dj.simulate(dj.methods.local_only(lr=0.5), problem, None, ROUNDS, label="alone", nodes=32, progress=False)
history
""",
    """py
history.plot("accuracy");
""",
    """md
By bytes instead of rounds, and how far apart the models are:
""",
    """py
history.plot("consensus", by="bytes");
""",
    """md
## Switch something on

Top 10 % of the numbers with copies at the neighbours (that is CHOCO-SGD), or a quarter of the links lost: the method does not change.
""",
    """py
small = dj.Network(ring, codec=dj.compression.copies(dj.compression.top_k(ratio=0.1), gamma=0.2))
lossy = dj.Network(ring, faults=dj.faults.link_loss(0.25))
method = dj.methods.dsgd(lr=0.5)
options = dj.simulate(method, problem, small, ROUNDS, label="top 10 %", nodes=32, progress=False)
options += dj.simulate(method, problem, lossy, ROUNDS, label="links lost", nodes=32, progress=False)
options.plot("accuracy", by="bytes");
""",
    """md
What cannot work is refused before anything is compiled, with the reason:
""",
    """py
try:
    dj.simulate(method, problem, dj.Network(one_peer, faults=dj.faults.link_loss(0.25)), 10)
except dj.RefusedError as error:
    print(error)
""",
    """md
## Inside your own JAX code

`rollout` is a pure function. Three learning rates as one program:
""",
    """py
import jax.numpy as jnp


def final_params(lr):
    final, meters = dj.rollout(dj.methods.dsgd(lr=lr), problem, dj.Network(one_peer), jax.random.key(0), rounds=50)
    return final.params


stacks = jax.jit(jax.vmap(final_params))(jnp.array([0.25, 0.5, 1.0], jnp.float32))
for i, lr in enumerate((0.25, 0.5, 1.0)):
    one = jax.tree.map(lambda x: x[i], stacks)
    print(f"lr {lr}: consensus distance {float(dj.population.consensus_distance(one)):.3f}")
""",
    """md
Next: `docs/write-your-own-method.md`, and `dejax run configs/quickstart.yaml` for 1,024 nodes.
""",
]


def build() -> nbformat.NotebookNode:
    """The notebook, not executed."""
    book = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    for i, text in enumerate(CELLS):
        kind, _, source = text.partition("\n")
        new = nbformat.v4.new_markdown_cell if kind == "md" else nbformat.v4.new_code_cell
        cell = new(source.strip())
        cell["id"] = f"cell-{i:02d}"
        book.cells.append(cell)
    return book


def execute(book: nbformat.NotebookNode) -> None:
    """Run all cells beside the notebook's own folder, so that the default source is the checkout."""
    began = time.monotonic()
    NotebookClient(
        book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(PATH.parent)}}
    ).execute()
    pictures = sum("image/png" in output.get("data", {}) for cell in book.cells for output in cell.get("outputs", ()))
    print(f"{PATH.name}: {len(book.cells)} cells, {pictures} pictures, {time.monotonic() - began:.0f} s")
    if pictures < 3:
        sys.exit("the notebook should show at least three pictures")


def main() -> None:
    """See the module's docstring."""
    book = build()
    if "--check" in sys.argv:
        stored = nbformat.read(PATH, as_version=4)
        if [c.source for c in stored.cells] != [c.source for c in book.cells]:
            sys.exit(f"{PATH} differs from scripts/notebook.py; run python scripts/notebook.py")
        execute(stored)
        return
    execute(book)
    for cell in book.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(book, PATH)


if __name__ == "__main__":
    main()
