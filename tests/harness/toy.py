"""A small experiment that runs in milliseconds: six nodes on a ring learn a softmax regression."""

import softmax_toy

from dejax import engine, topology
from dejax.methods import dsgd
from dejax.network import Network

problem = softmax_toy.problem
ITEM = 8  # bytes of a parameter: tests run in float64


def compilations():
    """Programs compiled so far for chunks of one seed."""
    return engine.run_chunk._cache_size()


def experiment(lr=0.3):
    """(method, problem, network)."""
    return dsgd(lr=lr), problem(), Network(topology.ring(6))


def plain(records):
    """Records without real time."""
    return [{k: v for k, v in r.items() if k != "wall"} for r in records]


# a small config, for tests of the command
CONFIG = """\
rounds: 4
data: {source: digits, nodes: 4, partition: iid}
task: {mlp: {hidden: [4]}}
batch_size: 8
method: {dsgd: {lr: 0.1}}
network: {topology: ring}
eval: {every: 2}
"""
