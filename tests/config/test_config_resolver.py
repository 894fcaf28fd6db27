"""The resolver on toy members: what configs mean, what they refuse and in which words, round trips, --set."""

import json
import pathlib

import pytest

from dejax.config import Config, Registry
from dejax.config.assign import apply, split
from dejax.config.names import experiment
from dejax.config.yaml import parse
from dejax.errors import ConfigError

from . import toys

pytestmark = pytest.mark.usefixtures("toy_network")
ROOT = pathlib.Path(__file__).resolve().parents[2]
REGISTRY = Registry(toys.MEMBERS, builtin=False)


@pytest.fixture
def toy_network(monkeypatch):
    monkeypatch.setattr("dejax.config.names._network", lambda: toys.Network)


def config(text=toys.TEXT, *sets):
    values, lines = parse(text, "toy.yaml")
    return Config(apply(values, map(split, sets), experiment, REGISTRY), REGISTRY, "toy.yaml", lines)


def test_a_config_is_a_call():
    method, problem, network = config().runs[0].objects()
    assert method == toys.Choco(lr=0.1, compressor=toys.TopK(3))
    assert problem.data == toys.Nodes(8, toys.Dirichlet(0.3), 0)
    assert problem.task.hidden == (64,)
    assert network.topology == toys.Ring(8, (1,))


def test_numbers_convert_by_hint():
    method = (
        config(toys.TEXT, "method.choco.decay=2", "method.choco.local_steps=1e1", "method.choco.lr='1e-2'")
        .runs[0]
        .objects()[0]
    )
    assert type(method.decay) is float
    assert type(method.local_steps) is int
    assert method.lr == 0.01


def test_lists_become_tuples_so_that_static_fields_hash():
    method = config(toys.TEXT, "method.choco.milestones=[3, 5]").runs[0].objects()[0]
    assert method.milestones == (3, 5)


def test_runs_side_by_side_override_section_by_section():
    runs = {run.label: run for run in config(toys.SIDE_BY_SIDE).runs}
    assert list(runs) == ["first", "packed", "alone"]
    assert runs["packed"].objects()[2].codec == toys.Copies(toys.TopK(2))
    assert runs["packed"].objects()[2].faults == (toys.LinkLoss(0.1),)
    assert runs["first"].objects()[2].codec is None
    assert runs["alone"].objects()[2] == toys.Network(toys.Ring(2, (1,)))
    assert [runs[k].rounds for k in runs] == [10, 10, 3]


def test_runs_that_spell_their_data_alike_share_it():
    toys.Source.made = 0
    first, packed, alone = (run.objects()[1].data for run in config(toys.SIDE_BY_SIDE).runs)
    assert first is packed
    assert alone.n == 2
    assert toys.Source.made == 2


@pytest.mark.parametrize("text", [toys.TEXT, toys.SIDE_BY_SIDE])
def test_the_resolved_form_is_the_same_experiment(text):
    first = config(text)
    for again in (Config(parse(first.yaml())[0], REGISTRY), Config(json.loads(first.json()), REGISTRY)):
        assert again.plain() == first.plain()
        for a, b in zip(first.runs, again.runs, strict=True):
            assert a.label == b.label
            assert a.rounds == b.rounds
            assert a.objects() == b.objects()


ALL = {"nodes": None, "runs": 1, "relabel": True}


@pytest.mark.parametrize(
    ("sets", "mesh"),
    [
        ([], None),
        (["mesh=null"], None),
        (["mesh={}"], ALL),
        (["mesh={nodes: 2}"], ALL | {"nodes": 2}),
        (["mesh={relabel: false}"], ALL | {"relabel": False}),
    ],
)
def test_no_mesh_stays_no_mesh_in_the_resolved_form(sets, mesh):
    """It once came back as all devices, and a resumed run differed from a whole one in the last bit."""
    first = config(toys.TEXT, *sets)
    assert first.mesh == mesh
    assert Config(json.loads(first.json()), REGISTRY).mesh == mesh


