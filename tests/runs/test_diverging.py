"""A rate that overflows: every method ends with an error that names the round and the node, and keeps its history."""

import members
import pytest
from probes import METHODS

import dejax as dj

BIG = 2e38  # finite in float32, so that it passes the door


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in METHODS else pytest.mark.nightly) for name in members.methods()]
)
def test_every_method_names_round_and_node(name):
    method = members.methods(BIG / 0.05)[name]
    if name == "dsgd_adam":
        method = dj.methods.dsgd(lr=BIG)
    with pytest.raises(dj.DivergenceError, match=r"of node \d is not finite (in|after) round \d") as caught:
        dj.simulate(method, members.problem(), members.network(name), rounds=6, seed=0, progress=False, every=6)
    error = caught.value
    assert 0 <= error.round <= 6 and 0 <= error.node < members.N
    assert error.history.records[0]["round"] == 0
