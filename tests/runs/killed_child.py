"""A run that a test kills: `killed_child.py OUT WHERE`, WHERE being run, line, write or swap.

Whatever is slowed down here is slowed down from outside, by replacing functions; the library has no hooks for it.
"""

import sys
import time
from pathlib import Path

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)

import toy  # noqa: E402

from dejax.report import files  # noqa: E402
from dejax.runs import checkpoint, directory  # noqa: E402
from dejax.runs.simulate import simulate  # noqa: E402

out, where = Path(sys.argv[1]), sys.argv[2]
marker = out.with_name("marker")
seen = {"records": 0}


def hang():
    marker.write_text("here")
    time.sleep(600)


def count(record):
    seen["records"] += 1
    if where == "run" and seen["records"] == 6:
        hang()


if where == "write":  # in the middle of the files of a checkpoint: arrays are there, the manifest is not
    digest = checkpoint._sha256

    def slow(path):
        if seen["records"] >= 6:
            hang()
        return digest(path)

    checkpoint._sha256 = slow
elif where == "swap":  # the new checkpoint is complete, the old one is being taken away
    remove = checkpoint.shutil.rmtree

    def slow_remove(path, *args, **kwargs):
        if seen["records"] >= 6 and ".old-" in str(path):
            hang()
        return remove(path, *args, **kwargs)

    checkpoint.shutil.rmtree = slow_remove
elif where == "line":  # half a line of metrics is on disk
    whole = directory.RunDir.append

    def half(self, records, parts):
        if seen["records"] >= 5:
            with open(self.path / "metrics.jsonl", "a") as file:
                file.write(files.jsonl(records)[:-30])
                file.flush()
            hang()
        whole(self, records, parts)

    directory.RunDir.append = half

simulate(*toy.experiment(), 9, every=1, out=out, checkpoint_every=2, callbacks=[count], progress=False)
marker.write_text("finished")