def test_the_resolved_form_fills_in_defaults():
    plain = config().plain()
    assert plain["method"]["choco"]["gamma"] == 0.4
    assert plain["method"]["choco"]["order"] == "atc"
    assert plain["data"]["seed"] == 0
    assert plain["seed"] == 0
    assert config(toys.TEXT, "method={choco: {lr: 1}}").plain()["method"]["choco"]["compressor"] == "identity"


MISTAKES = {
    "method.choco.lr=fast": "method.choco.lr: expected number, got 'fast' (text).",
    "method.choco.lr=true": "method.choco.lr: expected number, got true (truth value).",
    "method.choco.gama=1": "method.choco.gama: choco takes no 'gama'. Did you mean gamma? Known: lr, gamma, compressor,",
    "method.choko.lr=1": "method.choko: no method named 'choko'. Did you mean choco? Known: choco, plain.",
    "method.lr=1": "method.lr: an argument of choco stands under its name: method.choco.lr.",
    "method={choco: {}}": "method.choco: choco needs lr (number).",
    "method.choco=0.1": "method.choco: expected the arguments of choco by name, got 0.1 (number). Write {lr: 0.1}.",
    "method={choco: 0.1}": "method.choco: expected the arguments of choco by name, got 0.1 (number). Write {lr: 0.1}.",
    "method={plain: 3}": "method.plain: expected the arguments of plain by name, got 3 (whole number). Write nothing",
    "method={choco: {lr: 1}, plain: {}}": "method: expected the name of one method or {name: {argument: value}}, e.g. choco; got 2 keys",
    "method=[choco]": "method: expected the name of one method",
    "method.choco.order=cta": "method.choco.order: expected one of 'atc', 'awc', got 'cta' (text).",
    "method.choco.local_steps=1.5": "method.choco.local_steps: expected whole number, got 1.5 (number).",
    "method.choco.local_steps=true": "method.choco.local_steps: expected whole number, got true (truth value).",
    "method.choco.nesterov=1": "method.choco.nesterov: expected true or false, got 1 (whole number).",
    "method.choco.decay=slow": "method.choco.decay: expected number or null, got 'slow' (text).",
    "method.choco.milestones=3": "method.choco.milestones: expected list of whole numbers, got 3 (whole number).",
    "method.choco.milestones=[a]": "method.choco.milestones.0: expected whole number, got 'a' (text).",
    "method.choco.compressor.top_k.k=0": "method.choco.compressor.top_k.k: k is 0; give a whole number >= 1",
    "method.choco.lr.x=1": "method.choco.lr.x: lr is a plain value (number); nothing stands below it.",
    "network.topolgy=ring": "network.topolgy: network takes no 'topolgy'. Did you mean topology?",
    "network.topology.ring.n=9": "network.topology.ring.n: the graph has n = 9 but data.nodes is 8;",
    "network.codec=top_k": "network.codec: no codec named 'top_k'. (top_k is a compressor.) Known: copies.",
    "network.faults.3.churn.up=1": "network.faults.3: network.faults has 0 entries",
    "network=ring": "network: expected the arguments of network by name, got 'ring' (text).",
    "mesh=2": "mesh: expected the arguments of mesh by name, got 2 (whole number). Write {nodes: 2}.",
    "mesh=all": "It takes nodes (whole number or null), runs (whole number), relabel (true or false).",
    "data.partition.dirichlet.alpha=0": "data.partition.dirichlet.alpha: alpha is 0.0; give alpha > 0",
    "data.partition=": "data: toy is one data set: give partition",
    "data.nodes=0": "data.nodes: nodes is 0; give a whole number >= 1",
    "data.nodes=1": "network.topology.ring.n: n is 1; give n >= 2",
    "data={nodes: 3}": "data: data needs source (source).",
    "rouns=3": "rouns: a config takes no 'rouns'. Did you mean rounds? Known: rounds,",
    "rounds=0": "rounds: rounds is 0; give a whole number >= 1",
    "rounds=": "rounds: expected whole number, got null.",
    "seed=[1, 1]": "seed: expected one seed or a list of different ones",
    "seed=1.5": "seed: expected whole number or list of whole numbers, got 1.5 (number).",
    "eval.every=0": "eval.every: every is 0; give a whole number >= 1",
    "sampling=epok": "sampling: expected one of 'full', 'replacement', 'without_replacement', 'epoch', 'poisson' or null, got 'epok' (text).",
    "batch_size=0": "batch_size",
    "method=": "a config needs method, e.g. method: {dsgd: {lr: 0.1}}, or methods. Known methods: choco, plain.",
    "methods={}": "methods: expected a label for each run",
    "methods={a: choco}": "methods.a: expected what this run overrides; write {method: choco}.",
    "methods={a: {choco: {lr: 1}}}": "methods.a.choco: a method stands under its name: methods.a.method.choco.",
    "methods={a: {methd: choco}}": "methods.a.methd: a takes no 'methd'. Did you mean method?",
    "nonsense": "--set 'nonsense' is not of the form a.b.c=value",
    "method.choco.lr=[1": "method.choco.lr: not readable as YAML",
}


