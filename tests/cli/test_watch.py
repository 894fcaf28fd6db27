"""`dejax watch` over HTTP: what it sends, to whom, and what it does not."""

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

from dejax import cli
from dejax.cli import watch
from dejax.report import files, pages


def write(folder, label="ring", rounds=(0, 10), status="running"):
    folder.mkdir(parents=True, exist_ok=True)
    records = [{"run": label, "seed": 0, "round": t, "accuracy/local": t / 40, "bytes": t} for t in rounds]
    (folder / "metrics.jsonl").write_text(files.jsonl(records))
    (folder / "run.json").write_text(json.dumps({"runs": {label: {"status": status, "total": 20}}}))
    return folder


@pytest.fixture
def serving(tmp_path):
    with watch.server(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def get(serving, path="/", **headers):
    address = f"http://127.0.0.1:{serving.server_port}{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def state(serving, query=""):
    return json.loads(get(serving, f"/state.json{query}")[2])


def test_the_page_may_run_nothing_but_its_own_script(serving):
    code, headers, body = get(serving)
    assert code == 200 and headers["Content-Type"] == "text/html; charset=utf-8" and b'{"live": true}' in body
    assert headers["Content-Security-Policy"] == f"{pages.policy()}; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers
    assert serving.server_address[0] == "127.0.0.1"


def test_only_names_of_this_machine_are_answered(serving, tmp_path):
    write(tmp_path / "a")
    for host in (
        "evil.example",
        "evil.example:8042",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "[::1]",
        "",
    ):
        for path in ("/", "/state.json"):
            code, _, body = get(serving, path, Host=host)
            assert code == 403 and b"ring" not in body, host
    for host in ("localhost", "localhost:9000", "127.0.0.1", "127.0.0.1:1"):
        assert get(serving, "/state.json", Host=host)[0] == 200


@pytest.mark.parametrize(
    "path", ["/a/run.json", "/../etc/passwd", "/%2e%2e/x", "/page.html", "//state.json/x", "/state.json/.."]
)
def test_there_are_two_addresses_and_no_files(serving, tmp_path, path):
    write(tmp_path / "a")
    assert get(serving, path)[0] == 404
    request = urllib.request.Request(f"http://127.0.0.1:{serving.server_port}/", method="POST", data=b"x")
    with pytest.raises(urllib.error.HTTPError, match="501"):
        urllib.request.urlopen(request, timeout=30)


def test_only_directories_of_the_list_are_shown(serving, tmp_path):
    write(tmp_path / "a" / "inside", "one")
    write(tmp_path.parent / f"{tmp_path.name}-secret", "secret")
    for name in (f"..%2F{tmp_path.name}-secret", str(tmp_path / "a"), "a", "", "%ff"):
        assert state(serving, f"?run={name}")["shown"] == []
    assert state(serving, "?run=a/inside")["content"]["runs"][0]["label"] == "one"


def test_the_one_that_runs_is_shown_first_and_several_stand_side_by_side(serving, tmp_path):
    write(tmp_path / "old")
    write(tmp_path / "new", status="done")
    got = state(serving)
    assert got["shown"] == ["old"] and {d["name"]: (d["status"], d["share"]) for d in got["directories"]} == {
        "old": ("running", 0.5),
        "new": ("done", 1.0),
    }
    both = state(serving, "?run=new&run=old")
    assert sorted(run["label"] for run in both["content"]["runs"]) == ["new/ring", "old/ring"]


def test_news_come_when_there_are_some(serving, tmp_path):
    got = state(serving)
    assert got["directories"] == [] and got["content"]["runs"] == []
    folder = write(tmp_path / "a")
    got = state(serving, f"?version={got['version']}")
    assert got["content"]["runs"][0]["axes"]["round"] == [0, 10]
    assert get(serving, f"/state.json?version={got['version']}")[::2] == (204, b"")
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"run": "ring", "seed": 0, "round": 15, "accuracy/local": 0.4}\n{"run": "ri')
    got = state(serving, f"?version={got['version']}")
    assert got["content"]["runs"][0]["axes"]["round"] == [0, 10, 15] and got["content"]["note"] == ""
    assert got["directories"][0]["share"] == 0.75


@pytest.mark.parametrize(
    "facts", [{"status": 3}, {"setup": 5, "total": "x"}, {"seeds": {}, "nodes": "many", "local_steps": []}]
)
def test_no_damage_breaks_the_page(serving, tmp_path, facts):
    folder = write(tmp_path / "a")
    (folder / "run.json").write_text(json.dumps({"runs": {"ring": facts}}))
    (folder / "graphs.json").write_text('{"graphs": [{"n": 3}], "of": {"ring": [[0, 0]]}}')
    got = state(serving)
    assert got["shown"] == ["a"] and (got["content"]["runs"] or "cannot be shown" in got["content"]["note"])


def test_a_run_whose_process_is_gone_was_killed(serving, tmp_path):
    import socket

    folder = write(tmp_path / "a")
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    (folder / ".lock").write_text(f"process {gone.stdout.strip()} on {socket.gethostname()}\n")
    assert state(serving)["directories"][0]["status"] == "killed"
    (folder / ".lock").write_text(f"process {gone.stdout.strip()} on another-host\n")
    assert state(serving)["directories"][0]["status"] == "running"


def test_mistakes_are_one_line(tmp_path, capsys, serving):
    port = serving.server_port
    for argv, words in (
        ([str(tmp_path / "no")], "is no directory"),
        ([str(tmp_path), "--port", "70000"], "--port is 70000; give 0"),
        ([str(tmp_path), "--port", str(port)], f"--port is {port}, which another program has"),
    ):
        assert cli.main(["watch", *argv]) == 2
        out, err = capsys.readouterr()
        assert out == "" and words in err and err.count("\n") == 1


@pytest.mark.slow
def test_the_command_serves_until_ctrl_c_and_leaves_accelerators_alone(tmp_path):
    import os
    import signal

    write(tmp_path / "a")
    code = (
        "import sys, atexit; from dejax import cli; from jax._src import xla_bridge as bridge;"
        "atexit.register(lambda: print('devices', bridge.backends_are_initialized(), flush=True));"
        f"sys.exit(cli.main(['watch', {str(tmp_path)!r}, '--port', '0']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        address = line.split("open ")[1].split()[0]
        with urllib.request.urlopen(f"{address}/state.json", timeout=30) as answer:
            assert json.loads(answer.read())["shown"] == ["a"]
        os.kill(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0 and rest == "devices False\n"
