"""docs/architecture.md names every room and public module, and nothing that is not there."""

import re
import tomllib

import repository

PACKAGE = repository.ROOT / "dejax"
PAGE = (repository.ROOT / "docs/architecture.md").read_text()


def on_the_page() -> dict[str, str]:
    """path -> meaning: `runs/driver` for a module, `runs/` for a room."""
    tree = re.search(r"```text\ndejax/\n(.*?)```", PAGE, flags=re.DOTALL)
    assert tree, "docs/architecture.md has no tree of rooms"
    found, rooms = {}, []
    for line in tree[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        names = re.match(r"\s*(\w+/?(?:, \w+/?)*)  ", line)
        assert names, line
        for name in names[1].split(", "):
            rooms[depth:] = [name] if name.endswith("/") else []
            path = "".join(rooms[:depth]) + name
            assert path not in found, f"{path} stands twice"
            found[path] = line[names.end() :].strip()
    return found


def on_disk() -> set[str]:
    """The rooms, and their modules without a leading underscore."""
    modules = {f.relative_to(PACKAGE).with_suffix("").as_posix() for f in PACKAGE.rglob("*.py")}
    rooms = {m.removesuffix("__init__") for m in modules if m.endswith("/__init__")}
    return rooms | {m for m in modules if not m.rpartition("/")[2].startswith("_")}


def test_the_tree_is_that_of_the_disk():
    page, disk = set(on_the_page()) - {"__main__"}, on_disk()
    assert not disk - page, f"not on the page: {sorted(disk - page)}"
    assert not page - disk, f"only on the page: {sorted(page - disk)}"


def test_every_name_has_a_meaning():
    assert all(on_the_page().values()), [path for path, meaning in on_the_page().items() if not meaning]


def test_the_floors_are_those_of_the_linter():
    project = tomllib.loads((repository.ROOT / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    wanted = [set(re.findall(r"\w+", layer)) for layer in layers]
    rows = re.findall(r"^\| \d+ \| ([^|]+) \|", PAGE, flags=re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == wanted


def test_paths_of_new_members_are_in_rooms_that_exist():
    table = PAGE.split("## Who adds what, where")[1]
    for path in re.findall(r"`(\w+(?:/[a-z_]+)*/)(?:FAMILY/)?\w+\.py`", table):
        assert (PACKAGE / path).is_dir(), path
