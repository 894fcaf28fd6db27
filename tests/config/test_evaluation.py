"""When and by which metrics runs of a config are measured."""

from functools import partial

import pytest

import dejax as dj
from dejax.config import load
from dejax.errors import ConfigError

BASE = {
    "rounds": 4,
    "data": {"source": "digits", "nodes": 4, "partition": "iid"},
    "task": "logistic",
    "network": {"topology": "ring"},
    "method": {"dsgd": {"lr": 0.1}},
}


def evaluated(**section):
    return load(BASE | {"eval": section})


def test_a_metric_may_have_options():
    given = [
        "consensus",
        {"hessian_trace": {"probes": 32}},
        {"energy": {"device": "a100", "link": [1e-9, 2e-9]}},
        {"per_class": None},
    ]
    config = evaluated(metrics=given)
    plain, trace, joules, classes = config.eval["metrics"]
    assert plain is dj.metrics.consensus and classes is dj.metrics.per_class
    assert isinstance(trace, partial) and trace.func is dj.metrics.hessian_trace and trace.keywords == {"probes": 32}
    assert joules.keywords == {"device": "a100", "link": (1e-9, 2e-9)}
    assert config.plain()["eval"]["metrics"] == [*given[:3], "per_class"]  # what was not said is not filled in
    assert load(config.plain()).plain() == config.plain()
    assert evaluated(metrics="per_node").eval["metrics"] == (dj.metrics.per_node,)


def test_lists_of_moments():
    assert evaluated(at=[1, 2, 5], at_seconds=[1, 2.5]).eval == {"at": (1, 2, 5), "at_seconds": (1.0, 2.5)}


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"metrics": ["acuracy"]}, r"eval.metrics.0: no metric named 'acuracy'"),
        ({"metrics": ["energy"]}, "energy needs device .* and link"),
        (
            {"metrics": [{"energy": {"device": "toaster", "link": "lte"}}]},
            "device: expected one of 'a100', 'h100', 'jetson_nano' or number",
        ),
        ({"metrics": [{"consensus": {"probes": 3}}]}, "consensus takes no 'probes'"),
        ({"at": 5}, "eval.at: expected list of whole numbers or null"),
        ({"at_seconds": ["soon"]}, "eval.at_seconds.*expected number"),
    ],
)
def test_mistakes_are_named_by_their_path(section, says):
    with pytest.raises(ConfigError, match=says):
        evaluated(**section)