@pytest.mark.parametrize("assignment", MISTAKES)
def test_mistakes_say_where_what_and_what_instead(assignment):
    with pytest.raises(ConfigError) as caught:
        config(toys.TEXT, assignment).runs[0].objects()
    assert MISTAKES[assignment] in str(caught.value)


def test_mistakes_in_a_file_name_its_line():
    with pytest.raises(ConfigError) as caught:
        config(toys.TEXT.replace("1e-1", "fast"))
    assert str(caught.value).startswith("toy.yaml, line 7: method.choco.lr: expected number")
    with pytest.raises(ConfigError, match="needs data"):
        config(toys.TEXT.replace("data:", "#"))
    with pytest.raises(ConfigError, match="a config is a mapping"):
        Config(["rounds"], REGISTRY)


def test_what_set_wrote_is_said_to_come_from_set():
    from dejax.config import load

    values = parse(toys.TEXT)[0]
    with pytest.raises(ConfigError, match="method.choco.lr: expected number"):
        load(values, ["method.choco.lr=fast"], members=toys.MEMBERS)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("method.plain", r"own method\. Write methods\.alone\.method\.plain \(labels: first, packed, alone\)"),
        ("method.choco.lr=0.5", r"own method\. Write methods\.first\.method\.choco\.lr "),
        ("method=plain", r"own method\. Write methods\.first\.method "),
        ("network.topology.ring.offsets=[1]", r"own network\.topology\. Write methods\.first\.network\.topology\.ring"),
        ("network={topology: ring}", r"own network\. Write methods\.first\.network "),
        ("rounds=5", r"own rounds\. Write methods\.first\.rounds"),
    ],
)
def test_what_no_run_reads_cannot_be_set(path, said):
    from dejax.config import load

    values = parse(toys.SIDE_BY_SIDE)[0]
    for spec in values["methods"].values():
        spec.setdefault("network", {})["topology"] = "ring"
        spec["rounds"] = 3
    with pytest.raises(ConfigError, match=r"no run reads it.*" + said):
        load(values, [path if "=" in path else path + "="], members=toys.MEMBERS)


def test_what_one_run_reads_can_be_set():
    from dejax.config import load
    from dejax.config.assign import readers

    sets = ["rounds=5", "network.faults=[]", "network.topology=ring", "data.nodes=4", "eval.every=2"]
    got = load(parse(toys.SIDE_BY_SIDE)[0], sets, members=toys.MEMBERS)
    assert [run.rounds for run in got.runs] == [5, 5, 3]
    assert readers(got, ("rounds",)) == ["first", "packed"] == readers(got, ("data", "nodes"))
    assert readers(got, ("network", "faults")) == ["first", "packed"]
    assert readers(got, ("methods", "alone", "rounds")) == ["alone"]
    assert readers(got, ("eval", "every")) == ["first", "packed", "alone"]


