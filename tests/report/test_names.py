"""Runs and their setups name members as configs do."""

import toy

import dejax as dj
from dejax.report.as_config import class_name
from dejax.report.setup import described


class MyOwnMethod:
    """Of nobody's library."""


def test_members_have_the_names_of_configs():
    made = {
        "fedavg": dj.methods.fedavg(lr=0.1),
        "mt_dsgdm": dj.methods.mt_dsgdm(lr=0.1),
        "dfedavgm": dj.methods.dfedavgm(lr=0.1),
    }
    for name, method in made.items():
        assert class_name(type(method)) == name and next(iter(described(method))) == name
    assert class_name(MyOwnMethod) == "my_own_method"


def test_a_run_is_labelled_by_that_name():
    _, problem, _ = toy.experiment()
    h = dj.simulate(dj.methods.fedavg(lr=0.1, clients=2), problem, None, 1, progress=False)
    assert h.runs == ["fedavg"]
