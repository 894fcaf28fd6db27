"""A run with phases that kills itself: `phased_child.py OUT ROUND`."""

import os
import signal
import sys

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)

import test_phases  # noqa: E402

out, at = sys.argv[1], int(sys.argv[2])


def kill(record):
    if record["round"] == at:
        os.kill(os.getpid(), signal.SIGKILL)


test_phases.whole(out=out, checkpoint_every=2, callbacks=[kill])
