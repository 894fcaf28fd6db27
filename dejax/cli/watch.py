"""The command that watches: a page on this machine that shows runs while they go on."""

import argparse
import errno
import hashlib
import json
import time
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..report import growing, pages
from ..runs.lock import holder_died
from ..runs.printing import say
from .shared import DONE

HOST = "127.0.0.1"
NAMES = {HOST, "localhost"}  # what a browser on this machine calls it, also through ssh -L
TOGETHER = 20  # run directories side by side, at most


def watch(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    root = Path(args.directory)
    if not root.is_dir():
        raise FileNotFoundError(f"{args.directory} is no directory; give that of a run, or one that holds several")
    with server(root, args.port) as serving:
        say(f"watching {root}: open http://{HOST}:{serving.server_port} (Ctrl-C ends)")
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            return DONE
    return DONE


def server(root: Path, port: int = 0) -> ThreadingHTTPServer:
    """Make a server of the page of all runs at and below `root`; other machines do not reach it.

    Args:
      port: 0 takes one that is free.
    Raises:
      OSError: another program has the port. ValueError: there is no such port.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"--port is {port}; give 0 (any that is free) to 65535")
    try:
        return _Server((HOST, port), _Handler, root)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "another program has" if error.errno == errno.EADDRINUSE else "this user may not open"
        raise OSError(f"--port is {port}, which {why}; give another, or 0 for any that is free") from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], handler: type, root: Path):
        self.state = State(root)
        super().__init__(address, handler)


class State:
    """What the page is told: the run directories, and the numbers of those that are shown."""

    def __init__(self, root: Path):
        self.root, self.lock = root.resolve(), Lock()
        self._content = lru_cache(maxsize=4)(self._content_of)

    def answer(self, asked: list[str], version: str) -> bytes | None:
        """The state as JSON; None where it is still that of `version`.

        Args:
          asked: names of the directories to show, of which others than those listed are left out; empty: the one that
            runs, or else was written last.
        """
        with self.lock:
            listed = {self._name(path): path for path in growing.directories(self.root)}
            about = {name: self._progress(path) for name, path in listed.items()}
            first = next((name for name, (status, _) in about.items() if status == "running"), next(iter(listed), None))
            shown = [name for name in listed if name in asked] if asked else [first] if first is not None else []
            shown = shown[:TOGETHER]
            signs = [(name, str(growing.signature(listed[name]))) for name in shown]
            now = hashlib.sha256(json.dumps([signs, about]).encode()).hexdigest()[:16]
            if now == version:
                return None
            entries = [
                {
                    "name": name,
                    "status": status,
                    "share": share,
                    "age": max(0.0, time.time() - growing.written(listed[name])),
                }
                for name, (status, share) in about.items()
            ]
            content = self._content(tuple((name, listed[name], sign) for name, sign in signs))
            state = {
                "version": now,
                "place": str(self.root),
                "directories": entries,
                "shown": shown,
                "content": content,
            }
            return json.dumps(state, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")

    def _name(self, path: Path) -> str:
        return path.name if path == self.root else path.relative_to(self.root).as_posix()

    def _progress(self, path: Path) -> tuple[str, float]:
        status, share = growing.progress(path)
        return ("killed" if status == "running" and holder_died(path) else status), round(share, 4)

    def _content_of(self, shown: tuple[tuple[str, Path, str], ...]) -> dict[str, Any]:
        title = shown[0][0] if len(shown) == 1 else self.root.name
        try:
            return growing.content({name: path for name, path, _ in shown}, title)
        except (
            Exception
        ) as error:  # whatever a damaged file holds: the page goes on with other runs, or once it is mended
            return growing.content({}, title) | {"note": f"these runs cannot be shown: {error}"}


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "dejax", ""

    def do_GET(self) -> None:
        """Send the page or the state; nothing else is there, and nothing can be changed."""
        host = self.headers.get("Host", "")
        if host.rpartition(":")[0] not in NAMES and host not in NAMES:  # a foreign name that leads to this machine
            return self._send(403, b"this page is for browsers on this machine: open http://127.0.0.1:PORT\n")
        asked = urlsplit(self.path)
        if asked.path == "/":
            return self._send(200, pages.filled("dejax watch", '{"live": true}').encode(), "text/html")
        if asked.path != "/state.json":
            return self._send(404, b"there is nothing here\n")
        query = parse_qs(asked.query, keep_blank_values=True, errors="replace")
        serving: Any = self.server
        answer = serving.state.answer(query.get("run", []), query.get("version", [""])[0])
        if answer is None:
            return self._send(204, b"")
        return self._send(200, answer, "application/json")

    def _send(self, code: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(code)
        headers = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Security-Policy": f"{pages.policy()}; frame-ancestors 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        if code != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the page asks every two seconds."""


__all__ = ["State", "server", "watch"]
