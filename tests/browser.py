"""A real Chromium without a window, driven over its DevTools protocol; no driver program is needed.

Looked for as `OCO2_CHROMIUM`, then `chromium`, `chromium-browser` and `google-chrome` on the path (Debian: `apt install
chromium`). Tests that find none are skipped and say so.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path


def chromium() -> str | None:
    """The browser's program, or None."""
    names = [os.environ.get("OCO2_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


class Page:
    """One tab. What the page complains of gathers in `complaints`."""

    def __init__(self, socket):
        self._socket, self._last = socket, 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters):
        """Send a command and wait for its answer; events that come before it are kept."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._last:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self._event(message)

    def _event(self, message: dict) -> None:
        told, what = message.get("method"), message.get("params", {})
        if told == "Runtime.exceptionThrown":
            details = what["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif told == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(a.get("value", a.get("description"))) for a in what["args"]))
        elif told == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")
        elif told == "Network.requestWillBeSent" and what["request"]["url"].startswith(("http:", "https:")):
            self.complaints.append(f"asks the network for {what['request']['url']}")

    def size(self, width: int, height: int = 900, dark: bool = False) -> None:
        """The window's size in CSS pixels, and the reader's choice of light or dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url: str, seconds: float = 20) -> None:
        """Load a page and wait until it and its pictures are there."""
        self.complaints.clear()
        self.call("Page.navigate", url=url)
        self.wait(f"location.href.split('#')[0] == {json.dumps(url.split('#')[0])} "
                  "&& document.readyState == 'complete'", seconds)

    def run(self, script: str):
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description", script))
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 20):
        """Ask again and again until an expression is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(RuntimeError):  # the page is just being replaced
                if found := self.run(script):
                    return found
            time.sleep(0.02)
        raise TimeoutError(f"after {seconds} s not yet: {script}")

    def type(self, text: str, enter: bool = False) -> None:
        """Keys, into what has the focus."""
        self.call("Input.insertText", text=text)
        if enter:
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13,
                          text="\r")

    def picture(self, path: Path, full: bool = True) -> None:
        """A screenshot, of the whole page unless told otherwise."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=full, format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browser():
    """A tab of a new browser with a profile of its own; both end with the block."""
    import websocket  # websocket-client

    program = chromium()
    if program is None:
        raise FileNotFoundError("no Chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
             "--remote-allow-origins=*", "--no-first-run", "--disable-background-networking", "--hide-scrollbars",
             f"--user-data-dir={profile}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            told = Path(profile) / "DevToolsActivePort"
            for _ in range(500):
                if told.is_file() and len(told.read_text().split()) == 2 or process.poll() is not None:
                    break
                time.sleep(0.02)
            port = told.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
                tab = next(each for each in json.load(answer) if each["type"] == "page")
            socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=60)
            yield Page(socket)
            socket.close()
        finally:
            process.terminate()
            process.wait(20)
