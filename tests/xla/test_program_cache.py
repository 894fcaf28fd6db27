"""Programs kept between processes: whose folder, what is damaged, what cannot be written, and JAX as it was before."""

import os
import warnings

import jax
import pytest
from jax._src import compilation_cache

from dejax.xla import program_cache
from dejax.xla.program_cache import Folder, folder, kept_programs

SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture
def events():
    seen, watching = [], True
    jax.monitoring.register_event_listener(lambda event, **more: seen.append(event) if watching else None)
    yield seen
    watching = False


def test_a_relative_folder_stays_where_it_was_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEJAX_CACHE", "kept")
    here = folder()
    assert here is not None and here.is_absolute() and here.parent == tmp_path / "kept"
    (tmp_path / "other").mkdir()
    with kept_programs():
        monkeypatch.chdir(tmp_path / "other")
        compiled(7)
    assert list(here.iterdir()) and not list((tmp_path / "other").iterdir())


def settings():
    return {name: getattr(jax.config, name) for name in SETTINGS}, compilation_cache._cache


def compiled(number):
    return jax.jit(lambda x: x * number + 1)(2.0)


def test_programs_of_a_stretch_are_kept_and_jax_is_as_before(tmp_path, monkeypatch, events):
    monkeypatch.setenv("DEJAX_CACHE", str(tmp_path))
    before = settings()
    with kept_programs(), kept_programs():
        compiled(3)
    assert settings() == before
    with kept_programs():
        again = compiled(3)
    assert again == 7.0
    assert "/jax/compilation_cache/cache_hits" in events
    files = {p.name for p in tmp_path.glob("*/*")}
    assert files
    assert all(name.endswith(".xla") for name in files)
    compiled(5)
    assert {p.name for p in tmp_path.glob("*/*")} == files


def test_a_cache_of_the_users_own_stays_the_only_one(tmp_path, monkeypatch):
    monkeypatch.setenv("DEJAX_CACHE", str(tmp_path / "ours"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "theirs"))
    try:
        before = settings()
        with kept_programs():
            assert settings() == before
            compiled(7)
    finally:
        jax.config.update("jax_compilation_cache_dir", None)
        compilation_cache.reset_cache()
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("word", ["0", "off", "OFF", "false", "no"])
def test_off(word, monkeypatch):
    monkeypatch.setenv("DEJAX_CACHE", word)
    assert folder() is None
    before = settings()
    with kept_programs():
        assert settings() == before


def test_the_folder_is_that_of_the_user_and_of_this_processor(tmp_path, monkeypatch):
    monkeypatch.delenv("DEJAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = folder()
    assert here.parent == tmp_path / "dejax" / "xla"
    monkeypatch.setattr(program_cache, "features", lambda: frozenset({"another"}))
    assert folder().parent == here.parent
    assert folder() != here
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert folder().parent == tmp_path / "home" / ".cache" / "dejax" / "xla"


def test_a_damaged_entry_is_missing_and_is_written_anew(tmp_path):
    store = Folder(tmp_path / "f")
    assert store.get("a") is None
    store.put("a", b"program")
    assert store.get("a") == b"program"
    (file,) = (tmp_path / "f").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert store.get("a") is None
    store.put("a", b"program")
    assert store.get("a") == b"program"


def test_a_folder_that_cannot_be_written_is_told_once_and_fails_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DEJAX_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(program_cache, "_warned", False)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for number in (11.0, 13.0):
            with kept_programs():
                assert compiled(number) == 2 * number + 1
    assert len(told) == 1
    assert "DEJAX_CACHE" in str(told[0].message)


def test_what_was_not_used_for_longest_goes(tmp_path):
    store, other = Folder(tmp_path / ("0" * 16)), Folder(tmp_path / ("1" * 16))
    foreign = tmp_path / "mine" / "letter.txt"
    foreign.parent.mkdir()
    foreign.write_text("x" * 1000)
    for i, (where, key) in enumerate([(other, "old"), (store, "a"), (store, "b")]):
        where.put(key, bytes(100))
        os.utime(where._path / f"{key}.xla", (i, i))
    assert store.get("a") == bytes(100)  # used now
    store.tidy(300)
    assert [store.get("a"), store.get("b"), other.get("old")] == [bytes(100), bytes(100), None]
    store.tidy(150)
    assert foreign.exists()
    assert sum(p.exists() for p in (store._path / "a.xla", store._path / "b.xla")) == 1


def test_an_error_of_the_stretch_leaves_jax_as_before(tmp_path, monkeypatch):
    monkeypatch.setenv("DEJAX_CACHE", str(tmp_path))
    before = settings()
    with pytest.raises(KeyError), kept_programs():
        raise KeyError
    assert settings() == before
