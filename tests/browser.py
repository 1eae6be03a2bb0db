"""A real Chromium for tests and benchmarks, driven over its own protocol: no driver program, no download."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# No sandbox, because containers run as root.
FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run", "--no-default-browser-check",
         "--hide-scrollbars", "--disable-extensions", "--metrics-recording-only", "--mute-audio")
# Software rendering, so that every machine draws alike. Without any GPU a page costs half the processor's time; only
# what draws by WebGL needs one in software.
NO_GPU = ("--disable-gpu",)
GPU_IN_SOFTWARE = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
# What leaves nothing in a tab once it went to an empty page, where its mouse left the window, and got its size.
LEAVES_NOTHING = {"Page.navigate", "Page.resetNavigationHistory", "Page.captureScreenshot", "Page.getLayoutMetrics",
                  "Runtime.evaluate", "Runtime.getHeapUsage", "Emulation.setDeviceMetricsOverride",
                  "Emulation.setEmulatedMedia", "Input.dispatchKeyEvent", "Input.dispatchMouseEvent",
                  "Input.insertText"}


def find_browser() -> str | None:
    """The program: $OCO2_CHROMIUM, or the first of the usual names on the path."""
    asked = os.environ.get("OCO2_CHROMIUM")
    return asked or next((found for name in NAMES if (found := shutil.which(name))), None)


class BrowserError(RuntimeError):
    """The page threw, or the browser did not answer."""


class Browser:
    """One Chromium process; `open` gives a fresh page."""

    def __init__(self, program: str | None = None, flags: tuple[str, ...] = NO_GPU):
        import websocket  # only where a browser is driven

        self._websocket = websocket
        self._home = tempfile.mkdtemp(prefix="browser-")
        self._log = open(Path(self._home) / "stderr", "wb")  # noqa: SIM115
        self.command = [program or find_browser() or "chromium", *FLAGS, *flags, "--remote-debugging-port=0",
                        f"--user-data-dir={self._home}/profile", "about:blank"]
        self._process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=self._log)
        self.address = self._wait_for_port()
        self._idle: list[Page] = []

    def _wait_for_port(self) -> str:
        port = Path(self._home) / "profile" / "DevToolsActivePort"
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if port.exists() and len(lines := port.read_text().split()) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        told = (Path(self._home) / "stderr").read_text("utf-8", "replace")[-500:]
        self.close()
        raise BrowserError(f"{self.command[0]} did not start: {told}")

    def page(self, width: int = 1300, height: int = 900, dark: bool = False) -> Page:
        """A new empty page of this size."""
        return Page(self._websocket.create_connection(self.address, timeout=120, suppress_origin=True), width, height,
                    dark)

    def tab(self, width: int = 1300, height: int = 900, dark: bool = False) -> Page:
        """A tab that was given back, or a new one: a new one costs as much as most pages that it shows."""
        if not self._idle:
            return self.page(width, height, dark)
        page = self._idle.pop()
        page.resize(width, height, dark)
        return page

    def give_back(self, page: Page) -> None:
        """Keep an emptied tab for the next who asks; close one that was used in a way that leaves something."""
        if page.sent <= LEAVES_NOTHING:
            page.empty()
            self._idle.append(page)
        else:
            page.close()

    def version(self) -> str:
        """What the browser calls itself."""
        page = self.page()
        try:
            return page.send("Browser.getVersion")["product"]
        finally:
            page.close()

    def close(self) -> None:
        """End the process that this object started, and remove its profile."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Page:
    """A tab in a profile of its own, with all it said and asked for since it was opened."""

    def __init__(self, socket: Any, width: int, height: int, dark: bool):
        self._socket, self._number, self._session = socket, itertools.count(1), None
        self.sent: set[str] = set()
        self.console: list[str] = []
        self.requests: list[str] = []
        self.events: list[dict] = []
        self._context = self.send("Target.createBrowserContext")["browserContextId"]
        self._target = self.send("Target.createTarget", url="about:blank", browserContextId=self._context)["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.sent.clear()
        self.resize(width, height, dark)

    def send(self, method: str, **parameters: Any) -> dict:
        """Call the protocol and wait for the answer."""
        self.sent.add(method)
        number = next(self._number)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._heard(answer)

    def _heard(self, event: dict) -> None:
        method, told = event.get("method", ""), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.console.append("exception: " + details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.console.append(f"{told['type']}: {told['args']}")
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.console.append(f"{told['entry']['level']}: {told['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"][:200])
        else:
            self.events.append(event)

    def resize(self, width: int, height: int, dark: bool | None = None, scale: float = 1, mobile: bool = False) -> None:
        """Another window size, in CSS pixels, or colour scheme; `mobile` lays out as a phone does."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                  mobile=mobile)
        if dark is not None:
            self.send("Emulation.setEmulatedMedia",
                      features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, path: str | os.PathLike) -> Page:
        """Go to a local file."""
        self.send("Page.navigate", url=Path(path).resolve().as_uri())
        return self

    def run(self, script: str, timeout: float = 60) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True,
                           timeout=timeout * 1000, userGesture=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, script: str, timeout: float = 30) -> Any:
        """Poll an expression until it is true."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                if value := self.run(script):
                    return value
            except BrowserError:
                pass  # the page is changing under us
            time.sleep(0.02)
        raise BrowserError(f"waited {timeout} s in vain for {script}; console: {self.console}")

    def key(self, key: str, code: int = 0, modifiers: int = 0) -> None:
        """Press a key, as a person would."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36,
                 "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Backspace": 8}
        number = code or codes.get(key, ord(key[0].upper()))
        text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=number,
                      modifiers=modifiers, **(text if kind == "keyDown" else {}))

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.send("Input.insertText", text=text)

    def mouse(self, kind: str, x: float, y: float, modifiers: int = 0, **more: Any) -> None:
        """A mouse event at a place of the window: mousePressed, mouseMoved, mouseReleased, mouseWheel."""
        button = {"button": "left", "clickCount": 1} if kind != "mouseWheel" else {}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, modifiers=modifiers, **button, **more)

    def click(self, x: float, y: float) -> None:
        """Press and release the left button."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.mouse(kind, x, y)

    def touch(self, kind: str, *fingers: tuple[float, float]) -> None:
        """Fingers on the screen: touchStart and touchMove with all that are down, touchEnd with those that stay."""
        self.send("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=5)
        self.send("Input.dispatchTouchEvent", type=kind,
                  touchPoints=[{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(fingers)])

    def spread(self, x: float, y: float, *reaches: float) -> None:
        """Two fingers on both sides of a place, 20 pixels from it, then as far as the reaches say; they stay down."""
        self.touch("touchStart", (x - 20, y))
        self.touch("touchStart", (x - 20, y), (x + 20, y))
        for reach in reaches:
            self.touch("touchMove", (x - reach, y), (x + reach, y))

    def lift(self, x: float, y: float) -> None:
        """Take two fingers off, one of them from this place, one after the other."""
        self.touch("touchEnd", (x, y))
        self.touch("touchEnd")

    def screenshot(self, path: str | os.PathLike, full: bool = False) -> Path:
        """A PNG of the window, or of the whole page."""
        clip = {}
        if full:
            size = self.send("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1},
                    "captureBeyondViewport": True}
        data = self.send("Page.captureScreenshot", format="png", **clip)["data"]
        Path(path).write_bytes(base64.b64decode(data))
        return Path(path)

    def memory_mb(self) -> float:
        """JavaScript heap and array buffers in use."""
        self.send("Performance.enable")
        told = self.send("Runtime.getHeapUsage")
        return (told["usedSize"] + told.get("backingStorageSize", 0) + told.get("embedderHeapUsedSize", 0)) / 2**20

    def empty(self) -> None:
        """Leave the page, its history and all that was heard of it."""
        self.send("Page.navigate", url="about:blank")
        self.wait("location.href == 'about:blank' && document.readyState == 'complete'")
        if "Input.dispatchMouseEvent" in self.sent:
            self.mouse("mouseMoved", -1, -1)
            self.sent.discard("Input.dispatchMouseEvent")
        self.send("Page.resetNavigationHistory")
        for heard in (self.console, self.requests, self.events):
            heard.clear()

    def close(self) -> None:
        """Close the tab and forget its profile."""
        try:
            self._session = None
            self.send("Target.disposeBrowserContext", browserContextId=self._context)
        finally:
            self._socket.close()