@pytest.mark.parametrize(
    ("sets", "path", "value"),
    [
        (["method.choco.lr=0.5"], ("method", "choco"), {"lr": 0.5, "compressor": {"top_k": {"k": 3}}}),
        (["method.plain="], ("method",), "plain"),
        (["method=plain", "method.choco.lr=2"], ("method",), {"choco": {"lr": 2}}),
        (["network.topology.ring.offsets=[1, 2]"], ("network", "topology"), {"ring": {"offsets": [1, 2]}}),
        (["method.choco.compressor.top_k.k=7"], ("method", "choco", "compressor"), {"top_k": {"k": 7}}),
        (["method.choco.compressor=identity"], ("method", "choco", "compressor"), "identity"),
        (
            ["network.codec.copies.compressor.top_k.k=1"],
            ("network", "codec"),
            {"copies": {"compressor": {"top_k": {"k": 1}}}},
        ),
        (
            ["network.faults.link_loss.p=0.1", "network.faults.churn.up=0.2", "network.faults.link_loss.p=0.3"],
            ("network", "faults"),
            [{"link_loss": {"p": 0.3}}, {"churn": {"up": 0.2}}],
        ),
        (["network.faults.0.churn.up=0.2"], ("network", "faults"), [{"churn": {"up": 0.2}}]),
        (["eval.every=5"], ("eval",), {"every": 5}),
        (
            ["network.topology.ring.offsets=[1, 2, 3]", "network.topology.ring.offsets.1=5"],
            ("network", "topology"),
            {"ring": {"offsets": [1, 5, 3]}},
        ),
    ],
)
def test_set_writes_where_the_path_points(sets, path, value):
    got = apply(parse(toys.TEXT)[0], map(split, sets), experiment, REGISTRY)
    for name in path:
        got = got[name]
    assert got == value


def test_set_reaches_into_labelled_runs_and_leaves_the_values_it_was_given():
    values = parse(toys.SIDE_BY_SIDE)[0]
    before = json.dumps(values)
    sets = [
        "methods.first.method.choco.lr=9",
        "methods.first.network.topology.ring.offsets=[2]",
        "methods.new={method: plain}",
    ]
    got = apply(values, map(split, sets), experiment, REGISTRY)["methods"]
    assert got["first"] == {"method": {"choco": {"lr": 9}}, "network": {"topology": {"ring": {"offsets": [2]}}}}
    assert got["new"] == {"method": "plain"}
    assert json.dumps(values) == before
    with pytest.raises(ConfigError, match="no run labelled 'frist'. Did you mean first"):
        apply(values, [split("methods.frist.method.choco.lr=1")], experiment, REGISTRY)


def test_own_members_get_a_name():
    from dejax.config import load

    run = load(parse(toys.TEXT)[0], members=toys.MEMBERS).runs[0]
    assert run.objects()[0] == toys.Choco(lr=0.1, compressor=toys.TopK(3))
    with pytest.raises(ValueError, match="kind 'methd'"):
        Registry({"methd": {}})


@pytest.mark.parametrize(
    "name",
    [
        "quickstart",
        "digits",
        "compression",
        "attack",
        "faults",
        "disrupted",
        "personal",
        "collaboration",
        "rules",
        "two_models",
        "walk",
        "asynchronous",
    ],
)
def test_the_configs_of_the_repository_read_back(name, monkeypatch):
    monkeypatch.undo()  # the real network
    from dejax.config import load

    config = load(f"{ROOT}/configs/{name}.yaml")
    for again in (load(parse(config.yaml())[0]), load(json.loads(config.json()))):
        assert again.plain() == config.plain()
    json.loads(config.json(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_schedules_stand_where_numbers_may(monkeypatch):
    monkeypatch.undo()
    from dejax.config import load
    from dejax.optimizers import Cosine

    config = load(f"{ROOT}/configs/digits.yaml", ["method.dsgd.lr.cosine.peak=0.5", "method.dsgd.lr.cosine.length=200"])
    assert config.runs[0].args["method"].build().lr == Cosine(peak=0.5, length=200)
    config = load(f"{ROOT}/configs/digits.yaml", ["method={dsgd: {optimizer: {adam: {learning_rate: 1e-3}}}}"])
    assert config.runs[0].args["method"].build().optimizer.numbers["learning_rate"] == 0.001
    with pytest.raises(ConfigError, match="no optimizer named 'adma'. Did you mean adam"):
        load(f"{ROOT}/configs/digits.yaml", ["method={dsgd: {optimizer: adma}}"])
