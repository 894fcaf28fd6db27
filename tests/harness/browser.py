"""A real browser without a screen, driven through a pipe; tests that want it are skipped where there is none."""

import base64
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Browser:
    """One tab of Chromium.

    Attributes:
      troubles: what its console said: errors, exceptions, and what the page's policy forbade.
      asked: addresses that the page asked for.
    """

    def __init__(self, folder: Path):
        program = next((path for path in map(shutil.which, NAMES) if path), None)
        if program is None:
            pytest.skip(f"no browser here: none of {', '.join(NAMES)} is installed")
        (theirs_in, self._out), (self._in, theirs_out) = os.pipe(), os.pipe()
        assert min(theirs_in, theirs_out) > 4  # where the browser has its ends
        flags = [
            "--headless",
            "--disable-gpu",
            "--no-first-run",
            "--remote-debugging-pipe",
            f"--user-data-dir={folder}",
        ]
        flags += ["--no-sandbox"] if os.geteuid() == 0 else []
        quiet = [(os.POSIX_SPAWN_OPEN, end, os.devnull, os.O_WRONLY, 0) for end in (1, 2)]
        pipes = [(os.POSIX_SPAWN_DUP2, theirs_in, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4)]
        argv = [program, *flags, "about:blank"]
        self._process = os.posix_spawn(program, argv, os.environ, file_actions=[*quiet, *pipes])
        os.close(theirs_in)
        os.close(theirs_out)
        self._count, self._rest, self._session = 0, b"", None
        self.troubles, self.asked = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=1200, height=900, deviceScaleFactor=1, mobile=False)

    def call(self, method: str, **params):
        """Ask the browser for something and wait for its answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        os.write(
            self._out, json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode() + b"\0"
        )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for got in self._heard(end):
                if got.get("id") == self._count:
                    assert "error" not in got, got
                    return got["result"]
        raise TimeoutError(method)

    def _heard(self, end: float):
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(0.0, end - time.monotonic()))[0]:
                return
            data = os.read(self._in, 1 << 20)
            assert data, "the browser is gone"
            self._rest += data
        *whole, self._rest = self._rest.split(b"\0")
        for text in whole:
            got = json.loads(text)
            if got.get("method") == "Runtime.exceptionThrown":
                self.troubles.append(str(got["params"]["exceptionDetails"])[:500])
            if got.get("method") == "Log.entryAdded" and got["params"]["entry"]["level"] == "error":
                self.troubles.append(got["params"]["entry"]["text"])
            if got.get("method") == "Network.requestWillBeSent":
                self.asked.append(got["params"]["request"]["url"])
            yield got

    def open(self, url: str) -> None:
        """Go to an address, and wait until the page has drawn itself."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && !document.querySelector('main').hidden")

    def value(self, expression: str):
        """What an expression of JavaScript is in the page."""
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in got, got["exceptionDetails"]
        return got["result"].get("value")

    def until(self, expression: str, seconds: float = 30.0) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value"):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)

    def choose(self, query: str, value: str) -> None:
        """Choose an entry of a list, or a place of a slider, as a reader does."""
        self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(query)}); e.value = {json.dumps(value)};"
            " e.dispatchEvent(new Event('input', { bubbles: true })); })()"
        )

    def picture(self, path: Path) -> None:
        """Write what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))

    def close(self) -> None:
        """End it."""
        for end in (self._out, self._in):
            os.close(end)
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
