"""One of two processes that share a run: child.py RANK PORT OUT writes what test_processes.py compares."""

import sys

import jax
import numpy as np

rank, port, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=rank)


def main():
    """Four rounds on four devices; rank 0 writes."""
    from shared import experiment

    import dejax as dj
    from dejax._processes import to_host

    method, problem, network = experiment()
    final, meters = dj.rollout(method, problem, network, jax.random.key(0), 4, mesh=4)
    leaf = final.params["x"]
    shapes = {s.data.shape for s in leaf.addressable_shards}
    assert not leaf.is_fully_addressable and shapes == {(leaf.shape[0] // 4, *leaf.shape[1:])}, shapes
    whole, totals = to_host(leaf), meters.totals()
    if rank == 0:
        np.savez(out, x=whole, awake=totals["awake"], bytes=meters.bytes())


main()
