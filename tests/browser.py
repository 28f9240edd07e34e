"""Chromium without a window, asked over a pipe: what a page does there, and how it looks. Skips where there is none.

The pipe speaks the Chrome DevTools Protocol, a JSON message with a zero byte behind it; no package is needed.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
LIMIT_SEC = 60  # for an answer


def find_browser() -> str | None:
    """Where the first of NAMES is that is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A browser with one tab. problems: errors of pages since ``open``; requests: addresses asked for since then."""

    def __init__(self, profile: Path):
        program = find_browser()
        if program is None:
            pytest.skip(f"none of {', '.join(NAMES)} is installed")
        theirs, self._to = os.pipe()
        self._from, writing = os.pipe()

        def connect():  # the browser reads commands from 3 and answers to 4
            held = [os.dup2(one, 10 + place) for place, one in enumerate((theirs, writing))]
            for place, one in enumerate(held, start=3):
                os.dup2(one, place)

        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=connect,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        os.close(writing)
        self._rest, self._count, self._session = b"", 0, None
        self.problems, self.requests, self._events = [], [], []
        targets = self.ask("Target.getTargets")["targetInfos"]
        tab = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.ask("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        os.close(self._to)
        os.close(self._from)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=30)

    def ask(self, method: str, **values):
        """Send a command and wait for its answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": values}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._count:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer)

    def open(
        self,
        page: Path | str,
        *,
        width: int = 1400,
        height: int = 900,
        scale: float = 1,
        dark: bool = False,
        script: bool = True,
    ) -> None:
        """Load a file, or what is at an address, and wait until it has settled. scale: pixels of a picture to one."""
        self.problems, self.requests, self._events = [], [], []
        size = {"width": width, "height": height, "deviceScaleFactor": scale}
        self.ask("Emulation.setDeviceMetricsOverride", **size, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media="screen", features=[scheme])
        self.ask("Emulation.setScriptExecutionDisabled", value=not script)
        self.ask("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        while "Page.loadEventFired" not in self._events:
            self._note(self._receive())
        self.run("1")  # what the page has reported comes before this answer

    def run(self, code: str):
        """The value of an expression in the page."""
        answer = self.ask("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def choose_file(self, selector: str, path: Path) -> None:
        """As a person does in the window that an input of files opens."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            more = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_KEYS[key], **more)

    def move_to(self, x: float, y: float) -> None:
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path: Path, whole: bool = True) -> None:
        """A PNG of the page, or of what is in the window."""
        data = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def picture_of(self, first: str, last: str, margin: int = 0) -> bytes:
        """A PNG of the part of the page that holds two elements. first, last: selectors. margin: pixels around them."""
        x, y, right, bottom = self.run(
            f"""(() => {{ const boxes = {json.dumps([first, last])}.map(
            (one) => document.querySelector(one).getBoundingClientRect());
            const most = (edge) => Math.max(...boxes.map((box) => box[edge]));
            const least = (edge) => Math.min(...boxes.map((box) => box[edge]));
            return [least("left") + scrollX, least("top") + scrollY, most("right") + scrollX, most("bottom") + scrollY];
            }})()"""
        )
        x, y = max(x - margin, 0), max(y - margin, 0)
        box = {"x": x, "y": y, "width": right + margin - x, "height": bottom + margin - y, "scale": 1}
        data = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=box)["data"]
        return base64.b64decode(data)

    def _receive(self) -> dict:
        deadline = time.monotonic() + LIMIT_SEC
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            assert left > 0, "the browser does not answer"
            if not select.select([self._from], [], [], left)[0]:
                continue
            data = os.read(self._from, 1 << 20)
            assert data, "the browser has ended"
            self._rest += data
        line, self._rest = self._rest.split(b"\0", 1)
        return json.loads(line)

    def _note(self, event: dict) -> None:
        method, values = event.get("method", ""), event.get("params", {})
        self._events.append(method)
        if method == "Runtime.exceptionThrown":
            self.problems.append(values["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.problems.append(str([one.get("value") for one in values["args"]]))
        elif method == "Log.entryAdded":
            self.problems.append(values["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.problems.append(f"a dialog: {values['message']}")
            self.ask("Page.handleJavaScriptDialog", accept=True)
        elif method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])


_KEYS = {"Enter": 13, "Tab": 9, "ArrowLeft": 37, "ArrowRight": 39}
